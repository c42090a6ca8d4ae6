"""Long prompts made shorter: what the model itself finds least informative is left out, to a target length.

A word's information is the mean of -log p over its tokens, given all before it. Words go whole (Han: characters), so
that no character is cut; line breaks and indentation stay where anything of their line stays. Source: Li et al. 2023,
"Compressing Context to Enhance Inference Efficiency" (self-information).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")
WINDOW = 1024  # tokens read at once; a longer text is read in windows, each half known from the one before


@dataclass(frozen=True)
class Piece:
    """A word, a Han character or a sign, at its place in the text. information: nats a token; inf where unknown."""

    start: int
    end: int
    information: float


def pieces(lm: TrainableLM, text: str) -> list[Piece]:
    """The words of a text with the information that each has for the model. Raises LuthierError for no causal model."""
    from luthier.models.causal import CausalLM

    if not isinstance(lm, CausalLM):
        raise LuthierError(
            "the model reads no text from left to right, token by token: name a causal model with --model"
        )
    encoded: Any = lm.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    found = surprise(lm, encoded["input_ids"])
    values: dict[int, list[float]] = {}
    words = list(WORD.finditer(text))
    owner = np.full(len(text) + 1, -1)
    for at, word in enumerate(words):
        owner[word.start() : word.end()] = at
    for (a, b), value in zip(encoded["offset_mapping"], found, strict=True):
        for inside in {int(i) for i in owner[a:b] if i >= 0}:  # a token may hold several Han characters
            values.setdefault(inside, []).append(value)
    return [
        Piece(w.start(), w.end(), float(np.mean(values[at])) if at in values else math.inf)
        for at, w in enumerate(words)
    ]


def surprise(lm: TrainableLM, ids: Sequence[int]) -> list[float]:
    """-log p of each token in nats; the first has nothing before it: inf."""
    window = max(min(WINDOW, lm.context - len(lm.virtual)), 2)
    out: list[float] = [math.inf] if ids else []
    at = 0
    while len(out) < len(ids):
        part = list(ids[at : at + window])
        values = [-float(v) for v in lm.stretch_logprobs(part)]
        out += values[len(out) - at - 1 :]
        at += max(window // 2, 1)
        if lm.progress:
            lm.progress(len(out), len(ids))
    return out


def render(text: str, kept: Sequence[Piece]) -> str:
    """The kept pieces with what separates them: a line break where a line ended, else a space where one stood."""
    out: list[str] = []
    last = 0
    for piece in kept:
        gap = text[last : piece.start] if out else ""
        if "\n" in gap:
            line = gap.rsplit("\n", 1)[1]
            out.append("\n" + line[: len(line) - len(line.lstrip())])
        elif any(c.isspace() for c in gap):
            out.append(" ")
        out.append(text[piece.start : piece.end])
        last = piece.end
    return "".join(out) + ("\n" if out and text.endswith("\n") else "")


def compress(lm: TrainableLM, text: str, keep: float, order: np.random.Generator | None = None) -> str:
    """The text with at most `keep` of its tokens. order: leaves words out at random, to compare with."""
    found = pieces(lm, text)
    total = _length(lm, text)
    target = max(1, math.floor(keep * total + 1e-9))
    if total <= target:
        return text
    ranked = sorted(range(len(found)), key=lambda i: found[i].information)
    if order is not None:
        ranked = [int(i) for i in order.permutation(len(found))]
    low, high = 0, len(ranked)  # the fewest words to leave out
    while low < high:
        middle = (low + high) // 2
        if _length(lm, _without(text, found, ranked[:middle])) <= target:
            high = middle
        else:
            low = middle + 1
    while low < len(ranked) and _length(lm, _without(text, found, ranked[:low])) > target:
        low += 1
    return _without(text, found, ranked[:low])


def _without(text: str, found: Sequence[Piece], left_out: Sequence[int]) -> str:
    gone = set(left_out)
    return render(text, [p for i, p in enumerate(found) if i not in gone])


def _length(lm: TrainableLM, text: str) -> int:
    return len(lm.tokenizer(text, add_special_tokens=False)["input_ids"])
