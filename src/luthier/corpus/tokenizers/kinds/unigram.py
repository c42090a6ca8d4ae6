"""SentencePiece's unigram model (Kudo 2018): of all ways to cut a text the likeliest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from luthier.corpus.tokenizers import sentencepiece_pieces as pieces

LEAST = pieces.LEAST


def train(texts: Iterator[str], size: int, special: Sequence[str]) -> Any:
    """A tokenizer of at most so many tokens."""
    from tokenizers import models

    found = pieces.learned(texts, size, special, "unigram")
    return pieces.around(
        models.Unigram([(piece.text, piece.score) for piece in found], unk_id=0, byte_fallback=True), special
    )
