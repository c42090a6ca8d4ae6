"""What a fitted classical classifier is: outputs from features, a file without pickle, and the way back.

Targets: (N,) label numbers for classification, (N, K) of 0 and 1 for several labels, (N,) numbers for regression.
Outputs: (N, K) logits (softmax over the row, or a sigmoid for each label by itself), or (N, 1) numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from luthier.io.files import write_tensors

Array = np.ndarray[Any, Any]
NEVER = -1e4  # the logit of a label that no training row has


@dataclass(frozen=True)
class Target:
    """What is learned: the kind of task, and how many labels (1 for a number).

    balanced: each label weighs as much as any other, however many rows it has.
    """

    task: Literal["classification", "multilabel", "regression"]
    count: int
    balanced: bool = False

    def weights(self, y: Array) -> Array | None:
        """What each row counts, (N,); None where all count alike. The mean is 1."""
        if not self.balanced or self.task != "classification":
            return None
        _, place, rows = np.unique(y, return_inverse=True, return_counts=True)
        return np.asarray(len(y) / (len(rows) * rows[place]))

    def score(self, outputs: Array, y: Array) -> float:
        """What cross-validation maximises: accuracy, F1 of the sets of labels, or the negative absolute error."""
        if self.task == "regression":
            return -float(np.abs(outputs[:, 0] - y).mean())
        if self.task == "classification":
            return float((outputs.argmax(1) == y).mean())
        given, wanted = outputs > 0, y > 0
        both, all_ = (given & wanted).sum(1), given.sum(1) + wanted.sum(1)
        return float(np.where(all_ == 0, 1.0, 2 * both / np.maximum(all_, 1)).mean())


class Fitted(Protocol):
    """A fitted classifier."""

    def outputs(self, x: Array) -> Array:
        """(N, d) float32 features -> (N, K) float64."""
        ...

    def save(self, folder: Path) -> None:
        """Write it, without pickle."""
        ...


@dataclass
class Linear:
    """weight (K, d) and bias (K,), both float32: what is in memory is what the file holds."""

    weight: Array
    bias: Array

    @classmethod
    def unscaled(cls, weight: Array, bias: Array, mean: Array, spread: Array) -> Linear:
        """The standardisation of the features folded in, so that one matrix ships."""
        weight = weight / np.where(spread == 0, 1.0, spread)
        return cls(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32))

    def outputs(self, x: Array) -> Array:
        """x W' + b in double precision."""
        return x.astype(np.float64) @ self.weight.astype(np.float64).T + self.bias  # type: ignore[no-any-return]

    def save(self, folder: Path) -> None:
        """`classifier.safetensors`."""
        import torch

        tensors = {"weight": torch.from_numpy(self.weight), "bias": torch.from_numpy(self.bias)}
        write_tensors(folder / "classifier.safetensors", tensors)

    @classmethod
    def load(cls, folder: Path) -> Linear:
        """The inverse of `save`."""
        from safetensors.numpy import load_file

        tensors = load_file(folder / "classifier.safetensors")
        return cls(tensors["weight"], tensors["bias"])


def columns(target: Target, y: Array) -> Array:
    """(N, K) targets side by side: one-hot labels, labels of 0 and 1, or the numbers."""
    if target.task == "classification":
        return np.eye(target.count)[y]
    return y.reshape(len(y), target.count).astype(float)
