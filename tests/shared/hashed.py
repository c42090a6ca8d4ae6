"""An embedder for tests: vectors made of the text's words, at once, so that texts with the same words are near."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from luthier.index.terms import terms
from luthier.models.embedding import Embedder, Side, Vectors

WIDTH = 256


class Hashed:
    """Sums of a random vector a word. asked: every text that it was given. pause: seconds a text."""

    key, width = "hashed", WIDTH

    def __init__(self, pause: float = 0.0) -> None:
        self.asked: list[str] = []
        self.pause = pause

    def encode(self, texts: Sequence[str], side: Side) -> Vectors:
        self.asked += texts
        time.sleep(self.pause * len(texts))
        out = np.zeros((len(texts), WIDTH), np.float32)
        for row, text in zip(out, texts, strict=True):
            for term in terms(text) or [""]:
                seed = int.from_bytes(hashlib.sha256(term.encode()).digest()[:4], "little")
                row += np.random.default_rng(seed).standard_normal(WIDTH).astype(np.float32)
            row /= np.linalg.norm(row)
        return out


def hashed(cache: Path, pause: float = 0.0) -> tuple[Embedder, Hashed]:
    """The embedder and the model behind it."""
    model = Hashed(pause)
    return Embedder("hashed", "hashed", lambda: model, cache), model
