"""Frozen features and a classical classifier: logistic regression on pooled hidden states.

Depth, pooling and regularisation are chosen by cross-validation on the training rows. Features are computed once and
cached on disk by content. Source: "feature-based" adaptation, Peters et al. 2019; linear probes, Alain & Bengio 2016.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from luthier.files import read_record, read_tensors, write_json, write_tensors
from luthier.protocols import Direct, Labelled, Prompt, Run, Sampling, Split, Task

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import BaseLM

extras = ()
FILE = "classifier.safetensors"


@dataclass(frozen=True)
class Features(Direct):
    """folds: of the cross-validation. strengths: inverse regularisation values (C) tried."""

    folds: int = 4
    strengths: tuple[float, ...] = (0.003, 0.03, 0.3)

    tasks: ClassVar[tuple[Task, ...]] = ("classification",)
    seeded: ClassVar[bool] = False

    def adapt(self, lm: BaseLM, data: Split, run: Run) -> FeatureLM:
        import torch
        from sklearn.preprocessing import StandardScaler

        from luthier.models.features import features

        rows = [r for r in data.train if isinstance(r, Labelled)]
        y = np.array([data.labels.index(r.label) for r in rows])
        found = {name: t.numpy() for name, t in features(lm, [r.text for r in rows], run.cache).items()}
        middle = self.strengths[len(self.strengths) // 2]
        name = max(found, key=lambda n: self._validated(found[n], y, middle))
        strength = max(self.strengths, key=lambda c: self._validated(found[name], y, c))
        scaler = StandardScaler().fit(found[name])
        model = _fit(scaler.transform(found[name]), y, strength)
        weight, bias = _linear(model, len(data.labels))
        spread = np.where(scaler.scale_ == 0, 1.0, scaler.scale_)
        weight = weight / spread  # the scaling is folded in, so that one matrix ships
        bias = bias - weight @ scaler.mean_
        return FeatureLM(
            lm,
            name,
            torch.from_numpy(weight).float().contiguous(),
            torch.from_numpy(bias).float(),
            data.labels,
            run.cache,
        )

    def _validated(self, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], strength: float) -> float:
        from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        folds = min(self.folds, int(np.bincount(y)[np.bincount(y) > 0].min()), len(y))
        if folds > 1:
            cv: Any = StratifiedKFold(folds, shuffle=True, random_state=0)
        else:  # a label with a single row
            cv = KFold(2, shuffle=True, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline = make_pipeline(StandardScaler(), _regression(strength))
            return float(np.nan_to_num(cross_val_score(pipeline, x, y, cv=cv)).mean())

    def load(self, folder: Path, lm: BaseLM) -> FeatureLM:
        from luthier.models.embedded import cache_dir

        meta, tensors = read_record(folder / "luthier.json", "features"), read_tensors(folder / FILE)
        return FeatureLM(lm, meta["features"], tensors["weight"], tensors["bias"], tuple(meta["labels"]), cache_dir())


def _regression(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=300)


def _fit(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], strength: float) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _regression(strength).fit(x, y)


def _linear(model: Any, count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(K, d) weights and (K,) biases of a fitted regression: two classes come as one row, unseen ones as none."""
    weight = np.zeros((count, model.coef_.shape[1]))
    bias = np.full(count, -1e4)
    if len(model.classes_) == 2:
        weight[model.classes_] = np.stack([np.zeros(weight.shape[1]), model.coef_[0]])
        bias[model.classes_] = [0.0, model.intercept_[0]]
    else:
        weight[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    return weight, bias


@dataclass
class FeatureLM:
    """A frozen base with a linear classifier on its features; it can only predict labels.

    name: "depth.pooling". weight: (K, d). bias: (K,).
    """

    lm: BaseLM
    name: str
    weight: Tensor
    bias: Tensor
    labels: tuple[str, ...]
    cache: Path

    can = frozenset({"predict"})

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """(N, K) log-probabilities in the order of `labels`."""
        from luthier.models.features import features

        x = features(self.lm, texts, self.cache)[self.name]
        logits = (x.double() @ self.weight.double().T + self.bias)[:, [self.labels.index(label) for label in labels]]
        return logits.log_softmax(-1).float()

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """Not possible."""
        from luthier.errors import LuthierError

        raise LuthierError("frozen features can only predict labels, they cannot write text")

    def logprobs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Tensor]:
        """Not possible."""
        from luthier.errors import LuthierError

        raise LuthierError("frozen features can only predict labels, they give no likelihood of a text")

    def save(self, folder: Path) -> None:
        """The classifier in safetensors; no pickle."""
        write_tensors(folder / FILE, {"weight": self.weight, "bias": self.bias})
        write_json(folder / "luthier.json", {"features": self.name, "labels": list(self.labels)})


METHOD = Features
