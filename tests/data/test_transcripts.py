"""Preferences whose conversations are one text each, Human and Assistant in turn; what is not used of them is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.core.phrases import Phrase
from luthier.core.records import Message, Preference
from luthier.data.load import load_split
from luthier.data.read import Table, read
from luthier.io.config import DataConfig
from luthier.reports.inspection.findings import findings
from luthier.reports.inspection.inspection import Reader, inspect

BEFORE = "\n\nHuman: How do I boil an egg?\n\nAssistant: In water.\n\nHuman: How long?\n\nAssistant:"
ASKED = (Message("user", "How do I boil an egg?"), Message("assistant", "In water."), Message("user", "How long?"))


def reads(tmp_path: Path, *rows: Any) -> Table:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return read(path)


def test_transcripts_are_a_conversation_and_two_answers(tmp_path: Path) -> None:
    """Seen failing before they were read: 'missing field "prompt"'."""
    row = {"chosen": f"{BEFORE} Seven minutes.\n\nThen cold water.", "rejected": f"{BEFORE} Long."}
    (record,) = reads(tmp_path, row).records
    assert record == Preference(ASKED, "Seven minutes.\n\nThen cold water.", "Long.")


def test_chinese_transcripts(tmp_path: Path) -> None:
    row = {"chosen": "用户：鸡蛋煮多久？\n\n助手：七分钟。", "rejected": "用户：鸡蛋煮多久？\n\n助手：很久。"}
    (record,) = reads(tmp_path, row).records
    assert record == Preference((Message("user", "鸡蛋煮多久？"),), "七分钟。", "很久。")


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        (f"{BEFORE} A.", "\n\nHuman: Hi\n\nAssistant: B.", "chosen and rejected differ before their last message"),
        ("\n\nHuman: Hi", "\n\nHuman: Hi\n\nAssistant: B.", "ends with the words of Human, not with an answer"),
        (f"{BEFORE} A.", f"{BEFORE} B.\n\nHuman: Thanks.", 'field "rejected" ends with the words of Human'),
        (f"{BEFORE} ", f"{BEFORE} B.", 'the last answer of field "chosen" is empty'),
        ("\n\nHuman: \n\nAssistant: A.", "\n\nHuman: \n\nAssistant: B.", 'turn 1 of field "chosen" is empty'),
        ("\n\nAssistant: A.", "\n\nAssistant: B.", 'field "chosen" begins with an answer'),
        ("", f"{BEFORE} B.", 'field "chosen" is empty'),
        (f"{BEFORE} A.", f"{BEFORE} A. ", "chosen and rejected are the same answer"),
        ("A.", "B.", 'missing field "prompt"'),
    ],
)  # fmt: skip
def test_transcripts_that_cannot_be_used(tmp_path: Path, chosen: str, rejected: str, reason: str) -> None:
    good = {"chosen": f"{BEFORE} A.", "rejected": f"{BEFORE} B."}
    table = reads(tmp_path, good, {"chosen": chosen, "rejected": rejected})
    assert len(table.records) == 1 and [bad.line for bad in table.bad] == [2] and reason in table.bad[0].reason


def test_an_answer_that_quotes_a_speaker_stays_whole_beside_a_prompt(tmp_path: Path) -> None:
    (record,) = reads(tmp_path, {"prompt": "q", "chosen": "Human: is a word.", "rejected": "No."}).records
    assert record == Preference((Message("user", "q"),), "Human: is a word.", "No.")


def test_that_rejected_answers_are_not_used_is_told_once(tmp_path: Path, tiny_folder: Any) -> None:
    rows = [
        {"chosen": f"\n\nHuman: {i}?\n\nAssistant: {i}.", "rejected": f"\n\nHuman: {i}?\n\nAssistant: no"}
        for i in range(12)
    ]
    reads(tmp_path, *rows)
    config = DataConfig(str(tmp_path / "rows.jsonl"))
    said = (
        "rows.jsonl: 12 rows have a preferred and a rejected answer: methods are compared by which "
        "of the two they find likelier; --metric chrF imitates the preferred ones. The preferred answer is the "
        "longer one in 17% of them."
    )
    (note,) = load_split(config)[1]
    assert note == said and isinstance(note, Phrase) and note.key == "said_data_preferences"
    assert "只模仿较好的回答" in note.text("zh")
    (found,) = inspect(config, Reader(str(tiny_folder("llama_tied"))))
    assert [f.text.text() for f in findings(found)].count(said) == 1
    assert [f.text.text("zh") for f in findings(found)].count(note.text("zh")) == 1
