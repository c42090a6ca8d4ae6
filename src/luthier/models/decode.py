"""Text generation: prompts prefilled end to end, a shared prefix once, then one token a row; finished rows leave."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from luthier.data.pack import shortened
from luthier.models.attention import Decode, KeysValues, Packed
from luthier.models.ends import Ends
from luthier.models.fast import fast
from luthier.models.score import common_prefix, run_prefix, sharing
from luthier.protocols import Sampling

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM

ROWS = 64  # rows decoded at once


@torch.no_grad()
def generate(
    lm: CausalLM, prompts: Sequence[list[int]], sampling: Sampling, ends: Ends | None = None
) -> list[list[int]]:
    """Tokens of one answer a prompt, without the token that ends it; ends: the model's own unless given."""
    prompts = [shortened(p, lm.context - 1, len(lm.virtual)) for p in prompts]  # room for one more token
    ends = lm.ends if ends is None else ends
    random = torch.Generator().manual_seed(sampling.seed)
    answers: list[list[int]] = [[] for _ in prompts]
    done = 0
    for numbers in sharing(prompts):
        shared = common_prefix([prompts[i] for i in numbers])
        prefix = run_prefix(lm, prompts[numbers[0]][:shared])
        order = sorted(numbers, key=lambda i: len(prompts[i]))
        for at in range(0, len(order), ROWS):
            rows = order[at : at + ROWS]
            with fast(lm.model):
                found = _generate_rows(lm, [prompts[i] for i in rows], shared, prefix, sampling, ends, random)
            for i, tokens in zip(rows, found, strict=True):
                answers[i] = tokens
            done += len(rows)
            if lm.progress:
                lm.progress(done, len(prompts))
    return answers


@lru_cache(4)
def line_tokens(tokenizer: Any) -> set[int]:
    """Tokens with a line break after some text would be lost, so only those that are blank but for the break."""
    texts = tokenizer.batch_decode([[i] for i in range(len(tokenizer))])
    return {i for i, t in enumerate(texts) if "\n" in t and not t.strip()}


def prefill(
    lm: CausalLM, prompts: Sequence[list[int]], shared: int, prefix: KeysValues | None, room: int
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Buffers of keys and values, (B, kv_heads, capacity, head_dim) a layer, and the last hidden states (B, d).

    They begin with `prefix`, which is the learned one, if any, and `shared` tokens.
    """
    own = [p[shared:] for p in prompts]
    sizes = [len(p) for p in own]
    record: KeysValues = {}
    ids = torch.tensor([[t for p in own for t in p]], device=lm.device)
    positions = torch.tensor([[shared + i for n in sizes for i in range(n)]], device=lm.device)
    hidden = lm.forward(ids, positions, Packed(sizes, prefix=prefix, record=record))[0]
    past = shared + lm.ahead
    capacity = past + max(sizes) + room
    keys: list[Tensor] = []
    values: list[Tensor] = []
    for layer in sorted(record):
        for which, out in ((0, keys), (1, values)):
            packed = record[layer][which]
            buffer = packed.new_zeros(len(own), packed.shape[1], capacity, packed.shape[3])
            if prefix is not None:
                buffer[:, :, :past] = prefix[layer][which]
            for row, part in enumerate(packed[0].split(sizes, 1)):
                buffer[row, :, past : past + part.shape[1]] = part
            out.append(buffer)
    return keys, values, hidden[torch.tensor(sizes, device=lm.device).cumsum(0) - 1]


def _generate_rows(
    lm: CausalLM, prompts: Sequence[list[int]], shared: int, prefix: KeysValues | None,
    sampling: Sampling, ends: Ends, random: torch.Generator,
) -> list[list[int]]:  # fmt: skip
    stops = frozenset(ends.tokens)
    rooms = [min(sampling.max_new_tokens, lm.context - len(p)) for p in prompts]
    keys, values, hidden = prefill(lm, prompts, shared, prefix, max(rooms))
    lengths = torch.tensor([len(p) for p in prompts], device=lm.device)
    alive = list(range(len(prompts)))  # which prompt each buffer row belongs to
    answers: list[list[int]] = [[] for _ in prompts]
    for _ in range(max(rooms)):
        tokens = choose(lm.head.logits(hidden), sampling, random)
        keep = []
        for place, (row, token) in enumerate(zip(alive, tokens.tolist(), strict=True)):
            if token not in stops:
                answers[row].append(token)
                if len(answers[row]) < rooms[row] and not ends.reached(lm.tokenizer, answers[row]):
                    keep.append(place)
        if not keep:
            break
        if len(keep) < len(alive):
            chosen = torch.tensor(keep, device=lm.device)
            keys, values = [k[chosen] for k in keys], [v[chosen] for v in values]
            lengths, tokens, alive = lengths[chosen], tokens[chosen], [alive[i] for i in keep]
        hidden = lm.forward(tokens[:, None], lengths[:, None], Decode(keys, values, lengths + lm.ahead))[:, 0]
        lengths = lengths + 1
    return answers


def choose(logits: Tensor, sampling: Sampling, random: torch.Generator) -> Tensor:
    """Next tokens (B,) from logits (B, V): the best, or drawn at the temperature from the top-p nucleus."""
    if sampling.temperature <= 0:
        return logits.argmax(-1)
    p = torch.softmax(logits.float().cpu() / sampling.temperature, -1)
    if sampling.top_p < 1:
        ranked, order = p.sort(-1, descending=True)
        ranked[ranked.cumsum(-1) - ranked >= sampling.top_p] = 0
        p = torch.zeros_like(p).scatter(-1, order, ranked)
    return torch.multinomial(p, 1, generator=random)[:, 0].to(logits.device)
