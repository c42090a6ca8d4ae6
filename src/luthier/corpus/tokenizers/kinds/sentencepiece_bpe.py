"""SentencePiece's byte-pair encoding: on characters, with bytes for those that it has no piece for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from luthier.corpus.tokenizers import sentencepiece_pieces as pieces

LEAST = pieces.LEAST


def train(texts: Iterator[str], size: int, special: Sequence[str]) -> Any:
    """A tokenizer of at most so many tokens."""
    from tokenizers import models

    found = pieces.learned(texts, size, special, "bpe")
    places = {piece.text: at for at, piece in enumerate(found)}
    merges = [
        (-piece.score, places[left], places[right], left, right)
        for piece in found
        if len(piece.text) > 1
        for left, right in ((piece.text[:at], piece.text[at:]) for at in range(1, len(piece.text)))
        if left in places and right in places
    ]
    pairs = [(left, right) for *_, left, right in sorted(merges)]
    model = models.BPE(places, pairs, unk_token=found[0].text, fuse_unk=True, byte_fallback=True)
    return pieces.around(model, special)
