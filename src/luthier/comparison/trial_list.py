"""Which trials a comparison has, what each is called and where it lies.

trials/METHOD/                     one base model
trials/MODELKEY/METHOD/            several base models
.../METHOD/rows-64/                a point of the curve: the same on the first 64 training rows
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luthier.comparison.plan import Request


@dataclass(frozen=True)
class Trial:
    """A method (its spec's name) on a base model; rows None: all training rows. place: its folder below trials/."""

    model: str
    method: str
    rows: int | None
    place: str

    def folder(self, root: Path) -> Path:
        """Its folder in the comparison's."""
        return root / "trials" / self.place


def model_key(request: Request, model: str) -> str:
    """The folder of a base model below trials/; "" where there is only one."""
    if len(request.models) == 1:
        return ""
    slug = re.sub(r"[^\w.-]+", "-", _last(model)).strip("-.")[:40]
    return f"{slug or 'model'}-{hashlib.sha256(model.encode()).hexdigest()[:6]}"


def trials_of(request: Request, model: str | None = None) -> list[Trial]:
    """Every trial of the comparison (of one model, if given), in the order in which they run: curves come last."""
    out = []
    for name in request.models if model is None else (model,):
        key = model_key(request, name)
        for rows in (None, *request.curve):
            for method in request.methods:
                parts = [key, request.spec(method).place, f"rows-{rows}" if rows else ""]
                out.append(Trial(name, method, rows, "/".join(p for p in parts if p)))
    return out


def plan_folder(root: Path, request: Request, model: str) -> Path:
    """Where the plan for this base is kept."""
    key = model_key(request, model)
    return root / "trials" / key if key else root


def begun(root: Path) -> bool:
    """Whether a plan was made here for any base of any request."""
    return (root / "plan.json").exists() or any(root.glob("trials/*/plan.json"))


def short_names(models: Sequence[str]) -> dict[str, str]:
    """Each model by the last part of its name, or by all of it where that part is another's as well."""
    counts = Counter(map(_last, models))
    return {model: _last(model) if counts[_last(model)] == 1 else model for model in models}


def name_of(request: Request, trial: Trial) -> str:
    """What the trial is called in words: the method, and the model where there are several."""
    if len(request.models) == 1:
        return trial.method
    return f"{trial.method} on {short_names(request.models)[trial.model]}"


def _last(model: str) -> str:
    return (model.rpartition("#")[2] if "#" in model else Path(model).name) or model


def scaled(tokens: int, rows: int, all_rows: int) -> int:
    """The training budget of a run on the first `rows` of `all_rows` training rows: tokens * sqrt(rows / all_rows).

    The same tokens for every size would repeat 32 rows so often that the run overfits, and would cost as much as the
    whole comparison at every point; tokens in proportion would leave 32 rows so few steps that too little training
    looks like too little data. The root lies between: with a quarter of the rows, half the steps and twice the passes.
    """
    return max(1, int(tokens * math.sqrt(rows / all_rows)))
