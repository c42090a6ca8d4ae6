"""Words for full-text search."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from luthier.index.terms import script, sought, terms


def test_chinese_words_of_one_and_two_characters_are_terms() -> None:
    """Seen failing without single characters."""
    found = terms("琴弓每年换一次Bow hair，ＡＢＣ１２。")
    assert {"弓", "琴弓", "每年", "换", "bow", "hair", "abc12"} <= set(found) and "，" not in found


@given(st.text(max_size=60), st.integers(0, 59), st.integers(1, 2))
def test_any_pair_of_han_is_found(text: str, at: int, length: int) -> None:
    """A query of one or two characters out of a Chinese text gives terms that the text has, too."""
    text = "年假" + "".join(c for c in text if "\u4e00" <= c <= "\u9fff") + "弓毛"
    asked = sought(text[at : at + length])
    assert set(asked) <= set(terms(text)) and (asked or not text[at : at + length])


def test_a_question_is_looked_up_by_pairs() -> None:
    assert sought("琴弓每年 换 Bow") == ["琴弓", "弓每", "每年", "换", "bow"] and sought("？") == []
    assert sought("水とは") == terms("水とは")


def test_script() -> None:
    assert script("年假有 15 天") == "han" and script("Leave 年") == "latin" and script("年次休暇です。") == "kana"
    assert script("123") == "" and script("Отпуск") == "cyrillic" and script("휴가") == "hangul"
