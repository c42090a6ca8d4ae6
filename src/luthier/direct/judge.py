"""The model itself is asked which of two answers is better, in both orders; nothing is trained.

Source: Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from luthier.core.errors import LuthierError
from luthier.core.lm import Predictor
from luthier.core.methods import Direct
from luthier.core.records import Prompt, Task
from luthier.evals.judging import Pair, verdicts
from luthier.io.files import write_json

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.core.lm import WordedLM
    from luthier.training.context import Context

extras = ()


@dataclass(frozen=True)
class Judge(Direct):
    """Nothing to set."""

    tasks: ClassVar[tuple[Task, ...]] = ("preference",)
    seeded: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    remote: ClassVar[bool] = True

    def refuses(self, ctx: Context) -> str | None:
        return ctx.lm.lacks("logprobs") and ctx.lm.lacks("generate")

    def adapt(self, ctx: Context) -> JudgeLM:
        return JudgeLM(ctx.lm)

    def load(self, folder: Path, ctx: Context) -> JudgeLM:
        return JudgeLM(ctx.lm)


@dataclass
class JudgeLM(Predictor):
    """A model that compares two answers; it gives no number for one alone."""

    lm: WordedLM

    what = "a judge of two answers"
    can = frozenset({"prefers"})
    output = "verdict"

    def prefers(self, pairs: Sequence[Pair]) -> list[float]:
        """How likely the first of two answers is the better one, the mean over both orders."""
        return [verdict.mean for verdict in verdicts(self.lm, pairs)]

    def predict(self, texts: Sequence[Prompt], labels: Sequence[str]) -> Tensor:
        """Not possible."""
        raise LuthierError("a judge compares two answers: it gives no number for one alone")

    def save(self, folder: Path) -> None:
        """There is nothing to keep but that."""
        write_json(folder / "luthier.json", {"judge": True, "labels": []})


METHOD = Judge
