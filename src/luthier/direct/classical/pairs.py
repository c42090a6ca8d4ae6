"""Which of two answers is better, by a linear score of frozen features: logistic regression on their differences.

P(first is better) = σ(w·(h(first) - h(second))), h the pooled states of the conversation with the answer, scaled by
their deviation. There is no constant, so that turning a pair round turns the verdict. All pairs of the training rows
count; depth, pooling and regularisation are chosen by cross-validation over rows. Source: Bradley and Terry 1952.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.core.lm import Predictor
from luthier.core.records import Compared
from luthier.core.split import Split
from luthier.direct.classical.fitted import Array
from luthier.evals.spoken import spoken, spoken_all
from luthier.io.files import read_record, write_json, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM

PAIRS = "pairs.safetensors"
FLAT = 1e-6  # a deviation below which a feature says nothing


def fit_pairs(lm: TrainableLM, data: Split, strengths: Sequence[float], folds: int, cache: Path) -> PairLM:
    """The score that tells the training pairs best."""
    from luthier.models.inference.features import features

    texts: list[str] = []
    pairs: list[tuple[int, int, int]] = []  # row, better, worse
    rows = [record for record in data.train if isinstance(record, Compared)]
    for row, record in enumerate(rows):
        pairs += [(row, len(texts) + i, len(texts) + j) for i, j in record.pairs]
        texts += [spoken(record.messages, text) for text in record.answers]
    row_of, better, worse = (np.array(column) for column in zip(*pairs, strict=True))
    found = {name: t.numpy().astype(np.float64) for name, t in features(lm, texts, cache).items()}
    fold = np.random.default_rng(0).permutation(len(rows))[row_of] % min(folds, len(rows))

    def validated(name: str, strength: float) -> float:
        apart = found[name][better] - found[name][worse]
        right = [
            (apart[fold == k] @ _fitted(apart[fold != k], found[name].std(0), strength) > 0).mean()
            for k in np.unique(fold)
            if (fold != k).any()
        ]
        return float(np.mean(right)) if right else 0.0

    middle = strengths[len(strengths) // 2]
    name = max(found, key=lambda each: validated(each, middle))
    strength = max(strengths, key=lambda each: validated(name, each)) if len(strengths) > 1 else middle
    weight = _fitted(found[name][better] - found[name][worse], found[name].std(0), strength)
    return PairLM(lm, name, weight, float((found[name][better] @ weight).mean()), cache)


def _fitted(apart: Array, deviation: Array, strength: float) -> Array:
    """Weights (d,) of differences (P, d) between better and worse answers."""
    from sklearn.linear_model import LogisticRegression

    scale = np.where(deviation > FLAT, deviation, np.inf)
    x = apart / scale
    model = LogisticRegression(C=strength, fit_intercept=False, max_iter=2000)
    model.fit(np.concatenate([x, -x]), np.repeat([1, 0], len(x)))
    weight: Array = model.coef_[0] / scale
    return weight


@dataclass
class PairLM(Predictor):
    """A frozen base with a linear score of conversations; better answers of the training rows have 0 on average.

    features: "depth.pooling". weight: (d,). centre: what is taken off.
    """

    lm: TrainableLM
    features: str
    weight: Array
    centre: float
    cache: Path

    what = "a score of frozen features"
    output = "reward"

    def predict(self, texts: Sequence[Any], labels: Sequence[str]) -> Tensor:
        """(N, 1) numbers of conversations that end with their answers."""
        import torch

        from luthier.models.inference.features import features

        x = features(self.lm, spoken_all(texts), self.cache)[self.features].numpy().astype(np.float64)
        return torch.from_numpy(x @ self.weight - self.centre)[:, None]

    def save(self, folder: Path) -> None:
        """The weights, and what they are read from."""
        import torch

        numbers = {"weight": torch.from_numpy(self.weight), "centre": torch.tensor([self.centre], dtype=torch.float64)}
        write_tensors(folder / PAIRS, numbers)
        write_json(folder / "luthier.json", {"features": self.features, "labels": [], "task": "preference"})


def load_pairs(folder: Path, lm: TrainableLM, cache: Path) -> PairLM:
    """What `save` wrote."""
    from safetensors.numpy import load_file

    meta, found = read_record(folder / "luthier.json", "features"), load_file(folder / PAIRS)
    return PairLM(lm, meta["features"], found["weight"], float(found["centre"][0]), cache)
