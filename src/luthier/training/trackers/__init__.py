"""Trackers on request: TensorBoard, Weights & Biases, MLflow, trackio. One file each, found by its name.

A tracker gets what metrics.jsonl gets, and the final scores. Whatever goes wrong in it, the training goes on: it is
named once in a warning and left out from then on.

A file has `extras` (the packages it needs) and `TRACKER`, a class with
    __init__(run, group, settings, folder, step)     settings: the recipe as plain values; step: the first to come
    log(values, step)                                values: name -> number
    finish(scores)                                   name -> number
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core import plugins
from luthier.core.catalog import suggest
from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from luthier.core.progress import Report

FINAL = (
    "score", "train_seconds", "latency_ms", "forgetting", "trainable", "artifact_bytes", "peak_memory_bytes", "tokens",
)  # fmt: skip


def names() -> list[str]:
    """Every tracker there is."""
    return list(plugins.members("trackers"))


def check(wanted: Sequence[str]) -> tuple[str, ...]:
    """The trackers, each once. Raises LuthierError for one that is unknown or whose package is missing."""
    for name in wanted:
        if name not in names():
            raise LuthierError(f"there is no tracker {name!r}{suggest(name, names())}")
        extras = plugins.members("trackers")[name].constants.get("extras", ())
        if missing := [n for n in extras if importlib.util.find_spec(n) is None]:
            raise LuthierError(f"tracker {name} needs {', '.join(missing)}: pip install {' '.join(missing)}")
    return tuple(dict.fromkeys(wanted))


class Tracking:
    """All trackers of one run. They are begun at the first step, so that a resumed run says where it goes on."""

    def __init__(self, wanted: Sequence[str], run: str, settings: Mapping[str, Any], folder: Path) -> None:
        self.wanted, self.run, self.settings, self.folder = tuple(wanted), run, settings, folder
        self._open: dict[str, Any] | None = None

    def log(self, report: Report) -> None:
        """A step of training."""
        told = {k: v for k, v in vars(report).items() if k not in ("step", "metrics")} | dict(report.metrics or {})
        values = {k: float(v) for k, v in told.items() if v is not None and math.isfinite(v)}
        self._each("log", report.step, values, report.step)

    def finish(self, result: Mapping[str, Any]) -> None:
        """The final scores; then all are closed."""
        found = {k: result.get(k) for k in FINAL} | dict(result.get("secondary") or {})
        scores = {k: float(v) for k, v in found.items() if isinstance(v, int | float) and math.isfinite(v)}
        self._each("finish", 0, scores)
        self._open = {}

    def _each(self, action: str, step: int, *arguments: Any) -> None:
        if self._open is None:
            self._open = {}
            for name in self.wanted:
                self._try(name, lambda name=name: self._begin(name, step))
        for name, tracker in list(self._open.items()):
            self._try(name, lambda tracker=tracker: getattr(tracker, action)(*arguments))

    def _begin(self, name: str, step: int) -> None:
        assert self._open is not None
        tracker = plugins.members("trackers")[name].load("TRACKER")
        made = tracker(self.run, self.folder.resolve().name, self.settings, self.folder, step)
        self._open[name] = made

    def _try(self, name: str, action: Any) -> None:
        try:
            action()
        except Exception as error:  # whatever it is: a tracker must not take the training with it
            assert self._open is not None
            self._open.pop(name, None)
            words = str(error).strip().split("\n")[0]
            print(f"warning: tracker {name} is left out: {type(error).__name__}: {words}", file=sys.stderr, flush=True)
