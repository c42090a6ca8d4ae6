"""Logistic regression; one for each label where there may be several; ridge regression for numbers.

Source: Cox 1958; ridge: Hoerl & Kennard 1970.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from luthier.direct.classical.fitted import Array, Linear, Target
from luthier.direct.classical.linear_fit import fit_linear
from luthier.direct.classifiers import Classifier


class Logistic(Classifier):
    """L2-regularised by the strength (C); numbers by alpha = 1 / C."""

    def fit(self, x: Array, y: Array, target: Target, strength: float) -> Linear:
        from sklearn.linear_model import LogisticRegression, Ridge

        def model() -> Any:
            if target.task == "regression":
                return Ridge(alpha=1 / strength)
            return LogisticRegression(C=strength, max_iter=300, class_weight="balanced" if target.balanced else None)

        return fit_linear(model, x, y.astype(np.float64) if target.task == "regression" else y, target)

    def load(self, folder: Path) -> Linear:
        return Linear.load(folder)


CLASSIFIER = Logistic()
