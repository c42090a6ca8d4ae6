"""Kneser-Ney against nltk's, and that it tells one kind of text from another."""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pytest.importorskip("numba")
from luthier.corpus.ngrams import BEGIN, NGrams  # noqa: E402
from luthier.corpus.texts import Texts  # noqa: E402

TEXT = ["the cat sat on the mat and the dog sat on the cat", "a dog and a cat sat", "the mat and the cat and the dog"]


def column(texts: list[str]) -> Any:
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def by_hand(texts: list[str], context: tuple[str, str], word: str) -> float:
    """Interpolated Kneser-Ney with one discount, as its formula says; words that are there once are unknown."""
    counts = {w: sum(t.split().count(w) for t in texts) for t in texts for w in t.split()}

    def known(w: str) -> str:
        return w if w == "<s>" or counts.get(w, 0) > 1 else "?"

    triples: dict[tuple[str, str, str], int] = {}
    for t in texts:
        words = ["<s>", "<s>", *map(known, t.split())]
        for gram in zip(words, words[1:], words[2:], strict=False):
            triples[gram] = triples.get(gram, 0) + 1
    d, (u, v), w = 0.75, tuple(map(known, context)), known(word)
    pairs = {(b, c) for _, b, c in triples}
    places = {pair: sum((b, c) == pair for _, b, c in triples) for pair in pairs}
    words_ = {c for _, c in pairs}
    behind = {c: sum(x == c for _, x in pairs) for c in words_}
    total = sum(behind.values())
    alone = max(behind.get(w, 0) - d, 0) / total + d * len(words_) / total / (len(words_) + 1)
    after = sum(n for (b, _), n in places.items() if b == v)
    kinds = sum(b == v for b, _ in pairs)
    pair = max(places.get((v, w), 0) - d, 0) / after + d * kinds / after * alone if after else alone
    after = sum(n for (a, b, _), n in triples.items() if (a, b) == (u, v))
    kinds = sum((a, b) == (u, v) for a, b, _ in triples)
    return max(triples.get((u, v, w), 0) - d, 0) / after + d * kinds / after * pair if after else pair


def test_likelihoods_by_the_formula(tmp_path: Path) -> None:
    NGrams.of([column(TEXT)]).save(tmp_path / "m.npz")
    model = NGrams.load(tmp_path / "m.npz")
    for text in (*TEXT, "the dog sat on a zebra", "zebra zebra", "mat"):
        words = ["<s>", "<s>", *text.split()]
        want = [-math.log(by_hand(TEXT, (a, b), c)) for a, b, c in zip(words, words[1:], words[2:], strict=False)]
        assert model.surprise(Texts(pa.array([text])))[0] == pytest.approx(np.mean(want), rel=1e-12)


def test_likelihoods_add_up_to_one() -> None:
    model = NGrams.of([column(TEXT)])
    words = np.concatenate([model.words.keys, [np.uint64(99)]])  # and all that is unknown, of which there is one
    unknown = np.uint64(1) in model.words.keys
    some = Texts(pa.array([" ".join(chain.from_iterable(t.split() for t in TEXT))])).plain_hashes
    for one, two in [(BEGIN, BEGIN), (BEGIN, some[0]), (some[0], some[1]), (some[3], some[8])]:
        given = words[:-1] if unknown else words
        mass = model.likelihood(np.full(len(given), one), np.full(len(given), two), given).sum()
        assert 0.9 < mass <= 1 + 1e-12 if unknown else mass == pytest.approx(1)


def test_other_text_is_less_likely_and_nothing_is_nothing() -> None:
    chinese = "今天天气很好，我们去公园散步。天气好的时候，公园里有很多人散步。"
    model = NGrams.of([column([*TEXT, chinese])])
    found = model.surprise(Texts(pa.array([TEXT[0], "mat the on dog", "的地得了着过", chinese, "", "..."])))
    assert found[0] < found[1] and found[3] < found[2] and found[4] == found[5] == 0
