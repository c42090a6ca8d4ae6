"""A random forest; its trees are saved as arrays.

Trees split by squared error on one-hot targets, which is Gini impurity; so one forest serves labels, several labels
and numbers. Source: Breiman 2001, "Random Forests".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from luthier.direct.classical.fitted import Array, Target, columns
from luthier.direct.classifiers import Classifier
from luthier.io.files import write_tensors

TREES = 100
ROWS = 256  # that walk through all trees at once
LEAST = 1e-6  # a share of no tree is still not impossible


@dataclass
class Trees:
    """All trees end to end. roots (T,); left, right, feature (nodes,) int32, left is -1 at a leaf; threshold (nodes,)
    and value (nodes, K) float64. task: what the values mean.
    """

    task: str
    roots: Array
    left: Array
    right: Array
    feature: Array
    threshold: Array
    value: Array

    def means(self, x: Array) -> Array:
        """(N, K): the leaves' values, averaged over the trees."""
        out = np.empty((len(x), self.value.shape[1]))
        for at in range(0, len(x), ROWS):
            part = x[at : at + ROWS].astype(np.float32)
            rows = np.arange(len(part))[:, None]
            nodes = np.broadcast_to(self.roots, (len(part), len(self.roots)))
            while (inner := self.left[nodes] >= 0).any():
                small = part[rows, np.maximum(self.feature[nodes], 0)] <= self.threshold[nodes]
                nodes = np.where(inner, np.where(small, self.left[nodes], self.right[nodes]), nodes)
            out[at : at + ROWS] = self.value[nodes].mean(1)
        return out

    def outputs(self, x: Array) -> Array:
        """Logits of the shares, or the numbers."""
        found = self.means(x)
        if self.task == "regression":
            return found
        share = found.clip(LEAST, 1 - LEAST)
        logits: Array = np.log(share) if self.task == "classification" else np.log(share) - np.log1p(-share)
        return logits

    def save(self, folder: Path) -> None:
        """`classifier.safetensors`."""
        import torch

        tensors = {k: torch.from_numpy(v) for k, v in vars(self).items() if k != "task"}
        write_tensors(folder / "classifier.safetensors", tensors, {"task": self.task})


class Forest(Classifier):
    """100 trees, grown to the end, each split among the square root of the features."""

    tuned = False

    def fit(self, x: Array, y: Array, target: Target, strength: float) -> Trees:
        from sklearn.ensemble import RandomForestRegressor

        model = RandomForestRegressor(TREES, max_features="sqrt", random_state=0)
        wanted = columns(target, y)
        model.fit(x, wanted if target.count > 1 else wanted[:, 0], sample_weight=target.weights(y))
        trees = [e.tree_ for e in model.estimators_]
        sizes = np.array([t.node_count for t in trees])
        roots = np.concatenate([[0], sizes.cumsum()[:-1]])

        def joined(name: str, shift: bool = False) -> Array:
            parts = [getattr(t, name) for t in trees]
            if shift:
                parts = [np.where(p < 0, -1, p + root) for p, root in zip(parts, roots, strict=True)]
            whole: Array = np.concatenate(parts)
            return whole

        return Trees(
            task=target.task,
            roots=roots.astype(np.int32),
            left=joined("children_left", shift=True).astype(np.int32),
            right=joined("children_right", shift=True).astype(np.int32),
            feature=joined("feature").astype(np.int32),
            threshold=joined("threshold"),
            value=joined("value").reshape(int(sizes.sum()), target.count),
        )

    def load(self, folder: Path) -> Trees:
        from safetensors import safe_open

        with safe_open(folder / "classifier.safetensors", "np") as file:
            return Trees(file.metadata()["task"], **{k: file.get_tensor(k) for k in file.keys()})  # noqa: SIM118


CLASSIFIER = Forest()
