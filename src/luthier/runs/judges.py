"""Models that a run or a comparison names: who is imitated (`teacher`), who tells two answers apart (`--judge`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.evals.judging import Pair, ahead, verdicts
from luthier.io.config import EndpointConfig, Recipe
from luthier.io.kept import is_run
from luthier.models.endpoint.remote import is_remote
from luthier.models.loading.of_recipe import load_base
from luthier.runs.loaded import judge, load_run
from luthier.runs.rewards import conversation, named
from luthier.training.context import Meter

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM
    from luthier.core.records import Record
    from luthier.evals.drawn import Comparer
    from luthier.training.context import Reward


def teacher_of(recipe: Recipe) -> Any:
    """The model to imitate, with weights of its own; None where none is named. Raises LuthierError."""
    if not recipe.teacher:
        return None
    folder = Path(recipe.teacher)
    base = replace(recipe, model=recipe.teacher, start="", attention="")
    found: Any = load_run(folder) if is_run(folder) else load_base(base)
    if is_remote(found) or "logprobs" not in found.can:
        raise LuthierError(f"teacher: {recipe.teacher} gives no log-probabilities of a given text")
    return found


def check_named(judge: str, reward: str) -> None:
    """Raise LuthierError where the name of a judge or of a reward is nothing; no model is loaded."""
    for name in ("" if judge.startswith("ask:") else judge, reward):
        if name and not is_run(Path(name)):
            named(name)


def comparer(name: str, meter: Meter, endpoint: EndpointConfig | None = None) -> Comparer:
    """What tells two answers to one prompt apart: a reward by its numbers, or a model that is asked (`ask:NAME`)."""
    if not name.startswith("ask:"):
        return ByNumber(judge(name, meter, endpoint))
    folder = Path(name[4:])
    model: Any = (
        load_run(folder) if is_run(folder) else load_base(Recipe(model=name[4:], endpoint=endpoint or EndpointConfig()))
    )
    return ByAsking(model)


@dataclass(frozen=True)
class ByNumber:
    """The answer with the higher number is the better one."""

    reward: Reward

    def prefers(self, rows: Sequence[Record], answers: Sequence[str], others: Sequence[str]) -> list[float]:
        prompts = [row.asked for row in rows] * 2
        found = self.reward.score(prompts, [*answers, *others], [*rows, *rows])
        return [*map(ahead, found[: len(rows)], found[len(rows) :])]


@dataclass(frozen=True)
class ByAsking:
    """A model asked in both orders; where they name different answers, neither is better."""

    lm: WordedLM

    def prefers(self, rows: Sequence[Record], answers: Sequence[str], others: Sequence[str]) -> list[float]:
        pairs = [Pair(conversation(row.asked, "")[:-1], a, b) for row, a, b in zip(rows, answers, others, strict=True)]
        return [float(v.mean > 0.5) if v.agrees and p.first != p.second else 0.5
                for p, v in zip(pairs, verdicts(self.lm, pairs), strict=True)]  # fmt: skip
