"""Shares of sources learned from small models (RegMix, Liu et al. 2024): losses over shares, and the best of them.

Shares of each proxy are drawn around what there is; the loss is fitted as a quadratic of the shares by ridge
regression; the shares that are recommended are the mean of the hundredth of many drawn ones whose predicted loss is
lowest. Each proxy is also predicted by all others: how well that orders them says how far to trust the recommendation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.core.errors import LuthierError

Array = NDArray[np.float64]
STRENGTH, DRAWN, BEST = (0.5, 8.0), 20_000, 0.01  # of the prior, from wide to narrow; shares that are tried; the best


@dataclass(frozen=True)
class Learned:
    """shares: recommended ones. predicted: their loss. order: rank correlation of losses with what others predict."""

    shares: dict[str, float]
    predicted: float
    order: float


def drawn(natural: Mapping[str, float], count: int, seed: int) -> list[dict[str, float]]:
    """Shares of so many proxies: first the natural and the equal ones, then around the natural ones."""
    names, random = list(natural), np.random.default_rng(seed)
    out = [dict(natural), dict.fromkeys(names, 1 / len(names))]
    out += [dict(zip(names, row.tolist(), strict=True)) for row in _around(natural, count, random)]
    return out[:count]


def _around(natural: Mapping[str, float], count: int, random: np.random.Generator) -> Array:
    """(count, sources): each row by a prior of its own strength, half towards equal shares."""
    prior = 0.5 * np.array(list(natural.values())) + 0.5 / len(natural)
    strength = np.exp(random.uniform(np.log(STRENGTH[0]), np.log(STRENGTH[1]), count))
    return np.array([random.dirichlet(np.maximum(prior * len(prior) * one, 1e-3)) for one in strength])


def learned(shares: Sequence[Mapping[str, float]], losses: Sequence[float], seed: int = 0) -> Learned:
    """Fit and recommend. Raises LuthierError where there are too few proxies for it."""
    names = list(shares[0]) if shares else []
    x, y = np.array([[one[name] for name in names] for one in shares]), np.array(losses)
    check(len(y), len(names))
    from scipy.stats import spearmanr

    others = np.arange(len(y))
    told = np.array([_fit(x[others != at], y[others != at])(x[at : at + 1])[0] for at in range(len(y))])
    order = float(np.nan_to_num(spearmanr(told, y).statistic)) if np.ptp(y) and np.ptp(told) else 0.0
    random = np.random.default_rng(seed)
    natural = dict(shares[0])
    tried = _around(natural, DRAWN, random)
    predict = _fit(x, y)
    found = predict(tried)
    best = tried[np.argsort(found)[: int(DRAWN * BEST)]].mean(0)
    return Learned(dict(zip(names, (best / best.sum()).tolist(), strict=True)), float(predict(best[None])[0]), order)


def check(proxies: int, sources: int) -> None:
    """Raise LuthierError for too few proxies, and where there is nothing to learn."""
    if sources < 2:
        raise LuthierError("one source: there are no shares to learn")
    if proxies < 2 * sources + 2:
        raise LuthierError(f"{proxies} proxies say nothing of {sources} sources: at least {2 * sources + 2}")


def _fit(x: Array, y: Array) -> Any:
    """Loss as a quadratic of shares."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    made = make_pipeline(
        PolynomialFeatures(2, include_bias=False), StandardScaler(), RidgeCV(np.logspace(-4, 2, 13))
    ).fit(x, y)
    return made.predict
