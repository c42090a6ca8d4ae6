"""What a comparison found, as data: rows, verdicts and a recommendation, in one schema, `leaderboard.json`.

    {"schema": 2, "task", "metric", "model", "models", "budget", "rows": [Row], "best": NAME, "constant",
     "verdicts": [Verdict], "recommendation": Recommendation, "winner": Winner, "lopsided": Lopsided or null,
     "answer", "spent", "curve"}

Rows are known by their `name`, which is unique; `method` is what was asked for. No sentence stands here: those are
made where it is shown (`reports.comparison.sentences`), in the reader's language. Files of schema 1 are still read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from luthier.core.errors import LuthierError
from luthier.evals.bootstrap import Interval
from luthier.io.files import read_record

NAME = "leaderboard.json"
SCHEMA = 2
BASELINE, CONSTANT = "zero_shot", "majority"
Against = Literal["constant", "untuned", "best"]
Kind = Literal["better", "worse", "tied", "unsure"]


@dataclass(frozen=True)
class Verdict:
    """Row `a` against `b`, by their names: the difference of their scores on the same test rows, with its interval.

    interval: wide enough that those of all pairs of rows hold at once at 95 %. kind: "better" and "worse" are sure by
    it; "unsure" would be if this were the only pair, "tied" not even then. against: what b is to the comparison; the
    constant answer ("constant") needs no row of its own and is called `majority` all the same. steps: of a's own
    training, where it went through the loop.
    """

    kind: Kind
    a: str
    b: str
    interval: tuple[float, float]
    difference: float
    against: Against
    steps: int | None = None

    @classmethod
    def of(
        cls, a: str, against: Against, b: str, alone: Interval, found: Interval, steps: int | None = None
    ) -> Verdict:
        """From the intervals of the paired difference: as if it were the only one, and among all."""
        kind: Kind = "unsure" if alone.excludes_zero else "tied"
        if found.excludes_zero:
            kind = "better" if found.low > 0 else "worse"
        return cls(kind, a, b, (found.low, found.high), found.value, against, steps)

    @property
    def collapsed(self) -> bool:
        """Whether the row's own training left it below the untuned model."""
        return self.against == "untuned" and self.kind == "worse" and self.steps is not None


@dataclass(frozen=True)
class Recommendation:
    """What to use, and why. name: the row with the best score; command: how to go on with it, "" where none is advised.

    kind: "use"; "untuned" (the untuned model, `other`, cannot be told from it), "cheaper" (neither can `other`, which
    took less to make); against the constant answer: "constant" (it is the best itself), "level", "below"; "none"
    finished. "cost", "size", "latency": asked for by `--prefer`; `name` cannot be told from the best, `other`, and
    takes less of it. interval: of the score. seconds: to make `other` and `name`. amounts: what `name` and `other`
    take, in seconds, bytes or milliseconds. unsure: of "untuned" and "level", if it were the only pair it would be
    better.
    """

    kind: Literal["use", "untuned", "cheaper", "constant", "level", "below", "none", "cost", "size", "latency"]
    name: str = ""
    other: str = ""
    score: float | None = None
    interval: tuple[float, float] | None = None
    seconds: tuple[float, float] | None = None
    command: str = ""
    amounts: tuple[float, float] | None = None
    unsure: bool = False


@dataclass(frozen=True)
class Winner:
    """The row with the best score of `of`. corrected: its score without what it gained by being chosen on these rows;
    ci95: of what it is truly worth."""

    name: str
    score: float
    corrected: float
    ci95: tuple[float, float]
    of: int


@dataclass(frozen=True)
class Lopsided:
    """That one label has most of the test rows. share: of them. command: compares by what weighs labels alike."""

    label: str
    share: float
    command: str


@dataclass(frozen=True)
class Constant:
    """The answer that looks at no text. kind: what it is; answer: in words, shortened."""

    kind: Literal["label", "labels", "median", "answer"]
    answer: str


@dataclass(frozen=True)
class Row:
    """One method on the test rows. None: not measured, or not finished (`status`, `reason`).

    score, ci95: as the metric has them, higher is better. seconds are means over seeds, by the wall's clock unless
    `cpu` says otherwise; search: for a learning rate. latency: one question alone. forgetting: rise of the loss on
    general text, nats a token. base_bytes: of the base's linear weights in memory. tuned: it learned weights.
    wins, kl, reply_tokens: of written answers (`luthier.evals.drawn`).
    """

    name: str
    method: str
    model: str
    status: str
    reason: str | None = None
    score: float | None = None
    ci95: tuple[float, float] | None = None
    seeds: int = 0
    trainable: int | None = None
    trainable_share: float | None = None
    tuned: bool | None = None
    steps: int | None = None
    batch: int | None = None
    train_seconds: float | None = None
    train_cpu_seconds: float | None = None
    search_seconds: float | None = None
    search_cpu_seconds: float | None = None
    answer_seconds: float | None = None
    answer_cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    artifact_bytes: int | None = None
    latency_ms: float | None = None
    forgetting: float | None = None
    mergeable: bool | None = None
    learning_rate: float | None = None
    base_bytes: int | None = None
    wins: float | None = None
    wins_ci95: tuple[float, float] | None = None
    kl: float | None = None
    kl_ci95: tuple[float, float] | None = None
    reply_tokens: float | None = None


def as_json(value: Any) -> Any:
    """A dataclass of this module as JSON has it."""
    return {key: list(part) if isinstance(part, tuple) else part for key, part in asdict(value).items()}


def verdicts_of(board: Mapping[str, Any]) -> list[Verdict]:
    """The verdicts of a board; none of one of schema 1."""
    found = [dict(v) for v in board.get("verdicts") or () if isinstance(v, Mapping)]
    return [Verdict(**{**v, "interval": tuple(v["interval"])}) for v in found]


def recommendation_of(board: Mapping[str, Any]) -> Recommendation | None:
    """The recommendation of a board; None of one of schema 1."""
    found = board.get("recommendation")
    if not isinstance(found, Mapping):
        return None
    pairs = {key: tuple(found[key]) if found.get(key) else None for key in ("interval", "seconds", "amounts")}
    return Recommendation(**{**found, **pairs})


def read_board(folder: Path) -> dict[str, Any]:
    """`leaderboard.json` of a finished comparison, as the newest schema has it. Raises LuthierError."""
    path = folder / NAME
    board = read_record(path, "rows", "best", "metric")
    if (found := board.get("schema", 1)) > SCHEMA:
        raise LuthierError(f"{path}: written by a newer version (schema {found}, this one reads up to {SCHEMA})")
    return board if found == SCHEMA else _of_schema_1(board)


def _of_schema_1(board: Mapping[str, Any]) -> dict[str, Any]:
    """Rows get their name. What was said in English stays under `said`: it cannot be made into data."""
    rows = [{**row, "name": row.get("name") or row["method"]} for row in board["rows"]]
    models = (None, board["best_model"]) if board.get("best_model") else (None,)
    best = next((r["name"] for r in rows if r["method"] == board["best"] and _among(r.get("model"), models)), None)
    said = [*(board.get("verdicts") or ()), *filter(None, [board.get("recommendation")])]
    return {**board, "schema": 1, "rows": rows, "best": best, "verdicts": [], "recommendation": None, "said": said}


def _among(model: object, models: Sequence[object]) -> bool:
    return len(models) == 1 or model in models
