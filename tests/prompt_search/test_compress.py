"""Shorter prompts: information against a plain computation, the target kept, characters and lines whole."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from luthier.api.prompts import shares
from luthier.core.errors import LuthierError
from luthier.prompt_search import compress
from luthier.reports.plain_page import both
from luthier.reports.prompts import curve

TEXT = "Where is my parcel?\n    It was sent 12 days ago.\n退款还没有到，请查一下。\n\nthe end"


def tokens(lm: Any, text: str) -> int:
    return len(lm.tokenizer(text, add_special_tokens=False)["input_ids"])


def test_information_against_the_model_itself(lm: Any) -> None:
    """-log p of each token by transformers' own logits, by word. Seen failing with values shifted by a token."""
    reference = tiny.reference(Path(lm.name))
    encoded = lm.tokenizer(TEXT, return_offsets_mapping=True, add_special_tokens=False)
    ids = torch.tensor([encoded["input_ids"]])
    with torch.no_grad():
        values = torch.log_softmax(reference(ids).logits[0, :-1].double(), -1)
    surprise = [math.inf, *(-float(values[i, t]) for i, t in enumerate(ids[0, 1:]))]
    by_word: dict[int, list[float]] = {}
    for (a, b), value in zip(encoded["offset_mapping"], surprise, strict=True):
        for at, word in enumerate(compress.WORD.finditer(TEXT)):
            if a < word.end() and b > word.start():
                by_word.setdefault(at, []).append(value)
    got = compress.pieces(lm, TEXT)
    assert [TEXT[p.start : p.end] for p in got] == compress.WORD.findall(TEXT)
    want = [float(np.mean(by_word[i])) if i in by_word else math.inf for i in range(len(got))]
    np.testing.assert_allclose([p.information for p in got], want, rtol=1e-4)


def test_a_text_longer_than_a_window(lm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows overlap by half: each value is that of its own window. Seen failing with windows that leave a gap."""
    monkeypatch.setattr(compress, "WINDOW", 16)
    ids = lm.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    got = compress.surprise(lm, ids)
    assert len(got) == len(ids) and got[0] == math.inf
    for at in (15, 16, 20, 24, 30):
        start = 0 if at < 16 else (at - 16) // 8 * 8 + 8
        own = -lm.stretch_logprobs(ids[start : start + 16])
        assert got[at] == pytest.approx(float(own[at - start - 1]), rel=1e-4)


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.2, 0.05])
def test_the_target_is_kept_and_words_stay_whole(lm: Any, keep: float) -> None:
    short = compress.compress(lm, TEXT, keep)
    assert tokens(lm, short) <= keep * tokens(lm, TEXT) + 1e-6
    words, left = compress.WORD.findall(TEXT), iter(compress.WORD.findall(TEXT))
    assert all(w in left for w in compress.WORD.findall(short)) and set(compress.WORD.findall(short)) <= set(words)
    assert "\n\n\n" not in short and "�" not in short


def test_the_least_informative_goes_first(lm: Any) -> None:
    """Seen failing with the most informative left out."""
    found = compress.pieces(lm, TEXT)
    short = compress.compress(lm, TEXT, 0.6)
    kept = compress.WORD.findall(short)
    ranked = sorted(range(len(found)), key=lambda i: found[i].information)
    gone = len(found) - len(kept)
    want = [TEXT[found[i].start : found[i].end] for i in sorted(ranked[gone:])]
    assert kept == want and 0 < gone < len(found)
    other = compress.compress(lm, TEXT, 0.6, np.random.default_rng(1))
    assert other != short and tokens(lm, other) <= 0.6 * tokens(lm, TEXT)


def test_lines_and_indentation_stay() -> None:
    text = "def f(x):\n    if x:\n        return 1\n    return 2"
    every = [compress.Piece(m.start(), m.end(), 0.0) for m in compress.WORD.finditer(text)]
    assert compress.render(text, every) == text
    without = [p for p in every if text[p.start : p.end] not in ("if", "f")]
    assert compress.render(text, without) == "def (x):\n    x:\n        return 1\n    return 2"


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab 中，.\n\t1\u3042é", max_size=40))
def test_rendering_all_pieces_keeps_all_that_is_said(text: str) -> None:
    every = [compress.Piece(m.start(), m.end(), 0.0) for m in compress.WORD.finditer(text)]
    assert re.sub(r"\s", "", compress.render(text, every)) == re.sub(r"\s", "", text)


@pytest.mark.parametrize("lm", ["t5", "bert"], indirect=True)
def test_other_models_are_refused(lm: Any) -> None:
    with pytest.raises(LuthierError, match="the model reads no text from left to right"):
        compress.pieces(lm, TEXT)


def test_shares() -> None:
    assert shares("0.2, 0.8,0.2") == [0.8, 0.2]
    for wrong in ("", "1.5", "a", "0"):
        with pytest.raises(LuthierError, match="shares between 0 and 1"):
            shares(wrong)


def test_a_curve_and_its_page(lm: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    result = curve.curve(lm, tiny.CHATS, tiny.CHATS.validation, [0.8, 0.4], "likelihood", 0, lambda *a: told.append(a))
    assert [p["keep"] for p in result["points"]] == [0.8, 0.4, 0.8, 0.4] and told[-1] == (4, 4)
    assert all(p["tokens"] < result["tokens"] for p in result["points"])
    assert all(p["ci95"][0] <= p["score"] <= p["ci95"][1] for p in result["points"])
    curve.write_page(tmp_path / "c.html", both("<b>x</b>", "<b>甲</b>"), result)
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "<svg" in page and "&lt;b&gt;x&lt;/b&gt;" in page and page.count("<script") == 2


def test_a_server_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no tokenizer here."""
    from luthier.api.prompts import shortened

    (tmp_path / "long.txt").write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(
        "luthier.models.loading.of_recipe.load_base", lambda recipe: type("Remote", (), {"remote": True})()
    )
    with pytest.raises(LuthierError, match="a server gives no information of its words"):
        shortened(tmp_path / "long.txt", 0.5, None, "http://127.0.0.1:1/v1#m")
