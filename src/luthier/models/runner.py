"""How a causal model's forward passes are made: packed where that gives what the model itself gives, else padded.

A *runner* holds the way; `luthier.models.loading.probe` tries them when a model is loaded and gives it the first that
agrees with its plain forward pass.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

import torch
from torch import Tensor

from luthier.core.batch import Batch
from luthier.core.records import Sampling
from luthier.data.pack import grouped
from luthier.models.attention.packed import Packed
from luthier.models.attention.padded import by_groups, states_after
from luthier.models.blocks import outputs_of
from luthier.models.ends import Ends
from luthier.models.inference.draw import draw, own_random
from luthier.models.kernels.fast import fast
from luthier.models.kernels.vocabulary_head import token_logprobs

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM
    from luthier.models.reading import Row

TOKENS = 2048  # tokens of one padded pass
ROWS = 16  # rows decoded at once
_DRAWING = threading.Lock()  # transformers draws with the random numbers of the whole process


class Runner(Protocol):
    """Forward passes of a causal model over texts laid end to end."""

    @property
    def separable(self) -> bool:
        """Whether the model's upper blocks can be run alone, on packed states, and segments go on from each other."""
        ...

    @property
    def ordered(self) -> bool:
        """Whether a token sees those before it only, so that a text tells what each of its tokens costs."""
        ...

    @property
    def way(self) -> str:
        """The way in a word or two, for tables."""
        ...

    def hidden(self, lm: CausalLM, ids: Tensor, positions: Tensor, segments: Sequence[int]) -> Tensor:
        """Last hidden states (T, d) of segments; ids, positions: (T,)."""
        ...

    def states(self, lm: CausalLM, batch: Batch) -> Tensor:
        """Last hidden states (T, d) of a batch."""
        ...

    def depth_states(
        self, lm: CausalLM, ids: Tensor, positions: Tensor, segments: Sequence[int], depths: Collection[int]
    ) -> dict[int, Tensor]:
        """States (T, d) after so many of the blocks."""
        ...

    def continuations(self, lm: CausalLM, rows: Sequence[Row]) -> list[list[Tensor]]:
        """Log-probabilities in nats of each answer's tokens: for each row, for each answer, (tokens,) on the CPU."""
        ...

    def generate(self, lm: CausalLM, prompts: Sequence[list[int]], sampling: Sampling, ends: Ends) -> list[list[int]]:
        """Tokens of one answer a prompt, without the token that ends it."""
        ...


@dataclass(frozen=True)
class PackedRunner:
    """Texts end to end without padding, through our own attention; shared prefixes are computed once."""

    separable: ClassVar[bool] = True
    ordered: ClassVar[bool] = True
    way: ClassVar[str] = "packed"

    def hidden(self, lm: CausalLM, ids: Tensor, positions: Tensor, segments: Sequence[int]) -> Tensor:
        return lm.forward(ids[None], positions[None], Packed(segments))[0]

    def states(self, lm: CausalLM, batch: Batch) -> Tensor:
        return lm.forward(batch.ids[None], batch.positions[None], Packed(batch.segments, behind=batch.behind))[0]

    def depth_states(
        self, lm: CausalLM, ids: Tensor, positions: Tensor, segments: Sequence[int], depths: Collection[int]
    ) -> dict[int, Tensor]:
        return _depths(self, lm, ids, positions, segments, depths)

    def continuations(self, lm: CausalLM, rows: Sequence[Row]) -> list[list[Tensor]]:
        from luthier.models.inference import scoring

        return scoring.continuations(lm, rows)

    def generate(self, lm: CausalLM, prompts: Sequence[list[int]], sampling: Sampling, ends: Ends) -> list[list[int]]:
        from luthier.models.inference import decode

        return decode.generate(lm, prompts, sampling, ends)


@dataclass(frozen=True)
class PaddedRunner:
    """Rows padded on the right, through the model's own attention, and transformers' own decoding.

    For models that take the borders of texts from elsewhere than attention (state spaces, convolutions, biases by
    distance). masked: the model is told which places are padding; without, causality alone keeps them from being seen.
    alike: only rows of one length stand in a block. cached_from: the shortest prompt, in tokens, behind which decoding
    may keep keys, values and states from token to token (convolutions begin wrongly behind shorter ones); None: none.
    """

    masked: bool = False
    alike: bool = False
    cached_from: int | None = None

    separable: ClassVar[bool] = False
    ordered: ClassVar[bool] = True

    @property
    def way(self) -> str:
        """What distinguishes it."""
        parts = ["padded", "equal lengths" if self.alike else "", "decoded anew" if self.cached_from is None else ""]
        return ", ".join(part for part in parts if part)

    def hidden(self, lm: CausalLM, ids: Tensor, positions: Tensor, segments: Sequence[int]) -> Tensor:
        return by_groups(ids, segments, lm.fill, self._run(lm), self.alike)

    def states(self, lm: CausalLM, batch: Batch) -> Tensor:
        return self.hidden(lm, batch.ids, batch.positions, batch.segments)

    def behind(self, lm: CausalLM, ids: Tensor, segments: Sequence[int], prompts: Sequence[int]) -> Tensor:
        """Last hidden states (T, d) of segments that begin with prompts of so many tokens."""
        return self.hidden(lm, ids, ids, segments)

    def _run(self, lm: CausalLM) -> Callable[[Tensor, Tensor], Tensor]:
        def run(block: Tensor, mask: Tensor) -> Tensor:
            given: dict[str, Any] = {"attention_mask": mask.long()} if self.masked else {}
            return cast(Tensor, lm.decoder(input_ids=block, use_cache=False, **given).last_hidden_state)

        return run

    def depth_states(
        self, lm: CausalLM, ids: Tensor, positions: Tensor, segments: Sequence[int], depths: Collection[int]
    ) -> dict[int, Tensor]:
        with fast(lm.model):
            return states_after(lm.feature_blocks, depths, ids, segments, lm.fill, self._run(lm), self.alike)

    @torch.no_grad()
    def continuations(self, lm: CausalLM, rows: Sequence[Row]) -> list[list[Tensor]]:
        pairs = [(prompt, answer) for prompt, answers in rows for answer in answers]
        sizes = [len(p) + max(len(a) - 1, 0) for p, a in pairs]
        found: list[Tensor] = [torch.empty(0)] * len(pairs)
        done = 0
        for group in grouped(sizes, sizes, TOKENS):
            with fast(lm.model):
                values = self._score(lm, [pairs[i] for i in group])
            for i, value in zip(group, values, strict=True):
                found[i] = value
            done += len(group)
            if lm.progress:
                lm.progress(done * len(rows) // len(pairs), len(rows))
        flat = iter(found)
        return [[next(flat) for _ in answers] for _, answers in rows]

    def generate(self, lm: CausalLM, prompts: Sequence[list[int]], sampling: Sampling, ends: Ends) -> list[list[int]]:
        written = self.write(lm, prompts, sampling, ends, range(len(prompts)))
        return [[token for token in answer if token not in ends.tokens] for answer in written]

    @torch.no_grad()
    def write(
        self, lm: CausalLM, prompts: Sequence[list[int]], sampling: Sampling, ends: Ends, numbers: Sequence[int]
    ) -> list[list[int]]:
        """Tokens of one answer a prompt, with what ends it. numbers: of the requests under the sampling's seed."""
        answers: list[list[int]] = [[] for _ in prompts]
        done = 0
        with _DRAWING, torch.random.fork_rng():
            torch.manual_seed(sampling.seed)  # once: the same prompt in two groups is answered twice
            for group in _equal(prompts):
                block = torch.tensor([prompts[i] for i in group], device=lm.device)
                room = min(sampling.max_new_tokens, lm.context - block.shape[1])
                found = self._write(lm, block, sampling, room, ends, [numbers[i] for i in group])
                for i, tokens in zip(group, found.tolist(), strict=True):
                    answers[i] = _ended(lm, tokens, ends)
                done += len(group)
                if lm.progress:
                    lm.progress(done, len(prompts))
        return answers

    def _write(
        self, lm: CausalLM, block: Tensor, sampling: Sampling, room: int, ends: Ends, numbers: Sequence[int]
    ) -> Tensor:
        """New tokens (B, up to `room`) behind prompts (B, n) of one length."""
        from luthier.models.inference.own_decoding import settings

        if self.cached_from is not None and block.shape[1] >= self.cached_from:
            model: Any = lm.model
            given = settings(model, sampling, room, ends.tokens, lm.fill)
            out = model.generate(input_ids=block, attention_mask=torch.ones_like(block), generation_config=given)
            return cast(Tensor, out[:, block.shape[1] :])
        randoms, samplings = [own_random(sampling.seed, number) for number in numbers], [sampling] * len(block)
        whole, ended = block, torch.zeros(len(block), dtype=torch.bool, device=block.device)
        for _ in range(room):
            n = whole.shape[1]
            rows, prompts = len(whole), [block.shape[1]] * len(whole)
            states = self.behind(lm, whole.flatten(), [n] * rows, prompts).view(rows, n, -1)[:, -1]
            tokens = draw(lm.head.logits(states), samplings, randoms)[0].to(block.device)
            whole = torch.cat([whole, tokens[:, None]], 1)
            ended |= torch.isin(tokens, torch.tensor(ends.tokens, dtype=tokens.dtype, device=tokens.device))
            if bool(ended.all()):
                break
        return whole[:, block.shape[1] :]

    def _score(self, lm: CausalLM, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Tensor]:
        """Log-probabilities of each answer's tokens after its prompt, a row of its own for each pair."""
        whole = [[*prompt, *answer[:-1]] for prompt, answer in pairs]
        sizes = [len(ids) for ids in whole]
        ids = torch.tensor([t for row in whole for t in row], device=lm.device)
        states = self.behind(lm, ids, sizes, [len(prompt) for prompt, _ in pairs]).split(sizes)
        read = [s[len(prompt) - 1 :] for s, (prompt, answer) in zip(states, pairs, strict=True) if answer]
        targets = torch.tensor([t for _, answer in pairs for t in answer], dtype=torch.long, device=lm.device)
        if not read:
            return [torch.empty(0) for _ in pairs]
        places = torch.arange(len(targets), device=lm.device)
        return list(token_logprobs(torch.cat(read), lm.head, places, targets).cpu().split([len(a) for _, a in pairs]))


@dataclass(frozen=True)
class PrefixRunner(PaddedRunner):
    """Prompts are seen in both directions, what follows them in one: of a model that was trained so (`prefix_lm`).

    Texts end to end through our own attention. A prompt is what stands before the first place where something is read;
    a text that is only read is a prompt. Source: Liu et al. 2018; "non-causal decoder" in Wang et al. 2022.
    """

    ordered: ClassVar[bool] = False
    way: ClassVar[str] = "prefix"

    def hidden(self, lm: CausalLM, ids: Tensor, positions: Tensor, segments: Sequence[int]) -> Tensor:
        return self.behind(lm, ids, segments, segments)

    def states(self, lm: CausalLM, batch: Batch) -> Tensor:
        starts = torch.tensor([0, *batch.segments[:-1]]).cumsum(0)
        first = torch.tensor([0, *batch.spans[:-1]]).cumsum(0)
        return self.behind(lm, batch.ids, batch.segments, (batch.where.cpu()[first] + 1 - starts).tolist())

    def behind(self, lm: CausalLM, ids: Tensor, segments: Sequence[int], prompts: Sequence[int]) -> Tensor:
        positions = torch.cat([torch.arange(n, device=ids.device) for n in segments])
        masks = []
        for n, prompt in zip(segments, prompts, strict=True):
            masks.append(torch.ones(n, n, dtype=torch.bool, device=ids.device).tril())
            masks[-1][:, :prompt] = True
        return lm.forward(ids[None], positions[None], Packed(segments, masks))[0]

    def depth_states(
        self, lm: CausalLM, ids: Tensor, positions: Tensor, segments: Sequence[int], depths: Collection[int]
    ) -> dict[int, Tensor]:
        return _depths(self, lm, ids, positions, segments, depths)


def _depths(
    runner: Runner, lm: CausalLM, ids: Tensor, positions: Tensor, segments: Sequence[int], depths: Collection[int]
) -> dict[int, Tensor]:
    """`depth_states` of a runner that does not pad."""
    with outputs_of(lm.feature_blocks, depths) as found, fast(lm.model):
        runner.hidden(lm, ids, positions, segments)
    return {depth: states[0] for depth, states in found.items()}


def _ended(lm: CausalLM, tokens: list[int], ends: Ends) -> list[int]:
    """An answer up to what ends it, included."""
    out: list[int] = []
    for token in tokens:
        out.append(token)
        if token in ends.tokens or ends.reached(lm.tokenizer, out):
            break
    return out


def _equal(prompts: Sequence[list[int]]) -> list[list[int]]:
    """Numbers of prompts of one length, at most ROWS together."""
    by_length: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(i)
    return [rows[at : at + ROWS] for rows in by_length.values() for at in range(0, len(rows), ROWS)]
