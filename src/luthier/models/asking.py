"""How a model is asked: wording, examples and labels, as a value beside it; the same for one behind an address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from luthier.core.records import Chat, Labelled, Message, Prompt, Record
from luthier.data.prompts import Template
from luthier.data.shorten import Counted


@dataclass(frozen=True)
class Asking:
    """template: None means the task's first wording. shots: worked examples that stand before every prompt.

    labels: the classes that are told apart; none: it writes text. chooser: gives the worked examples of each prompt, in
    place of `shots`. only: the one wording that methods may use, where the user chose it.
    """

    template: Template | None = None
    shots: tuple[Record, ...] = ()
    labels: tuple[str, ...] = ()
    chooser: Callable[[Prompt], tuple[Record, ...]] | None = None
    only: Template | None = None


class Worded:
    """A model with such a value in `asking`; subclasses are dataclasses."""

    asking: Asking

    @property
    def template(self) -> Template | None:
        """Its wording; None means the task's first."""
        return self.asking.template

    @property
    def shots(self) -> tuple[Record, ...]:
        """Worked examples that stand before every prompt."""
        return self.asking.shots

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes it tells apart."""
        return self.asking.labels

    @property
    def chooser(self) -> Callable[[Prompt], tuple[Record, ...]] | None:
        """What gives the worked examples of each prompt, in place of `shots`."""
        return self.asking.chooser

    @property
    def only(self) -> Template | None:
        """The one wording that methods may use, where the user chose it."""
        return self.asking.only

    def asked(self, **changes: Any) -> Self:
        """The same model, asked otherwise: fields of `Asking`."""
        return replace(self, asking=replace(self.asking, **changes))  # type: ignore[type-var]

    def worded(self, template: Template, labels: Sequence[str], shots: Sequence[Record] = ()) -> Self:
        """The same model behind another wording, for these labels (none: it writes text), counting its prompts anew."""
        asking = replace(self.asking, template=template, labels=tuple(labels), shots=tuple(shots), chooser=None)
        return replace(self, asking=asking, counted=Counted())  # type: ignore[type-var]

    def shots_for(self, prompt: Prompt) -> tuple[Record, ...]:
        """The worked examples that stand before a prompt."""
        return self.chooser(prompt) if self.chooser else self.shots


def unshot(record: dict[str, Any]) -> Record:
    """A worked example from its plain values."""
    if "label" in record:
        return Labelled(**record)
    return Chat(tuple(Message(**m) for m in record["messages"]))
