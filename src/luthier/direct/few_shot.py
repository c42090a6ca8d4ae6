"""Worked examples in the prompt, chosen at random and balanced by label.

k training rows stand before every question; the wording is chosen on the validation rows. The examples are the same for
every question, so they are computed once. Source: Brown et al. 2020, "Language Models are Few-Shot Learners".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from luthier.data.prompts import answer_of, prompt_of
from luthier.errors import LuthierError
from luthier.evals.wording import best_wording, load_wording
from luthier.protocols import Direct, Record, Run, Split

if TYPE_CHECKING:
    from luthier.models.base import BaseLM

extras = ()


@dataclass(frozen=True)
class FewShot(Direct):
    """k: worked examples; at least one a label where they fit. validation: rows that judge the wordings."""

    k: int = 8
    validation: int = 64

    seeded: ClassVar[bool] = True
    remote: ClassVar[bool] = True

    def refuses(self, lm: BaseLM, data: Split) -> str | None:
        return lm.mute(data.labels)

    def adapt(self, lm: BaseLM, data: Split, run: Run) -> BaseLM:
        if self.k < 1:
            raise LuthierError(f"direct.k: must be at least 1, not {self.k}")
        shots = choose(data, self.k, run.seed)
        choices = [fitting(lm.worded(t, data.labels, shots), data) for t in lm.wordings(data.labels)]
        return best_wording(choices, data, self.validation)

    def load(self, folder: Path, lm: BaseLM) -> BaseLM:
        return load_wording(folder, lm)


def choose(data: Split, k: int, seed: int) -> list[Record]:
    """k training rows (a label's worth more where labels outnumber k), labels in turn, in random order."""
    rng = np.random.default_rng([seed, 7])
    order = [data.train[int(i)] for i in rng.permutation(len(data.train))]
    if not data.labels:
        return order[:k]
    by_label = {label: [r for r in order if answer_of(r) == label] for label in data.labels}
    rounds = [rows[i] for i in range(len(order)) for rows in by_label.values() if i < len(rows)]
    chosen = rounds[: max(k, len(data.labels))]
    return [chosen[int(i)] for i in rng.permutation(len(chosen))]


def fitting(lm: BaseLM, data: Split) -> BaseLM:
    """Leave out worked examples from the end until the longest known question fits the context with its answer."""
    asked = max(data.validation or data.train, key=lambda r: len(str(prompt_of(r))))
    while lm.shots and lm.length(prompt_of(asked), data.labels) > lm.context - 256:
        assert lm.template is not None
        lm = lm.worded(lm.template, data.labels, lm.shots[:-1])
    return lm


METHOD = FewShot
