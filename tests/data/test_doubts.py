"""Mappings that make little sense: said with the one that fits, and stopped where nothing can be learned."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase
from luthier.data.load import load_split
from luthier.data.task import read_table
from luthier.io.config import DataConfig

Write = Callable[[str, str | bytes], Path]
REVIEWS = [f"review number {i} says that it was as good as number {i * 7 % 41}" for i in range(60)]


def swapped(write: Write) -> Path:
    rows = [f"{'good' if i % 2 else 'bad'},{review}" for i, review in enumerate(REVIEWS)]
    return write("a.csv", "\n".join(["label,review", *rows]) + "\n")


def test_text_and_label_the_wrong_way_round_stop_with_the_right_one(write: Write) -> None:
    """Seen failing by giving a split of 60 labels."""
    path = swapped(write)
    config = DataConfig(str(path), map={"label": "text", "review": "label"})
    with pytest.raises(LuthierError) as caught:
        load_split(config)
    said = str(caught.value)
    assert '"label" as text, "review" as label: 60 different labels in 60 rows and 58 of 60 rows repeat' in said
    assert f"luthier compare {path} --map review=text,label=label\n--anyway takes it as it is" in said
    assert load_split(replace(config, map={}))[0].labels == ("bad", "good")


def test_inspect_says_it_and_goes_on(write: Write) -> None:
    table = read_table(DataConfig(map={"label": "text", "review": "label"}), str(swapped(write)))
    (many, rather) = table.notes[-2:]
    assert many == "a.csv: 60 different labels in 60 rows: texts are as different as that, labels are not."
    assert rather.startswith("a.csv: by its content it is rather: luthier compare ")
    assert isinstance(many, Phrase) and many.key == "said_map_many" and many.text("zh") != many
    assert isinstance(rather, Phrase) and rather.key == "said_map_rather" and rather.text("zh") != rather


def test_mostly_contradicting_rows_stop_and_some_are_counted(write: Write) -> None:
    """Of three labels in turn two contradict the first: 40 of 60. Seen failing with the share never looked at."""
    thirds = [f"{('good', 'bad', 'fair')[i % 3]},{REVIEWS[i // 12]}" for i in range(60)]
    with pytest.raises(LuthierError, match=r"a\.csv, read with .*: 40 of 60 rows repeat an earlier row with another"):
        load_split(DataConfig(str(write("a.csv", "\n".join(["label,text", *thirds])))))
    halves = [f"{'good' if i % 2 else 'bad'},{REVIEWS[i // 6]}" for i in range(60)]
    _, notes = load_split(DataConfig(str(write("b.csv", "\n".join(["label,text", *halves])))))
    assert "30 of 60 rows of b.csv repeat an earlier row with another answer." in notes


def test_questions_may_have_many_answers(write: Write) -> None:
    rows = [{"instruction": "Write a poem.", "output": review} for review in REVIEWS]
    rows += [{"instruction": f"Write {i} poems.", "output": review} for i, review in enumerate(REVIEWS)]
    _, notes = load_split(DataConfig(str(write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))))
    (note,) = [note for note in notes if "another answer" in note]
    assert note.startswith("59 of 120 rows of a.jsonl") and isinstance(note, Phrase) and note.key == "said_conflicts"


def test_a_label_beside_plain_text_is_asked_about(write: Write) -> None:
    rows = [f"{review},{'aa' if i % 2 else 'bb'}" for i, review in enumerate(REVIEWS)]
    path = write("a.csv", "\n".join(["text,art", *rows]))
    _, notes = load_split(DataConfig(str(path)))
    (note,) = [note for note in notes if "plain text" in note]
    assert note.endswith(f'"art" looks like labels: luthier compare {path} --map text=text,art=label')
    assert isinstance(note, Phrase) and note.key == "said_map_beside" and "看起来是标签" in note.text("zh")
    assert not any("plain text" in n for n in load_split(DataConfig(str(path), map={"text": "text"}))[1])
    known = write("b.csv", "\n".join(["text,source", *rows]))
    assert not any("plain text" in n for n in load_split(DataConfig(str(known)))[1])
