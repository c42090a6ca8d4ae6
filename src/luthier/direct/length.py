"""The longer answer, or the shorter one, whichever people preferred in the training rows.

It reads nothing and asks no model, so a reward model that does no better has learned that people like long answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.lm import Predictor
from luthier.core.methods import Direct
from luthier.core.records import Task
from luthier.evals.metrics.pair_accuracy import comparisons
from luthier.io.files import read_record, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.training.context import Context

extras = ()


@dataclass(frozen=True)
class Length(Direct):
    """Nothing to set. Length is counted in characters."""

    tasks: ClassVar[tuple[Task, ...]] = ("preference",)
    seeded: ClassVar[bool] = False
    remote: ClassVar[bool] = True
    asks: ClassVar[bool] = False

    def adapt(self, ctx: Context) -> LengthLM:
        found = comparisons(ctx.data.train)
        lengths = [float(len(text)) for _, text in found.answers]
        right = found.right(lengths)
        return LengthLM(1 if sum(right) >= len(right) / 2 else -1)

    def load(self, folder: Path, ctx: Context) -> LengthLM:
        return LengthLM(read_record(folder / "luthier.json", "sign")["sign"])


@dataclass
class LengthLM(Predictor):
    """sign: 1 where the longer answer is the better one, else -1."""

    sign: int

    what = "the length of an answer"
    output = "reward"

    def predict(self, texts: Sequence[Any], labels: Sequence[str]) -> Tensor:
        """(N, 1) numbers of conversations that end with their answers."""
        import torch

        return torch.tensor([[float(self.sign * len(messages[-1].content))] for messages in texts]).view(-1, 1)

    def save(self, folder: Path) -> None:
        """Which of them it is."""
        write_json(folder / "luthier.json", {"sign": self.sign, "labels": []})


METHOD = Length
