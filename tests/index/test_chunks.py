"""Chunks tile their text, keep sentences and code whole, and never cut a character."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from luthier.core.document import Document, Section
from luthier.core.errors import LuthierError
from luthier.index.chunks import Chunking, chunked, pieces, spans, weight

PARTS = st.sampled_from(
    ["One sentence here. ", "年假十五天。", "“好！”他说。", "\n\n", "# Heading\n", "```\ncode = 1\n```\n", "word ",
     "，", "e\u0301\u0301", "👩\u200d👩\u200d👧", "🇨🇳", "ก็", "1.5 ", "\r\n", "\t", "```", "…", "長い文", "x" * 30,
     "各" * 30, " ั", "\u0301"]
)  # fmt: skip
TEXTS = st.lists(PARTS | st.text(max_size=6), max_size=40).map("".join)
SIZES = st.integers(8, 60).flatmap(lambda size: st.builds(Chunking, st.just(size), st.integers(0, size // 2)))


@settings(max_examples=300, deadline=None)
@given(TEXTS, SIZES)
@example("a# H\n# H\n" * 5 + "各" * 30, Chunking(8, 4))
@example("word 長い文0 ั\u0e00\u0e00", Chunking(8, 0))
@example("一二三四五六。\u0301七八九十", Chunking(8, 0))
@example("```\na\n``` ั tail of it", Chunking(8, 0))
def test_spans_tile_the_text(text: str, how: Chunking) -> None:
    """Order, no gap, no loss, size, and no cut inside a character.

    Seen failing with an overlap that reaches over a heading (it never ends), with a chunk that begins one character
    late, with a cut by code points in a long word, and with an overlap that pushes the next sentence out.
    """
    found = spans(text, how)
    edges = {0, *(m.end() for m in regex.finditer(r"\X", text))}
    if not text:
        assert found == []
        return
    assert found[0][0] == 0 and found[-1][1] == len(text)
    for start, end in found:
        assert start < end and {start, end} <= edges
        assert weight(text[start:end]) <= how.size or len(regex.findall(r"\X", text[start:end])) == 1
    for (a, b), (c, d) in pairwise(found):
        assert a < c <= b < d, "both ends grow and nothing lies between"
        assert weight(text[c:b]) <= how.overlap


def test_a_long_title_leaves_room_for_the_text() -> None:
    """A model reads so many tokens of a passage."""
    (chunk,) = chunked(Document("a.jsonl", (Section("Text.", "line 1", "t" * 9000),)), Chunking())
    assert chunk.title == "t" * 9000 and chunk.passage.endswith("Text.") and len(chunk.passage) < 120


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(8, 60))
def test_pieces_are_the_text(text: str, size: int) -> None:
    """Seen failing with a fence that swallowed the line behind it."""
    assert "".join(text[a:b] for a, b in pieces(text, size)) == text


@settings(max_examples=100, deadline=None)
@given(TEXTS, SIZES)
def test_a_citation_points_at_its_text(text: str, how: Chunking) -> None:
    """Seen failing with offsets of the text without the space around it."""
    document = Document("f", (Section(text, "page 1"), Section(text, "page 2")))
    for number, chunk in enumerate(chunked(document, how)):
        assert text[chunk.start : chunk.end] == chunk.text == chunk.text.strip() and chunk.text and chunk.at == number


def test_chinese_sentences_stay_whole() -> None:
    text = "入职满一年，年假十一天；满五年十五天。“真的吗？”她问。好！"
    assert [text[a:b] for a, b in pieces(text, 30)] == [
        "入职满一年，年假十一天；", "满五年十五天。", "“真的吗？”", "她问。", "好！",
    ]  # fmt: skip


def test_english_sentences_stay_whole() -> None:
    text = 'Pi is 3.14. "Really?" she said. Yes...\nNo'
    assert [text[a:b] for a, b in pieces(text, 30)] == ["Pi is 3.14. ", '"Really?" ', "she said. ", "Yes...\n", "No"]


def test_code_is_one_piece_where_it_fits() -> None:
    code = "```python\na = 1. \nb = 2. \n\nc = 3\n```\n"
    assert (4, 4 + len(code)) in list(pieces("Hi.\n" + code + "After.", 60))
    long = "```\n" + "".join(f"line {i}. rest\n" for i in range(40)) + "```\n"
    assert all(long[a:b].endswith("\n") for a, b in pieces(long, 20)), "cut at the ends of lines"


def test_a_heading_goes_with_what_follows() -> None:
    text = "各" * 20 + "。\n## 题目\n" + "文" * 20 + "。"
    assert [text[a:b].strip() for a, b in spans(text, Chunking(30, 10))] == [
        "各" * 20 + "。",
        "## 题目\n" + "文" * 20 + "。",
    ]


@pytest.mark.parametrize("unit", ["x", "各", " ", ".", "a ", "e\u0301", "`", "。", "\n", "```\n"])
def test_time_grows_with_length_only(unit: str) -> None:
    """Seen failing (minutes) with a pattern that begins anew at every dot of a run."""
    text = unit * (300_000 // len(unit))
    begin = time.process_time()
    spans(text, Chunking())
    assert time.process_time() - begin < 8


def test_wrong_sizes_are_errors() -> None:
    for size, overlap in ((4, 0), (100, 51), (100, -1)):
        with pytest.raises(LuthierError, match="--"):
            Chunking(size, overlap)
