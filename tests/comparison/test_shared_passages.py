"""What comparing says of test rows that stand in training rows or in documents."""

from __future__ import annotations

import pytest

from luthier.comparison.shared_passages import said
from luthier.core.records import Chat, Labelled, Message, Text
from luthier.core.split import Split

LONG = "The ferry that crossed at dawn carried two horses, a clock without hands and a boy who slept."
ZH = "磨坊主在冬天修好了水轮，可是河水在春天之前就结了冰，所以谁也没有听见它转动。"


def chat(asked: str, answer: str) -> Chat:
    return Chat((Message("user", asked), Message("assistant", answer)))


@pytest.mark.parametrize("row", [LONG, ZH])
def test_a_question_inside_a_longer_text_is_said_once_with_its_words(row: str) -> None:
    train = (Labelled(f"He said: {row} And so on.", "a"), Labelled(f"{row} Twice.", "b"), Labelled("other", "b"))
    split = Split("classification", train, (), (Labelled(row, "a"), Labelled("other words of its own", "b")))
    (note,) = said(split)
    assert f"1 of 2 test rows has 13 or more words in a row in common with training rows (“{row[:-1]}" in str(note)
    assert "2 行测试数据中有 1 行与训练数据有连续 13 个以上的词（汉字）相同" in note.text("zh")


def test_documents_may_hold_answers_but_no_questions() -> None:
    test = (chat("what did it carry", LONG), chat(ZH, "x"))
    split = Split("generation", (), (), test, documents=(Text(f"A page. {LONG}"),))
    assert not said(split)
    (note,) = said(Split("generation", (), (), test, documents=(Text(f"A page. {LONG}"), Text(f"一页。{ZH}"))))
    assert str(note).startswith("The documents hold what 1 of 2 test rows asks, word for word (“磨坊主")


def test_an_instruction_that_stands_in_every_row_is_none() -> None:
    ask = "Translate the following sentence into German and write nothing but the translation, please, without quotes:"
    rows = [chat(f"{ask} {at} {'xyz'[at % 3]}", f"ja {at}") for at in range(40)]
    assert not said(Split("generation", tuple(rows[:20]), (), tuple(rows[20:])))
