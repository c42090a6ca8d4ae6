"""Likelihoods of answers: shared token prefixes computed once, all answers of a prompt in one packed forward pass.

Two levels are shared. The tokens that all prompts begin with (instruction, worked examples) run once and their keys
and values are kept; the tokens of one prompt run once for all its candidate answers, which stand behind it side by
side and do not see each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from luthier.core.example import Example
from luthier.data.pack import grouped, pack, shortened
from luthier.models.attention.packed import KeysValues, Packed, joined
from luthier.models.kernels.fast import fast
from luthier.models.kernels.vocabulary_head import token_logprobs

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM
    from luthier.models.causal import CausalLM
    from luthier.models.reading import Row

TOKENS = 2048  # tokens of one packed forward pass
WORTH_SHARING = 8  # a shorter common prefix is cheaper to repeat than to mask


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """How many leading tokens all prompts share, leaving each at least one of its own."""
    if len(prompts) < 2:
        return 0
    low, high = min(map(list, prompts)), max(map(list, prompts))
    limit = min(len(p) for p in prompts) - 1
    shared = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), limit)
    shared = min(shared, limit)
    return shared if shared >= WORTH_SHARING else 0


def sharing(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Numbers of the prompts that begin as most do, and of the others, which would leave these nothing to share.

    An overlong question, whose examples were left out, is such a one.
    """
    if not prompts:
        return []
    usual = sorted(map(list, prompts))[len(prompts) // 2]
    like = [common_prefix([p, usual]) for p in prompts]
    enough = sorted(like)[len(like) // 2] // 2
    parts = [[i for i, n in enumerate(like) if n >= enough], [i for i, n in enumerate(like) if n < enough]]
    return [part for part in parts if part]


@torch.no_grad()
def run_prefix(lm: CausalLM, ids: Sequence[int]) -> KeysValues | None:
    """Keys and values of a prefix at every layer, behind learned ones if there are any; None where there is neither."""
    learned = lm.learned_prefix() if lm.learned_prefix is not None else None
    if not ids:
        return learned
    record: KeysValues = {}
    tokens = torch.tensor([list(ids)], device=lm.device)
    positions = torch.arange(len(ids), device=lm.device)[None]
    with fast(lm.model):
        lm.forward(tokens, positions, Packed([len(ids)], prefix=learned, record=record))
    return record if learned is None else joined(learned, record)


def _groups(rows: Sequence[Row], shared: int) -> list[list[int]]:
    """Row numbers that fit one forward pass, rows of like length together."""
    sizes = [len(p) - shared + sum(len(a) - 1 for a in answers) for p, answers in rows]
    return grouped(sizes, sizes, TOKENS)


def _tree(prompt: int, answers: Sequence[int]) -> Tensor | None:
    """(n, n) mask of a prompt with several answers behind it: each answer sees the prompt and itself."""
    if len(answers) == 1:
        return None
    n = prompt + sum(answers)
    mask = torch.zeros(n, n, dtype=torch.bool)
    mask[:, :prompt] = True
    at = prompt
    for size in answers:
        mask[at : at + size, at : at + size] = True
        at += size
    return mask.tril()


@torch.no_grad()
def continuations(lm: CausalLM, rows: Sequence[Row]) -> list[list[Tensor]]:
    """Log-probabilities in nats of every token of every answer: for each row, for each answer, (tokens,) on the CPU.

    What does not fit is left out, see `Reading.fitting`.
    """
    rows = [lm.fitting(*row) for row in rows]
    found: list[list[Tensor]] = [[] for _ in rows]
    done = 0
    for numbers in sharing([p for p, _ in rows]):
        shared = common_prefix([rows[i][0] for i in numbers])
        prefix = run_prefix(lm, rows[numbers[0]][0][:shared])
        for group in _groups([rows[i] for i in numbers], shared):
            members = [numbers[i] for i in group]
            for i, values in zip(members, _score_group(lm, [rows[i] for i in members], shared, prefix), strict=True):
                found[i] = values
            done += len(group)
            if lm.progress:
                lm.progress(done, len(rows))
    return found


def _score_group(lm: CausalLM, rows: Sequence[Row], shared: int, prefix: KeysValues | None) -> list[list[Tensor]]:
    ids: list[int] = []
    positions: list[int] = []
    segments: list[int] = []
    masks: list[Tensor | None] = []
    where: list[int] = []  # places whose hidden state is read
    index: list[int] = []  # for each scored token, which of these places
    targets: list[int] = []
    for prompt, answers in rows:
        start, own = len(ids), prompt[shared:]
        ids += own
        positions += range(shared, len(prompt))
        last = len(where)
        where.append(len(ids) - 1)
        for answer in answers:
            index += [last, *range(len(where), len(where) + len(answer) - 1)][: len(answer)]
            targets += answer
            where += range(len(ids), len(ids) + len(answer) - 1)
            ids += answer[:-1]
            positions += range(len(prompt), len(prompt) + len(answer) - 1)
        segments.append(len(ids) - start)
        masks.append(_tree(len(own), [len(a[1:]) for a in answers]))
    device = lm.device
    layout = Packed(segments, [None if m is None else m.to(device) for m in masks], prefix)
    with fast(lm.model):
        hidden = lm.forward(torch.tensor([ids], device=device), torch.tensor([positions], device=device), layout)[0]
    places, tokens = torch.tensor([index, targets], dtype=torch.long, device=device)
    order = places.argsort(stable=True)
    values = torch.empty(len(index))
    values[order.cpu()] = token_logprobs(hidden[where], lm.head, places[order], tokens[order]).cpu()
    flat = iter(values.split([len(a) for _, answers in rows for a in answers]))
    return [[next(flat) for _ in answers] for _, answers in rows]


def second_half(lm: TrainableLM, ids: Sequence[int]) -> Tensor:
    """Log-probabilities in nats of a text's second half behind its first, of a model that reads a prompt whole."""
    half = (len(ids) + 1) // 2
    whole = replace(lm, longest=None, room=0)  # training's limit would cut the halves short
    return whole.continuations([([*lm.virtual, *ids[:half]], [list(ids[half:])])])[0][0]


def by_words(lm: TrainableLM, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
    """(N, K): likelihood of each label's words after the prompt, per UTF-8 byte, normalised over the labels."""
    answers = [lm.encode_answer(label, labels) for label in labels]
    room = max((lm.answer_room(answer, labels) for answer in answers), default=0)
    rows = [(lm.encode_prompt(t, labels, room), answers) for t in texts]
    sizes = torch.tensor([float(len(label.encode())) for label in labels])
    sums = torch.tensor([[float(v.sum()) for v in found] for found in lm.continuations(rows)])
    return torch.log_softmax(sums.reshape(len(texts), len(labels)) / sizes, -1)


@torch.no_grad()
def by_head(lm: TrainableLM, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
    """(N, K): what the head reads off the state that it is given; columns in the order of `labels`."""
    head = lm.label_head
    assert head is not None
    columns = [lm.labels.index(label) for label in labels]
    states = last_hidden(lm, [lm.encode_prompt(t, labels) for t in texts])
    logits = [head(h).float().cpu() for h in states] or [torch.empty(0, len(head.bias))]
    return head.read(torch.cat(logits), columns)


def last_hidden(lm: TrainableLM, prompts: Sequence[list[int]]) -> Iterator[Tensor]:
    """The states (n, d) that a label head reads, of n prompts at a time, in order."""
    prompts = [shortened(p, lm.context, len(lm.virtual)) for p in prompts]
    at = 0
    while at < len(prompts):
        end, total = at, 0
        while end < len(prompts) and (end == at or total + len(prompts[end]) <= TOKENS):
            total += len(prompts[end])
            end += 1
        alike = _alike(prompts[at:end])
        chunk = [Example(i, tuple(p), (len(p) - 1,), (0,), group=g) for i, (p, g) in enumerate(alike, at)]
        with fast(lm.model):
            states = lm.read(pack(chunk, {}, lm.device, share=lm.shares))
        yield states
        at = end
        if lm.progress:
            lm.progress(at, len(prompts))


def _alike(prompts: Sequence[list[int]]) -> list[tuple[list[int], int | None]]:
    """Each prompt with the group that reads its beginning once: neighbours that differ in less than their half, such as
    several answers to one question. None for one that stands alone, whose states hang on no neighbour."""
    first = 0
    groups: list[int] = []
    for at, prompt in enumerate(prompts):
        pairs = zip(prompts[first], prompt, strict=False)
        same = next((k for k, (a, b) in enumerate(pairs) if a != b), min(len(prompts[first]), len(prompt)))
        first = first if 2 * same >= len(prompt) else at
        groups.append(first)
    sizes = Counter(groups)
    return [(p, g if sizes[g] > 1 else None) for p, g in zip(prompts, groups, strict=True)]
