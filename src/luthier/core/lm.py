"""What answers questions, whatever made it: all that evaluation, comparison, export and serving see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from luthier.core.records import Prompt, Sampling

if TYPE_CHECKING:
    from torch import Tensor


class LM(Protocol):
    """All that evaluation, comparison, export and serving see of an adapted model."""

    can: frozenset[str]  # of "generate", "logprobs", "predict"

    @property
    def output(self) -> str:
        """What it answers with: labels, tags, scalar or text."""

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """One answer a prompt."""

    def logprobs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Tensor]:
        """Log-probability of each answer token, in nats; (tokens,) float32 a pair."""

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """(N, K) log-probabilities of the labels, normalised over them.

        Adapted to several labels a text: the log-probability of each label by itself. Adapted to a number: (N, 1), the
        number, whatever `labels` are.
        """

    def save(self, folder: Path) -> None:
        """Write all that is needed besides the base model into an existing folder."""
