"""Linear support vector machines: one against the rest, one a label, or support vector regression for numbers.

Distances from the boundary are no probabilities, so one factor makes them such: the one under which rows left out of
the fit are likeliest. Source: Cortes & Vapnik 1995; a factor after Platt 1999.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from luthier.direct.classical.fitted import Array, Linear, Target
from luthier.direct.classical.linear_fit import fit_linear
from luthier.direct.classifiers import Classifier

FACTORS = tuple(2.0 ** (k / 2) for k in range(-6, 13))
FOLDS = 3


class Svm(Classifier):
    """Squared hinge loss, L2-regularised by the strength (C)."""

    def fit(self, x: Array, y: Array, target: Target, strength: float) -> Linear:
        from sklearn.svm import LinearSVC, LinearSVR

        def model() -> Any:
            if target.task == "regression":
                return LinearSVR(C=strength, random_state=0, max_iter=5000, loss="squared_epsilon_insensitive")
            return LinearSVC(
                C=strength, random_state=0, max_iter=5000, class_weight="balanced" if target.balanced else None
            )

        if target.task != "regression":
            return fit_linear(model, x, y, target)
        centre, spread = float(y.mean()), float(y.std()) or 1.0  # its margin is in the unit of the numbers
        found = fit_linear(model, x, (y - centre) / spread, target)
        return Linear(found.weight * np.float32(spread), (found.bias * spread + centre).astype(np.float32))

    def final(self, x: Array, y: Array, target: Target, strength: float) -> Linear:
        found = self.fit(x, y, target, strength)
        if target.task == "regression":
            return found
        left_out = np.full((len(y), target.count), np.nan)
        for k in range(FOLDS):
            held = np.arange(len(y)) % FOLDS == k
            if len(np.unique(y[~held], axis=0)) > 1:
                left_out[held] = self.fit(x[~held], y[~held], target, strength).outputs(x[held])
        seen = ~np.isnan(left_out).any(1)
        factor = max(FACTORS, key=lambda f: _likelihood(f * left_out[seen], y[seen], target))
        return Linear(found.weight * np.float32(factor), found.bias * np.float32(factor))

    def load(self, folder: Path) -> Linear:
        return Linear.load(folder)


def _likelihood(logits: Array, y: Array, target: Target) -> float:
    """Sum of log-probabilities of the right answers; labels that a fold has not seen count as little as they can."""
    if target.task == "multilabel":
        return -float(np.logaddexp(0, np.where(y > 0, -logits, logits)).clip(max=50).sum())
    right = logits[np.arange(len(y)), y] - np.logaddexp.reduce(logits, axis=1)
    return float(right.clip(min=-50).sum())


CLASSIFIER = Svm()
