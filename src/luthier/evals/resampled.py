"""The bootstrap of results as files keep them: by the mean over rows, or by what a metric counts anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from luthier.core.metric import statistic
from luthier.evals.bootstrap import Bootstrap, Interval

Runs = Mapping[str, Sequence[Mapping[str, Any]]]


def bootstrap(runs: Runs, metric: str) -> Bootstrap:
    """Of methods by name, each with its runs: `per_row`, and `codes` where the metric needs them.

    Results of an earlier version, and such as hold no codes, are taken as means.
    """
    count = statistic(metric)
    whole = count if all("codes" in run for found in runs.values() for run in found) else None
    return Bootstrap(
        {name: [run["per_row"] for run in found] for name, found in runs.items()},
        statistic=whole,
        codes={name: [run["codes"] for run in found] for name, found in runs.items()} if whole else None,
    )


def score(run: Mapping[str, Any]) -> Interval:
    """The score of one run with its interval. run: `metric` and what `bootstrap` needs."""
    return bootstrap({"run": [run]}, str(run["metric"])).score("run")
