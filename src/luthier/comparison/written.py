"""Written answers of each row of a comparison, held against those of the untuned model by a judge (`--judge`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from luthier.comparison.plan import Request
from luthier.core.lm import WordedLM
from luthier.core.phrases import say
from luthier.core.records import Sampling
from luthier.core.split import Split
from luthier.core.tasks import WRITTEN
from luthier.evals.drawn import PROMPTS, TEMPERATURE, TOKENS, Untuned, measured, write
from luthier.io.files import read_json, write_json
from luthier.runs.judges import comparer
from luthier.runs.run import Outcome
from luthier.training.context import Meter

KEPT = "untuned.json"  # of a comparison: the untuned model's answers, the same for all workers


@dataclass(frozen=True)
class AgainstUntuned:
    """The untuned model's answers to the first test rows, written once, and who judges."""

    lm: WordedLM
    data: Split
    request: Request
    folder: Path
    tell: Callable[[str, None], None]

    def of(self, outcome: Outcome) -> dict[str, Any]:
        """What a judge says of the answers that an adapted model writes, and how far it moved; nothing without one."""
        untuned, loop = self._untuned, outcome.loop
        if untuned is None or "generate" not in outcome.lm.can:
            return {}
        if loop is None:
            return measured(outcome.lm, untuned)
        return measured(outcome.lm, untuned, self._plain, partial(loop.patch.off, loop.lm))

    def notes(self, method: str) -> list[str]:
        """That a method is judged by what it was made for, where it is."""
        request = self.request
        same = self._untuned is not None and request.judge == request.reward
        return [say("said_judged_by_reward")] if same and "reward" in request.spec(method).needs else []

    @property
    def _plain(self) -> WordedLM:
        """The model as it is asked without any method."""
        return self.lm.asked(template=self.lm.wordings(())[0], labels=())

    @cached_property
    def _untuned(self) -> Untuned | None:
        judged = self.request.judge and self.data.task in WRITTEN and "generate" in self.lm.can
        if not judged:
            return None
        who = comparer(self.request.judge, Meter(), self.request.limits)
        rows, kept = tuple(self.data.test[:PROMPTS]), self.folder / KEPT
        sampling = Sampling(self.data.answer_tokens or TOKENS, TEMPERATURE)
        if not kept.exists():
            self.tell("answers of the untuned model", None)
            write_json(kept, {"answers": list(write(self._plain, rows, sampling))})
        return Untuned(rows, tuple(read_json(kept)["answers"]), sampling, who)
