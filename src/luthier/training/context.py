"""What a method may use beside its data: the model, a reference, a teacher, a reward, sampling; all of it is counted.

policy  what is being trained, or adapted       reference()  the same weights as they were before the patch
teacher another model, asked for likelihoods    sample()     answers drawn from the policy
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from luthier.core.records import Record, Sampling
from luthier.core.split import Split
from luthier.models.loading.of_recipe import trainable
from luthier.training.world import Alone, World

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.core.batch import Batch
    from luthier.core.example import Example
    from luthier.core.lm import WordedLM
    from luthier.core.methods import Objective, Patch
    from luthier.models.base import TrainableLM
    from luthier.models.causal import CausalLM
    from luthier.models.inference.engine import Engine
    from luthier.models.inference.feature_cache import FeatureCache
    from luthier.models.outputs import Outputs
    from luthier.training.executor import Executor

T = TypeVar("T")
PASS = 2048  # tokens of one forward pass without gradients


class Meter:
    """Tokens that went through models besides the training itself, read and written, by purpose.

    limit: of the run's budget, which training and all of these share; spent: by training so far.
    """

    def __init__(self) -> None:
        self.by: Counter[str] = Counter()
        self.limit, self.trained = 0, 0

    def count(self, purpose: str, tokens: int) -> None:
        """So many more tokens for that purpose."""
        self.by[purpose] += tokens

    @property
    def total(self) -> int:
        """Of all purposes."""
        return sum(self.by.values())

    def fits(self, tokens: int) -> bool:
        """Whether the budget still holds so many: asked before a rollout, which would be for nothing."""
        return self.trained + self.total + tokens <= self.limit


class Reward(Protocol):
    """What judges answers: a trained model, a function, a pattern, an endpoint."""

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        """A number an answer; higher is better."""


@dataclass(frozen=True)
class Sample:
    """An answer that was drawn. ended: the end token came (it is the last of `ids` then); else it was cut short."""

    ids: tuple[int, ...]
    ended: bool


@dataclass(frozen=True)
class Reader:
    """A model that is asked without gradients; what it reads is counted for `purpose`.

    trunk: of the blocks below the lowest trained one, which are run once for policy, reference and steps.
    """

    lm: TrainableLM
    meter: Meter
    purpose: str
    without: tuple[int, ...] = ()  # tokens that examples begin with and that it does not know
    trunk: FeatureCache | None = None
    reading: Callable[[], AbstractContextManager[None]] = nullcontext  # its weights are here meanwhile

    def logprobs(self, examples: Sequence[Example], temperature: float = 1.0) -> list[Tensor]:
        """log p(target) at each place of each example, (places,) float32 in nats."""
        return self.look(examples, lambda out: out.logprobs(temperature))

    def look(self, examples: Sequence[Example], what: Callable[[Outputs], Tensor]) -> list[Tensor]:
        """Anything that is read at each place: (places,) or (places, k) an example."""
        from luthier.models.outputs import Outputs

        def chosen(batch: Batch, hidden: Tensor) -> Iterable[Tensor]:
            yield from what(Outputs(hidden, self.lm, batch.targets)).split(list(batch.spans))

        return self._read(examples, chosen)

    def best(self, examples: Sequence[Example], k: int) -> list[tuple[Tensor, Tensor]]:
        """The k likeliest tokens at each place of each example, (places, k) ids and log-probabilities in nats."""
        import torch

        from luthier.models.kernels.vocabulary_head import CHUNK

        def likeliest(batch: Batch, hidden: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
            chunks = (hidden[at : at + CHUNK] for at in range(0, len(hidden), CHUNK))
            best = [self.lm.head.logits(chunk).float().log_softmax(-1).topk(k) for chunk in chunks]
            logprobs, ids = (torch.cat(x).split(list(batch.spans)) for x in zip(*best, strict=True))
            return zip(ids, logprobs, strict=True)

        return self._read(examples, likeliest)

    def _known(self, example: Example) -> Example:
        n = len(self.without)
        if not n or example.ids[:n] != self.without:
            return example
        where = example.where if example.decoder else tuple(at - n for at in example.where)
        return replace(example, ids=example.ids[n:], where=where)

    def _read(self, examples: Sequence[Example], found: Callable[[Batch, Tensor], Iterable[T]]) -> list[T]:
        """What is found in the states (N, d) at the places of a batch, for each of its examples, counted."""
        import torch

        from luthier.data.pack import micro_batches, pack
        from luthier.models.kernels.fast import fast

        out: list[T] = []
        with torch.no_grad(), self.reading(), fast(self.lm.model):
            for part in micro_batches([self._known(e) for e in examples], PASS):
                batch = pack(part, {}, self.lm.device, share=self.lm.shares and not self.trunk)
                out += found(batch, self.trunk.hidden(batch, part) if self.trunk else self.lm.read(batch))
                self.meter.count(self.purpose, sum(e.tokens for e in part))
        return out


def _cache() -> Path:
    from luthier.models.loading.bundled import cache_dir

    return cache_dir()


@dataclass
class Context:
    """One method on one model. lm: the model as it is asked. data: without test rows.

    folder: of the run, for what a killed run goes on from. world: who trains.
    notes: what the user should know of how it went. say: told how far it is.
    """

    lm: WordedLM
    data: Split = field(default_factory=lambda: Split("text", (), ()))
    seed: int = 0
    patch: Patch | None = None
    objective: Objective | None = None
    teacher_lm: TrainableLM | None = None
    reward: Reward | None = None
    cache: Path = field(default_factory=_cache)
    folder: Path | None = None
    say: Callable[[Any], None] | None = None
    world: World = field(default_factory=Alone)
    executor: Executor | None = None
    meter: Meter = field(default_factory=Meter)
    notes: list[str] = field(default_factory=list)

    @property
    def policy(self) -> TrainableLM:
        """The model whose weights are here. Raises Refused for one that only answers."""
        return trainable(self.lm)

    @contextmanager
    def reference(self) -> Iterator[Reader]:
        """The model with the patch off, for the length of a `with` block."""
        assert self.patch is not None
        virtual = self.policy.virtual  # a prompt that was learned is no part of what the reference reads
        with self.patch.off(self.policy):
            without = () if self.policy.virtual else virtual
            yield Reader(self.policy, self.meter, "reference", without, self._trunk, self._reading)

    def now(self, purpose: str) -> Reader:
        """The policy as it is now, asked without gradients."""
        return Reader(self.policy, self.meter, purpose, trunk=self._trunk, reading=self._reading)

    @property
    def _trunk(self) -> FeatureCache | None:
        return self.executor.trunk if self.executor else None

    def _reading(self) -> AbstractContextManager[None]:
        return self.executor.reading() if self.executor else nullcontext()

    @property
    def teacher(self) -> Reader | None:
        """The model to imitate, where the recipe names one."""
        return Reader(self.teacher_lm, self.meter, "teacher") if self.teacher_lm is not None else None

    @property
    def engine(self) -> Engine:
        """What writes with the policy as it is now, token by token."""
        from luthier.models.inference.engine import engine_of

        return engine_of(cast("CausalLM", self.policy))

    def sample(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Sample]:
        """An answer of the policy as it is now to each prompt (token ids): the same for the same seed."""
        found = self.engine.generate(prompts, sampling, progress=self.policy.progress)
        self.meter.count("rollout", sum(map(len, prompts)) + sum(map(len, found)))
        return [Sample(tuple(t.id for t in tokens), bool(tokens) and tokens[-1].end == "stop") for tokens in found]
