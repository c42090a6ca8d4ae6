"""Linear models of scikit-learn as one matrix: one model for labels or a number, or one for each of several labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from luthier.direct.classical.fitted import NEVER, Array, Linear, Target


def fit_linear(model: Callable[[], Any], x: Array, y: Array, target: Target) -> Linear:
    """Fit on standardised features; the scaling is folded into the matrix afterwards."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    scaled = scaler.transform(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that stops at its last iteration is one like any other
        if target.task == "multilabel":
            parts = [_one_label(model, scaled, y[:, k]) for k in range(target.count)]
            weight, bias = np.stack([w for w, _ in parts]), np.array([b for _, b in parts])
        elif target.task == "regression":
            fitted = model().fit(scaled, y)
            weight, bias = fitted.coef_.reshape(1, -1), np.atleast_1d(fitted.intercept_)
        else:
            weight, bias = class_matrix(model().fit(scaled, y), target.count)
    return Linear.unscaled(weight, bias, scaler.mean_, scaler.scale_)


def _one_label(model: Callable[[], Any], x: Array, y: Array) -> tuple[Array, float]:
    """Weights and bias of a yes or no; what all rows say is never doubted."""
    if len(np.unique(y)) < 2:
        return np.zeros(x.shape[1]), -NEVER if y[0] else NEVER
    fitted = model().fit(x, y)
    return fitted.coef_[0], float(fitted.intercept_[0])


def class_matrix(model: Any, count: int) -> tuple[Array, Array]:
    """(K, d) weights and (K,) biases of a fitted classifier: two classes come as one row, unseen ones as none."""
    weight = np.zeros((count, model.coef_.shape[1]))
    bias = np.full(count, NEVER)
    if len(model.classes_) == 2:
        weight[model.classes_] = np.stack([np.zeros(weight.shape[1]), model.coef_[0]])
        bias[model.classes_] = [0.0, model.intercept_[0]]
    else:
        weight[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    return weight, bias
