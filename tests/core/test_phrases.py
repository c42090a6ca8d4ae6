"""Phrases: a string that knows its key, and keeps it through copies, errors and files."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest

from luthier.core.errors import LuthierError, Refused
from luthier.core.phrases import SAID, Phrase, of_error, recall, remember, say

INSIDE = say("said_file_guessed", encoding="GB18030")
NOTE = say("said_in_file", file="a.csv", note=INSIDE)
ENGLISH = "a.csv: read as GB18030, since it is not UTF-8 (--encoding names another)"
CHINESE = "a.csv：不是 UTF-8，按 GB18030 读取（可用 --encoding 指定其他编码）"


def through_json(record: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(record)))


def same(found: object, wanted: Phrase) -> bool:
    """Whether it is that phrase, with its values, and not only its English text."""
    return isinstance(found, Phrase) and found.packed() == wanted.packed() and found == wanted


def test_a_phrase_is_its_english_text() -> None:
    assert isinstance(NOTE, str) and NOTE == ENGLISH and NOTE.text() == ENGLISH and NOTE.text("zh") == CHINESE
    found: dict[str, int] = {NOTE: 1}
    assert hash(NOTE) == hash(ENGLISH) and found[ENGLISH] == 1 and list(dict.fromkeys([NOTE, ENGLISH])) == [NOTE]
    assert f"{NOTE}!" == f"{ENGLISH}!" and json.dumps([NOTE]) == json.dumps([ENGLISH])
    listed = say("said_elsewhere", methods=["head", say("said_gives_text")])
    assert listed.text() == "Not tried, being for other data: head, text." and "head、文本" in listed.text("zh")


def test_what_is_missing_is_an_error_where_it_is_said() -> None:
    for key, values in (("said_no_such_text", {}), ("said_in_file", {"file": "a"})):
        with pytest.raises(KeyError):
            say(key, **values)


def test_records_keep_phrases_through_json() -> None:
    """Beside their English text, which stays where it was. Seen failing with the inner phrase as text."""
    record = through_json(remember({"notes": [NOTE, "plain", say("said_rate_step")], "rows": 3}, "notes", "reason"))
    assert record["notes"][:2] == [ENGLISH, "plain"] and record["rows"] == 3
    first, plain, last = recall(record, "notes")
    assert same(first, NOTE) and same(first.values["note"], INSIDE) and first.text("zh") == CHINESE
    assert type(plain) is str and plain == "plain" and same(last, say("said_rate_step"))
    alone = through_json(remember({"reason": NOTE}, "reason"))
    assert alone["reason"] == ENGLISH and same(recall(alone, "reason"), NOTE)


def test_records_without_phrases_stay_as_they_are() -> None:
    """Those of earlier versions, too."""
    record = {"notes": ["plain"], "reason": "because"}
    assert remember(record, "notes", "reason", "absent") == record
    assert recall(record, "notes") == ["plain"] and recall(record, "reason") == "because"
    with pytest.raises(KeyError):
        recall(record, "absent")


@pytest.mark.parametrize(
    "told",
    [
        [{"t": "said_of_a_later_version", "v": {}}],
        [{"t": "said_in_file", "v": {"file": "a.csv"}}],
        [{"t": "said_in_file", "v": ["a.csv"]}],
        [{"v": {}}],
    ],
)
def test_what_cannot_be_said_any_more_is_english(told: Any) -> None:
    assert recall({"notes": [ENGLISH], SAID: {"notes": told}}, "notes") == [ENGLISH]
    assert recall({"notes": [ENGLISH], SAID: told}, "notes") == [ENGLISH]


@dataclass(frozen=True)
class Noted:
    notes: tuple[str, ...]


def test_copies_are_phrases() -> None:
    """Dataclasses are written by `asdict`, which copies. Seen failing with the key lost on the way."""
    held = Noted((NOTE, "plain"))
    for found in (copy.deepcopy(NOTE), copy.copy(NOTE), pickle.loads(pickle.dumps(NOTE))):
        assert same(found, NOTE)
    assert same(asdict(held)["notes"][0], NOTE) and same(replace(held).notes[0], NOTE)
    assert same(recall(through_json(remember(asdict(held), "notes")), "notes")[0], NOTE)


def test_an_error_carries_its_phrase() -> None:
    reason = say("said_refused_remote")
    try:
        raise Refused(reason)
    except LuthierError as error:
        assert same(of_error(error), reason) and str(error) == "the model is an endpoint: its weights are not here"
    assert of_error(ValueError("plain")) == "plain" and of_error(ValueError()) == ""
    assert of_error(OSError(28, "full")) == str(OSError(28, "full")) and of_error(KeyError("x")) == "'x'"


def test_half_characters_and_control_characters() -> None:
    """A label may be half of a pair; what would act on a terminal is dropped."""
    note = say("said_same_answer", rows=3, answer="\ud83d")
    assert note.endswith("\ud83d")
    assert same(recall(through_json(remember({"notes": [note]}, "notes")), "notes")[0], note)
    assert say("said_same_answer", rows=3, answer="\x1b[31mred\x07").endswith(": red")
