"""What every method is: the protocols of patches, objectives and direct methods.

Data flows one way: records -> Example -> Batch -> model -> Outputs -> Objective.loss, through one training loop. A
*patch* says where the change lives, an *objective* what is minimised, a *direct* method adapts without the loop, and
whatever comes out is an `LM`. What a method may use beside its data is in a `Context`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from luthier.core.batch import Batch
from luthier.core.cursor import Cursor
from luthier.core.errors import Refused, Unrendered
from luthier.core.example import Example, renumbered, units_of
from luthier.core.lm import LM
from luthier.core.phrases import of_error, say
from luthier.core.records import Record, Task
from luthier.core.schedules import cosine
from luthier.core.split import Split

if TYPE_CHECKING:
    from torch import Tensor, nn

    from luthier.models.base import TrainableLM
    from luthier.models.outputs import Outputs
    from luthier.training.context import Context


@dataclass
class ParamGroup:
    """Parameters that train together, by their full names in the model; `lr_scale` multiplies the learning rate."""

    names: list[str]
    lr_scale: float = 1.0
    weight_decay: float = 0.0


class Method:
    """What patches, objectives and direct methods share. A subclass is a frozen dataclass of its configuration."""

    tasks: ClassVar[tuple[Task, ...]] = ("classification", "generation")
    seeded: ClassVar[bool] = True  # False: every seed gives the same, so one run is enough
    learns: ClassVar[bool] = True  # False: the training rows make no difference
    remote: ClassVar[bool] = False  # True: works on a model that only answers, such as an endpoint
    asks: ClassVar[bool] = True  # False: the model makes no difference
    fits: ClassVar[bool] = False  # True: it trains something of its own on the rows, such as a classifier
    needs: ClassVar[tuple[str, ...]] = ()  # of "reference", "teacher", "reward", "sampling"

    def refuses(self, ctx: Context) -> str | None:
        """A fact about the model, in a sentence, when the method cannot be used on it; else None."""
        return None


class Patch(Method):
    """Where the change lives. A subclass is a frozen dataclass: its fields are the configuration (12 at most); what
    belongs to one attachment (replaced modules, kept weights) lives in `self._kept`, which `attach` fills."""

    learning_rates: ClassVar[tuple[float, ...]] = (1e-4, 3e-4, 1e-3)
    identity: ClassVar[bool] = True  # the adapted model equals the base before the first step
    objectives: ClassVar[Mapping[str, str]] = {
        "classification": "sft", "multilabel": "multilabel", "regression": "regress", "generation": "sft",
        "text": "lm", "preference": "dpo",
    }  # fmt: skip
    save_as: ClassVar[Literal["adapter", "model"]] = "adapter"
    peft_type: ClassVar[str] = ""  # of the class that reads PEFT's adapters of this type: see `luthier.runs.adapters`

    @classmethod
    def from_peft(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Patch:
        """The patch that PEFT's configuration and tensors of an adapter describe; once attached, it `load`s them.

        Raises LuthierError naming the key of what it cannot do.
        """
        raise NotImplementedError

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        """Change the model and say what trains."""
        raise NotImplementedError

    def detach(self, lm: TrainableLM) -> None:
        """Undo `attach`: the base is bit-equal to what it was."""

    def is_on(self, lm: TrainableLM) -> bool:
        """Whether it is attached to this model: what it keeps says so, unless it keeps nothing."""
        return bool(getattr(self, "_kept", None))

    def off(self, lm: TrainableLM) -> AbstractContextManager[None]:
        """The model as it behaved at attach, for the length of a `with` block."""
        return contextlib.nullcontext()

    def kept_as(self, change: Callable[[str, Tensor], Tensor]) -> None:
        """Give what is kept of parameters by name, to put them back, another form: the parameters have it now."""

    def cut(self, lm: TrainableLM) -> int | None:
        """How many blocks lie below the lowest trained parameter: their output is computed once per example.

        The number of blocks itself means that only heads train; None that there is nothing to cache.
        """
        return None

    def notes(self, lm: TrainableLM) -> list[str]:
        """What the user should know of where the change lives, in sentences; asked when it is attached."""
        return []

    def penalty(self, lm: TrainableLM) -> Tensor | None:
        """Added to the loss once a step."""
        return None

    def before_step(self, lm: TrainableLM, progress: float) -> None:
        """Called when gradients exist, with the share of the budget that is spent."""

    def after_step(self, lm: TrainableLM) -> None:
        """Called when the optimiser has moved the parameters."""

    def fold(self, lm: TrainableLM) -> None:
        """Called once when training is over: what only training needed gives way to what it made."""

    def merge(self, lm: TrainableLM) -> bool:
        """Fold the change into the base weights; False when it cannot be folded."""
        return False

    def mergeable(self, lm: TrainableLM) -> bool:
        """Whether `merge` would fold the change, without doing it."""
        return type(self).merge is not Patch.merge

    def prepare(self, model: nn.Module) -> None:
        """Change another copy of the base to what this patch's adapter stands on, such as one with rounded weights."""

    def unrounded(self) -> Patch | None:
        """The patch that puts the same adapter onto the base as it came; None where it stands there already."""
        return None

    def base_bytes(self, lm: TrainableLM) -> tuple[int, int] | None:
        """Bytes of the base's linear weights as they are held, and in bf16; None where the patch leaves them alone."""
        return None

    def export(self, lm: TrainableLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and configuration of the adapter file, in PEFT's layout where PEFT has the method."""
        raise NotImplementedError

    def load(self, lm: TrainableLM, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `export`, on an attached model."""
        own = {**dict(lm.model.named_buffers()), **dict(lm.model.named_parameters())}
        for name, tensor in tensors.items():
            own[name].data.copy_(tensor)

    def state(self, lm: TrainableLM) -> dict[str, Any]:
        """What exact resume needs besides the trained parameters: JSON values and tensors."""
        return {}

    def load_state(self, lm: TrainableLM, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""


class Objective(Method):
    """What is minimised. A subclass is a frozen dataclass whose fields are its configuration.

    heads: what is read: the vocabulary, or heads of its own: "labels", "tags", "scalar" or "reward", which answers, and
    "value", which only training uses. What belongs to one run (samples, a coefficient that adapts) lives in
    `self._kept`, which `state` and `load_state` keep for exact resume.
    """

    record: ClassVar[type]
    epsilon: ClassVar[float] = 1e-8  # of Adam
    heads: ClassVar[tuple[str, ...]] = ("vocab",)
    tasks: ClassVar[tuple[Task, ...]] = ("classification", "generation", "text")

    def refuses(self, ctx: Context) -> str | None:
        return ctx.policy.lacks("logprobs") if "vocab" in self.heads else None

    def rows(self, data: Split) -> Sequence[Record]:
        """What it is trained on."""
        return data.train

    def room(self, lm: TrainableLM, data: Split) -> int:
        """Tokens that a prompt leaves for an answer at least: the same for all rows, and after training."""
        return 0

    def keep_limit(self, lm: TrainableLM, data: Split) -> None:
        """Keep in the model how long its prompts may be, so that all that reads with it shortens them alike."""
        lm.longest = min(getattr(self, "max_length", lm.context), lm.context)
        lm.room = self.room(lm, data)

    def dataset(self, ctx: Context, data: Split) -> Sequence[Example]:
        """What training draws on: a list, or anything indexed and sized, its rows numbered anew; and whatever is
        computed once before training: scales of a head, a teacher's likelihoods."""
        if data.stream is not None:
            raise Refused(say("said_refused_stream"))
        found = renumbered(self.encode(ctx.policy, data, data.train))
        self.setup(ctx.policy, found)
        return found

    def encode(self, lm: TrainableLM, data: Split, records: Sequence[Record]) -> list[Any]:
        """Examples of the records; a row with nothing to learn gives none. A model without a limit (`keep_limit`) is
        read within this objective's. Raises Refused for rows that cannot be written."""
        if lm.longest is None:
            lm = replace(lm)
            self.keep_limit(lm, data)
        found, unwritten = list[Any](), list[Unrendered]()
        for row, record in enumerate(records):
            try:
                found += self.examples(lm, data, row, record)
            except Unrendered as error:
                unwritten.append(error)
        if unwritten:
            rows, reason = len(records), of_error(unwritten[0])
            raise Refused(say("said_refused_unwritten", count=len(unwritten), rows=rows, reason=reason))
        return [e for e in found if e.where]

    def examples(self, lm: TrainableLM, data: Split, row: int, record: Record) -> list[Any]:
        """The examples of one record, which is the `row`-th; raises LuthierError for a record of another kind."""
        raise NotImplementedError

    def setup(self, lm: TrainableLM, examples: Sequence[Any]) -> None:
        """What is computed once from the dataset, such as the scales of a head."""

    def batches(self, ctx: Context, dataset: Sequence[Example], size: int, cursor: Cursor) -> Iterator[list[Example]]:
        """Endless steps of `size` examples, or groups, each once per epoch; `cursor` and `state` stand behind them."""
        units = units_of(dataset)
        while True:
            order = cursor.permutation(len(units))
            while cursor.at < len(order):
                chosen = [units[int(i)] for i in order[cursor.at : cursor.at + size]]
                cursor.at += len(chosen)
                yield [dataset[at] for unit in chosen for at in unit]
            cursor.next_epoch()

    def rate(self, share: float, warmup: float) -> float:
        """The learning rate's share of its peak by that of the budget, unless a recipe names a schedule."""
        return cosine(share, warmup, 0.0)

    def epoch(self, examples: Sequence[Any]) -> int:
        """Tokens of training in one pass over these."""
        return sum(e.tokens for e in examples)

    def kept(self, examples: Sequence[Any]) -> Sequence[Any]:
        """Examples that come again: what a frozen part gives of them is kept, and what they lost of rows is told."""
        return examples

    def step_cost(self, lm: TrainableLM, data: Split, size: int) -> float | None:
        """Tokens of a step of so many rows with all that is read for it; None where they are those of the rows."""
        return None

    def told(self) -> Mapping[str, float]:
        """What is told of a step besides what `loss` names: of the rollout that it is made of, say."""
        return {}

    def completed(self, ctx: Context, examples: Sequence[Any]) -> Sequence[Any]:
        """The examples with what a loss needs besides their tokens, such as what a reference says of them."""
        return examples

    def divisors(self, examples: Sequence[Any]) -> dict[str, float]:
        """What each named sum of one step over these examples is divided by, known before the forward pass."""
        raise NotImplementedError

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Named sums over a micro-batch, each divided by its divisor; those named _X are told as X, not minimised."""
        raise NotImplementedError

    def lost(self, lm: TrainableLM, loss: float, lowest: float, norm: float) -> bool:
        """Whether no training passes through such a loss or gradient norm; a few such steps in a row end the run."""
        return False

    def finish(self, ctx: Context, examples: Sequence[Any]) -> None:
        """Called once when training is over, with what it drew on."""

    def validate(self, ctx: Context, rows: Sequence[Record]) -> float:
        """What the search for a learning rate is judged by, lower is better: the mean loss of these rows."""
        assert ctx.executor is not None and ctx.data is not None
        return ctx.executor.evaluate(self.completed(ctx, self.encode(ctx.policy, ctx.data, rows)), self)

    def state(self) -> dict[str, Any]:
        """What exact resume needs besides weights and cursor: JSON values and tensors."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""


class Direct(Method):
    """A method that does not go through the loop. A subclass is a frozen dataclass of its configuration."""

    def asked(self, data: Split) -> float:
        """How many answers to plain questions adapting takes as long as."""
        return 0.0

    def answers(self) -> float:
        """How many plain answers one of its answers takes as long as."""
        return 1.0

    def adapt(self, ctx: Context) -> LM:
        """An adapted model of `ctx.policy` from `ctx.data`, whose `test` is empty here."""
        raise NotImplementedError

    def load(self, folder: Path, ctx: Context) -> LM:
        """What `adapt` gave and `LM.save` wrote, of `ctx.lm` again."""
        raise NotImplementedError
