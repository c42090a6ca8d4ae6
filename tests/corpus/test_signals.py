"""Signals against what plain Python counts, one text at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow")
pytest.importorskip("numba")
from luthier.corpus import signals  # noqa: E402
from luthier.corpus.kernels.keywords import searched  # noqa: E402
from luthier.corpus.texts import Texts, batches  # noqa: E402

WORDS = [
    "the",
    "cat",
    "and",
    "a dog",
    "#",
    "...",
    "it's",
    "don't",
    "U.S.",
    "well-known",
    "我们",
    "e.g.",
    "12,5",
    "•",
    "-",
]
ENDS = [" ", "\n", "\n\n", ".\n", "? ", "…\n", "\r\n", "\u2028", "  "]
TEXT = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(ENDS)), max_size=60).map(
    lambda parts: "".join(word + end for word, end in parts)
)
ANY = st.text(max_size=60)
TEXTS = st.lists(TEXT | ANY, min_size=1, max_size=5)


def texts_of(given_: Sequence[str]) -> Texts:
    return Texts(pa.array([t.encode("utf-8", "replace").decode() for t in given_], pa.large_string()))


def words_of(text: str) -> list[str]:
    texts = texts_of([text])
    return [texts.text(a, b) for a, b in zip(texts.words.starts, texts.words.ends, strict=True)]


def value(name: str, text: str, level: str = "document") -> Any:
    return np.asarray(signals.find(level, name).compute(texts_of(["other words\n", text])))[1]


# -- words ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('He said "don\'t" to Mr. Smith.', ["He", "said", '"', "do", "n't", '"', "to", "Mr.", "Smith", "."]),
        ("in the U.S. it's e.g. so", ["in", "the", "U.S.", "it", "'s", "e.g.", "so"]),
        ("well-known (twice), 3-4 and -5", ["well", "-", "known", "(", "twice", ")", ",", "3", "-", "4", "and", "-5"]),
        ("we’ll, they've; I'm", ["we", "’ll", ",", "they", "'ve", ";", "I", "'m"]),
        (
            "see https://a.example/x-y, or a.b@c.example.",
            ["see", "https://a.example/x-y", ",", "or", "a.b@c.example", "."],
        ),
        ("wait... what?!", ["wait", "...", "what", "?", "!"]),
        ("我们在GPU上train。", ["我", "们", "在", "GPU", "上", "train", "。"]),
        ("end.Start here", ["end", ".", "Start", "here"]),
        ("cannot", ["can", "not"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(TEXTS)
@settings(deadline=None, max_examples=60)
def test_words_cover_all_but_spaces_and_do_not_cross_texts(given_: list[str]) -> None:
    texts = texts_of(given_)
    for at, text in enumerate(texts.column.to_pylist()):
        first, last = texts.words.first[at], texts.words.first[at + 1]
        said = [
            texts.text(a, b) for a, b in zip(texts.words.starts[first:last], texts.words.ends[first:last], strict=True)
        ]
        assert "".join(said) == "".join(text.split()) and all(said)
        assert said == words_of(text), "what stands beside a text changes nothing"


# -- what Gopher counts ------------------------------------------------------------


def most_frequent(words: list[str], n: int) -> int:
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    text, count = Counter(grams).most_common(1)[0]
    return len(text) * count


def came_before(words: list[str], n: int) -> int:
    seen, chars, at = set(), 0, 0
    while at < len(words) - n + 1:
        gram = tuple(words[at : at + n])
        if gram in seen:
            chars += len("".join(gram))
            at += n
        else:
            seen.add(gram)
            at += 1
    return chars


def again(parts: Sequence[str]) -> tuple[int, int]:
    seen: set[str] = set()
    count = chars = 0
    for part in parts:
        count, chars = count + (part in seen), chars + len(part) * (part in seen)
        seen.add(part)
    return count, chars


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def expected(text: str) -> dict[str, float]:
    """All document signals of Gopher's and FineWeb's rules, as they are told in words."""
    words = words_of(text)
    lines = [line.strip() for line in text.splitlines()]
    marked = [w for w in words if any(_says(c) for c in w)]
    runs, paragraphs = re.split("\n+", text), re.split("\n{2,}", text.strip())
    filled = [line for line in text.split("\n") if line.strip()]
    ends = tuple(".!?。！？")
    found: dict[str, float] = {
        "words": len(marked),
        "mean_word_length": share(sum(map(len, marked)), len(marked)),
        "hashes_per_word": share(text.count("#"), len(words)),
        "ellipses_per_word": share(text.count("...") + text.count("…"), len(words)),
        "bullet_lines": share(sum(line.startswith(("•", "-")) for line in lines), len(lines)),
        "ellipsis_lines": share(sum(line.endswith(("...", "…")) for line in lines), len(lines)),
        "alphabetic_words": share(sum(any(c.isalpha() for c in w) for w in words), len(words)),
        "stop_words": len({"the", "be", "to", "of", "and", "that", "have", "with"} & set(words)),
        "duplicate_lines": share(again(runs)[0], len(runs)),
        "duplicate_line_characters": share(again(runs)[1], len(text)),
        "duplicate_paragraphs": share(again(paragraphs)[0], len(paragraphs)),
        "duplicate_paragraph_characters": share(again(paragraphs)[1], len(text)),
        "short_lines": share(sum(len(line) <= 30 for line in filled), len(filled)),
        "repeated_line_characters": share(again(filled)[1], len(text.replace("\n", ""))),
        "line_feeds_per_word": share(text.count("\n"), len(words)),
        "punctuated_lines": share(sum(line.endswith(ends) for line in filled), len(filled)),
    }
    found |= {f"top_{n}_gram": share(most_frequent(words, n), len(text)) for n in (2, 3, 4)}
    return found | {f"duplicate_{n}_grams": share(came_before(words, n), len(text)) for n in range(5, 11)}


def _says(char: str) -> bool:
    import unicodedata

    kind = unicodedata.category(char)
    return not (kind[0] == "P" or kind == "Cc" or (ord(char) < 128 and kind[0] == "S"))


@given(st.lists(TEXT, min_size=1, max_size=4))
@settings(deadline=None, max_examples=60)
def test_document_signals(given_: list[str]) -> None:
    texts = texts_of(given_)
    wanted = [expected(text) for text in given_]
    for name in wanted[0]:
        got = np.asarray(signals.find("document", name).compute(texts), np.float64)
        np.testing.assert_allclose(got, [w[name] for w in wanted], rtol=1e-12, atol=1e-12, err_msg=name)


def test_every_signal_can_be_computed_of_anything() -> None:
    texts = texts_of(
        [
            "",
            " ",
            "\n\n",
            "a",
            "的",
            "x" * 3000,
            "a b " * 500,
            "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        ]
    )
    for (level, _), signal in signals.known().items():
        pieces = None if level == "document" else texts.of(level)
        values = np.asarray(signal.compute(texts, pieces) if pieces else signal.compute(texts))
        assert len(values) == (len(pieces.starts) if pieces else len(texts)), signal.name
        assert np.isfinite(values.astype(float)).all() and signal.about, signal.name


def test_repetition_of_characters_by_hand() -> None:
    # abcabcabc: abc 3, bca 2, cab 2: 3 kinds, the root of them is 1: the most frequent, 3 of 7
    assert value("character_repetition", "abcabcabc") == pytest.approx(3 / 7)
    assert value("character_repetition", "abcdefgh") == 0, "no run is there twice"
    assert value("character_repetition", "哈" * 10) == 1


# -- lines, sentences, keywords ------------------------------------------------------------


def test_lines() -> None:
    texts = texts_of(["Use of Cookies here.\nshort\n\nsee javascript now!\nand so on...", 'x" {y}'])
    lines = texts.lines
    names = ("words", "longest_word", "closed", "javascript", "policy", "braces")
    found = {name: signals.find("line", name).compute(texts, lines).tolist() for name in names}
    assert found == {
        "words": [4, 1, 0, 3, 3, 2], "longest_word": [7, 5, 0, 10, 5, 3], "closed": [1, 0, 0, 1, 0, 0],
        "javascript": [0, 0, 0, 1, 0, 0], "policy": [1, 0, 0, 0, 0, 0], "braces": [0, 0, 0, 0, 0, 1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "count"),
    [("One. Two! Three?", 3), ('He said "No." Then left.', 2), ("Mr. Smith came. So", 2), ("a\nb", 2), ("", 0),
     ("第一句。第二句！第三句？", 3), ("Wait... what", 1), ("no end", 1)],
)  # fmt: skip
def test_sentences(text: str, count: int) -> None:
    assert value("sentences", text) == count


@given(st.lists(st.text(alphabet="abAB 我.", max_size=25), min_size=1, max_size=4),
       st.lists(st.text(alphabet="abAB我", min_size=1, max_size=4), min_size=1, max_size=5))  # fmt: skip
@settings(deadline=None, max_examples=80)
def test_keywords_as_a_search_at_each_place(given_: list[str], sought: list[str]) -> None:
    texts = texts_of(given_)
    whole = [text.lower() for text in given_]
    ends = [{at + len(w) for w in map(str.lower, sought) for at in range(len(t)) if t.startswith(w, at)} for t in whole]
    starts, stops = texts.matches(tuple(sought))
    got = [
        {int(e - texts.bounds[k]) for e in stops if texts.bounds[k] < e <= texts.bounds[k + 1]}
        for k in range(len(texts))
    ]
    assert got == ends
    assert all(texts.text(a, b).lower() in {w.lower() for w in sought} for a, b in zip(starts, stops, strict=True))


def test_whole_words_and_what_crosses_a_line() -> None:
    texts = texts_of(["Cookie cookies\nmy cookie,", "说cookie的人"])
    assert searched(texts, texts.lines, ("cookie",)).tolist() == [2, 1, 1]
    assert searched(texts, texts.lines, ("cookie",), whole=True).tolist() == [1, 1, 1]
    assert searched(texts, texts.lines, ("cookies\nmy",)).tolist() == [0, 0, 0]


# -- cutting ------------------------------------------------------------


@given(st.lists(TEXT, min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_without_some_lines(given_: list[str], random: Any) -> None:
    texts = texts_of(given_)
    lines = texts.lines
    gone = np.array([random.random() < 0.5 for _ in lines.starts], np.bool_)
    got = texts.without(lines, gone).to_pylist()
    left: list[list[str]] = [[] for _ in given_]
    for owner, start, end, out in zip(lines.owners, lines.starts, lines.ends, gone, strict=True):
        if not out and end > start:
            left[owner].append(texts.text(start, end))
    assert [[line.strip() for line in text.splitlines() if line.strip()] for text in got] == left
    touched = set(lines.owners[gone].tolist())
    assert all(text == given_[at] for at, text in enumerate(got) if at not in touched)
    assert all(text == text.strip() for at, text in enumerate(got) if at in touched)


def test_batches_hold_every_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from luthier.corpus import texts as module

    monkeypatch.setattr(module, "AT_ONCE", 10)
    column = pa.chunked_array(
        [pa.array(["aaaa", None, "b" * 50], pa.large_string()), pa.array(["c", "dd"], pa.large_string())]
    )
    assert [t for batch in batches(column) for t in batch.to_pylist()] == column.to_pylist()


def test_unknown_signals_name_the_nearest() -> None:
    from luthier.core.errors import LuthierError

    with pytest.raises(LuthierError, match=r"no signal wrods of a document: words"):
        signals.find("document", "wrods")
