"""What answers questions, whatever made it: all that evaluation, comparison, export and serving see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from luthier.core.errors import LuthierError
from luthier.core.records import Prompt, Record, Sampling

if TYPE_CHECKING:
    from torch import Tensor


class LM(Protocol):
    """All that evaluation, comparison, export and serving see of an adapted model."""

    @property
    def can(self) -> frozenset[str]:
        """Of "generate", "logprobs", "predict"."""

    @property
    def output(self) -> str:
        """What it answers with: labels, tags, scalar, reward (a number for a conversation with its answer), verdict
        (how likely the first of two answers is the better one: it has `prefers`) or text."""

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


class Predictor:
    """What is no language model any more: it predicts and nothing else. what: it is, for errors."""

    what = "this"
    can: frozenset[str] = frozenset({"predict"})

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """Not possible."""
        raise LuthierError(f"{self.what} can only predict: no text is written")

    def logprobs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Tensor]:
        """Not possible."""
        raise LuthierError(f"{self.what} can only predict: no likelihood of a text is known")


class WordedLM(LM, Protocol):
    """A model that is asked with a wording, its weights here or behind an address: what direct methods adapt.

    name: as the user gave it. key: fingerprint, part of every cache's name. remote: it only answers. counted: what its
    prompts lost since they were too long.
    """

    name: str
    key: str
    remote: bool
    progress: Callable[[int, int], None] | None
    counted: Any

    @property
    def template(self) -> Any:
        """Its wording (`luthier.data.prompts.Template`); None means the task's first."""

    @property
    def shots(self) -> tuple[Record, ...]:
        """Worked examples that stand before every prompt."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes it tells apart."""

    @property
    def chooser(self) -> Callable[[Prompt], tuple[Record, ...]] | None:
        """What gives the worked examples of each prompt, in place of `shots`."""

    @property
    def only(self) -> Any:
        """The one wording that methods may use, where the user chose it."""

    @property
    def context(self) -> int:
        """The longest prompt with its answer, in tokens."""

    def lacks(self, ability: str) -> str | None:
        """The fact why it cannot do that (one of `can`), or None when it can."""

    def mute(self, labels: Sequence[str]) -> str | None:
        """The fact why a wording alone gets no answer from it, or None."""

    def wordings(self, labels: Sequence[str], chinese: bool = False) -> Sequence[Any]:
        """The wordings that a method may choose among."""

    def worded(self, template: Any, labels: Sequence[str], shots: Sequence[Record] = ()) -> Self:
        """The same model behind another wording."""

    def asked(self, **changes: Any) -> Self:
        """The same model, asked otherwise: fields of `luthier.models.asking.Asking`."""

    def shots_for(self, prompt: Prompt) -> tuple[Record, ...]:
        """The worked examples that stand before a prompt."""

    def length(self, prompt: Prompt, labels: Sequence[str] = ()) -> int:
        """Tokens of the worded prompt."""

    def restore(self, wording: dict[str, Any]) -> Self:
        """What `save` wrote in `luthier.json`, applied to this model."""
