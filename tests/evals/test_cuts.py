"""What was too long is said: in the notes of a run, of a comparison and on its page, in both languages."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tiny
from kinds import labelled_rows, texts_of
from luthier import api
from luthier.comparison import board
from luthier.core.example import Example
from luthier.core.phrases import Phrase, say
from luthier.core.records import Chat, Labelled, Message
from luthier.data.prompts import CLASSIFY
from luthier.data.shorten import Counted
from luthier.direct import few_shot
from luthier.evals import cuts
from luthier.io import config
from luthier.io.files import read_json
from luthier.runs import run
from luthier.training.context import Context

LONG = "word " * 200
GAVE_WAY = "(--max-length sets it): the middle of the longest text gave way"


def example(row: int, cut: int = 0, lost: int = 0) -> Example:
    return Example(row, (1, 2), (0,), (2,), record=row, cut=cut, lost=lost)


def test_rows_are_counted_once() -> None:
    """Of several examples of one row. Seen failing with a count of examples."""
    found = [example(0, 5), example(0, 3), example(2, 0, 7), example(3)]
    assert cuts.of_training(found, 4, 1024) == [
        "1 of 4 training rows was shortened to 1,024 tokens " + GAVE_WAY,
        "1 of 4 training rows has nothing to learn within max_length (1,024 tokens)",
        "training rows with an answer of more than 1,024 tokens, of which 7 in all are not learned: 1 of 4",
    ]
    assert cuts.of_training([example(i) for i in range(5)], 5, 1024) == []


@pytest.mark.parametrize("rows", [1, 2000])
def test_every_sentence_is_said_in_chinese(rows: int) -> None:
    found = [example(i, 1, 1) for i in range(rows)]
    said = [*cuts.of_training(found, 3 * rows, 1024), *cuts.shortened(rows, 3 * rows, "test", 512)]
    for phrase in said:
        assert isinstance(phrase, Phrase) and phrase.key.startswith("said_cut_")
        assert re.search("[\u4e00-\u9fff]", phrase.text("zh"))


def test_fewer_examples_are_said_in_both_languages() -> None:
    """Of questions that were asked with fewer, and of examples that no question had."""
    counted = Counted()
    counted.asked.update({1, 2, 3})
    counted.fewer.add(1)
    lm: Any = SimpleNamespace(counted=counted, limit=512, context=512)
    (note,) = cuts.of_test(lm, [])
    assert isinstance(note, Phrase) and note == "context of 512 tokens: 1 of 3 questions were asked with fewer examples"
    assert note.text("zh") == "上下文为 512 个词元：3 个问题中有 1 个提问时少用了示例"
    tried: Any = SimpleNamespace(lm=lm, data=tiny.LABELLED, ctx=Context(lm, cache=Path()))
    (note,) = few_shot._Tried.cuts(tried, few_shot._Choice(CLASSIFY[0], "random", 3, 0), SimpleNamespace(shots=[1, 2]))
    assert isinstance(note, Phrase) and note == "context of 512 tokens: 1 of 3 examples were cut off"
    assert note.text("zh") == "上下文为 512 个词元：3 个示例中有 1 个被舍去"


def test_a_run_says_how_many_rows_were_shortened(lm: Any, tmp_path: Path) -> None:
    """Training and test rows apart; a direct method's training rows as well. Seen failing with no word in either."""
    rows = tuple(Labelled(r.text + LONG * (i < 3), r.label) for i, r in enumerate(labelled_rows(tiny.LABELLED.train)))
    test = (*labelled_rows(tiny.LABELLED.test), Labelled("where is it " + LONG, "delivery"))
    split = replace(tiny.LABELLED, train=rows, test=test)
    for method, limit in (("lora", 100), ("features", 512)):
        changes = {} if method == "features" else {"objective": {"max_length": 100}}
        made = tiny.recipe(Path(lm.name), method, training={"epochs": 1, "tokens": 10**6}, **changes)
        with run.adapted(lm, made, split, cache=tmp_path) as outcome:
            cuts.begin(outcome.lm)
            outcome.lm.predict(texts_of(test), split.labels)
            notes = [*outcome.notes, *cuts.of_test(outcome.lm, test)]
        assert [n for n in notes if "shortened" in n] == [
            f"3 of 8 training rows were shortened to {limit} tokens " + GAVE_WAY,
            f"1 of 3 test rows was shortened to {limit} tokens " + GAVE_WAY,
        ]


def test_every_row_of_long_questions_is_learned(lm: Any, tmp_path: Path) -> None:
    """Nine of twelve questions are too long. Seen failing with these rows left out of training without a word."""
    import json

    rows = [{"question": f"{LONG * (4 * (i % 4 > 0))}what is {i}?", "answer": f"it is {i}"} for i in range(12)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = tiny.recipe(Path(lm.name), "lora", data=config.DataConfig(str(path)), training={"epochs": 1})
    folder = api.train(made, tmp_path / "run")
    notes = read_json(folder / "eval.json")["notes"]
    (trained,) = (re.fullmatch(r"(\d+) of (\d+) training rows w\w+ shortened to 1,024 tokens .*", n) for n in notes
                  if "training rows w" in n)  # fmt: skip
    assert trained and int(trained[1]) >= 4 and not any("nothing to learn" in n for n in notes)
    assert any("test rows w" in n for n in notes)


def test_rows_without_an_answer_are_said(lm: Any) -> None:
    silent = Chat((Message("user", "a"), Message("assistant", "b", learned=False)))
    split = replace(tiny.CHATS, train=(*tiny.CHATS.train, silent))
    with run.adapted(lm, tiny.recipe(Path(lm.name), "lora", training={"epochs": 1}), split) as outcome:
        assert "1 of 9 training rows has nothing to learn within max_length (1,024 tokens)" in outcome.notes


def test_the_board_says_what_runs_noted_once() -> None:
    said = cuts.shortened(3, 9, "training", 512)
    choice = say("said_tried_nearest")
    runs: dict[str, Any] = {
        "lora": [{"notes": [*said, "8 examples", choice]}] * 2,
        "full": [{"notes": said}],
        "head": [{}],
    }
    assert board._run_notes(runs) == [["lora, full", said[0]]]
