"""How many tokens a tokenizer takes: a character, a word, a byte of each language; and the pieces of an example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

AT_ONCE = 256  # texts that are tokenised in one go


@dataclass(frozen=True)
class Fertility:
    """Of the texts of a language. words: as deduplication cuts them, a Han character one. alone: tokens that are a byte
    of a character cut apart."""

    language: str
    texts: int
    characters: int
    words: int
    bytes: int
    tokens: int
    alone: int


@dataclass(frozen=True)
class Shown:
    """An example: pieces in their order, each with its text as it reads; broken ones are parts of a character."""

    pieces: tuple[str, ...]
    whole: tuple[bool, ...]


def fertility(tokenizer: Any, texts: Sequence[str], languages: Sequence[str]) -> list[Fertility]:
    """By language, the largest first. languages: of each text."""
    import pyarrow as pa

    from luthier.corpus.texts import Texts

    words = Texts(pa.array(list(texts), pa.large_string())).bare[0].counts
    tokens, alone = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    for at in range(0, len(texts), AT_ONCE):
        encoded = tokenizer.encode_batch(list(texts[at : at + AT_ONCE]), add_special_tokens=False)
        for number, one in enumerate(encoded, at):
            tokens[number] = len(one.ids)
            alone[number] = _alone(texts[number], one.offsets)
    out = []
    for language in dict.fromkeys(languages):
        mine = np.array([one == language for one in languages])
        chosen = [text for text, own in zip(texts, mine, strict=True) if own]
        out.append(Fertility(
            language, len(chosen), sum(map(len, chosen)), int(words[mine].sum()),
            sum(len(text.encode("utf-8", "replace")) for text in chosen), int(tokens[mine].sum()),
            int(alone[mine].sum()),
        ))  # fmt: skip
    return sorted(out, key=lambda one: -one.bytes)


def _alone(text: str, offsets: Sequence[tuple[int, int]]) -> int:
    """Tokens that are a part of a character."""
    return sum(not whole for _, whole in _pieces(text, offsets))


def _pieces(text: str, offsets: Sequence[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """The text of each token, and whether it is whole characters. Bytes of characters in a row come as one stretch."""
    for (start, end), group in groupby(offsets):
        count, said = len(list(group)), text[start:end]
        if count == 1:
            yield said, True
        elif count == len(said.encode("utf-8", "replace")):
            for char in said:
                size = len(char.encode("utf-8", "replace"))
                yield char, size == 1
                yield from (("", False) for _ in range(size - 1))
        else:
            yield said, False
            yield from (("", False) for _ in range(count - 1))


def shown(tokenizer: Any, text: str) -> Shown:
    """A text cut into its pieces; of a character that is cut apart the first has it."""
    found = list(_pieces(text, tokenizer.encode(text, add_special_tokens=False).offsets))
    return Shown(tuple(piece for piece, _ in found), tuple(whole for _, whole in found))
