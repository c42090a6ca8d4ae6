"""What stands beside a conversation in a row, and flags on its answers: part of the record, whatever the layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.core.records import Chat, Judged, Message, Preference
from luthier.data.read import Table, read, read_inputs
from luthier.data.task import supervised

TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
LAYOUTS: dict[str, dict[str, Any]] = {
    "instruct": {"instruction": "q", "input": "", "output": "a"},
    "messages": {"messages": TURNS},
    "conversations": {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
    "question": {"question": "q", "answer": "a"},
    "squad": {"question": "q", "answers": {"text": ["a", "a"], "answer_start": [3, 3]}},
    "prompt": {"prompt": "q", "completion": "a"},
    "prompt messages": {"prompt": TURNS[:1], "completion": TURNS[1:]},
    "preference": {"prompt": "q", "chosen": "a", "rejected": "b"},
    "whole preference": {"chosen": TURNS, "rejected": [TURNS[0], {"role": "assistant", "content": "b"}]},
    "judged": {"prompt": "q", "completion": "a", "label": True},
}
TOOL = {"name": "add", "parameters": {"type": "object"}}
FRAME = {"system": "Be kind.", "history": [["q0", "a0"]], "tools": json.dumps([TOOL]), "context": "Facts."}
WHOLE = json.dumps([{"type": "function", "function": TOOL}])


def reads(tmp_path: Path, *rows: Any, **more: Any) -> Table:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return read(path, **more)


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_stands_beside_a_conversation_belongs_to_it(tmp_path: Path, name: str) -> None:
    (record,) = supervised(reads(tmp_path, LAYOUTS[name] | FRAME), imitate=True)[0].records
    assert record == Chat(
        (
            Message("system", "Be kind.", tools=WHOLE),
            Message("user", "q0"),
            Message("assistant", "a0"),
            Message("user", "Facts.\n\nq"),
            Message("assistant", "a"),
        )
    )


def test_an_own_system_text_stays_behind_that_of_the_column(tmp_path: Path) -> None:
    own = [{"role": "system", "content": "Rhyme."}, *TURNS]
    (record,) = reads(tmp_path, {"messages": own, **FRAME}).records
    assert isinstance(record, Chat)
    assert [m.content for m in record.messages[:3]] == ["Be kind.", "Rhyme.", "q0"]


def test_columns_that_hold_nothing_change_nothing(tmp_path: Path) -> None:
    empty: dict[str, Any] = {"system": "", "history": [], "tools": "[]", "context": None}
    (record,) = reads(tmp_path, LAYOUTS["instruct"] | empty).records
    assert record == Chat((Message("user", "q"), Message("assistant", "a")))


def test_map_names_what_stands_beside(tmp_path: Path) -> None:
    row = {"q": "q", "a": "a", "sys": "Be kind.", "ctx": "Facts."}
    columns = {"q": "question", "a": "answer", "sys": "system", "ctx": "context"}
    (record,) = reads(tmp_path, row, columns=columns).records
    assert record.asked == (Message("system", "Be kind."), Message("user", "Facts.\n\nq"))


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("history", [["q"]], 'turn 1 of field "history" is a list, not a question and its answer'),
        ("history", "[[", 'field "history" is a text that is not JSON'),
        ("tools", [{"description": "d"}], 'tool 1 of field "tools" has no name'),
        ("tools", "calculator", 'field "tools" is a text that is not JSON'),
        ("system", {"a": 1}, 'field "system" is an object, not text'),
    ],
)
def test_what_cannot_stand_beside_spoils_its_row(tmp_path: Path, column: str, value: Any, reason: str) -> None:
    table = reads(tmp_path, LAYOUTS["prompt"], LAYOUTS["prompt"] | {column: value})
    assert [bad.reason for bad in table.bad] == [reason]


def test_history_may_be_messages_with_flags(tmp_path: Path) -> None:
    earlier = [{"role": "user", "content": "q0"}, {"role": "assistant", "content": "a0", "weight": 0}]
    (record,) = reads(tmp_path, LAYOUTS["question"] | {"history": earlier}).records
    assert isinstance(record, Chat)
    assert record.messages[1] == Message("assistant", "a0", learned=False) and record.messages[-1].learned


@pytest.mark.parametrize("flag", ["weight", "train", "training", "loss", "loss_mask", "trainable"])
@pytest.mark.parametrize("value", [0, False, 0.0, "false"])
def test_answers_marked_not_to_be_learned(tmp_path: Path, flag: str, value: Any) -> None:
    bad = {"role": "assistant", "content": "BAD", flag: value}
    (record,) = reads(tmp_path, {"messages": [TURNS[0], bad, *TURNS]}).records
    assert isinstance(record, Chat)
    assert [m.learned for m in record.messages] == [True, False, True, True]
    human = {"from": "gpt", "value": "BAD", flag: value}
    sharegpt = [{"from": "human", "value": "q"}, human, *LAYOUTS["conversations"]["conversations"]]
    assert reads(tmp_path, {"conversations": sharegpt}).records == (record,)


def test_what_follows_the_last_learned_answer_is_left_out(tmp_path: Path) -> None:
    tail = [{"role": "user", "content": "more?"}, {"role": "assistant", "content": "BAD", "weight": 0}]
    table = reads(tmp_path, {"messages": [*TURNS, *tail]})
    assert table.records == (Chat((Message("user", "q"), Message("assistant", "a"))),)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"weight": 0}, "no answer is to be learned"),
        ({"weight": 0.5}, "weight of an answer is 0.5"),
        ({"weight": 2}, "weight of an answer is 2"),
        ({"weight": 0, "train": True}, "weight and train of an answer contradict each other"),
    ],
)
def test_flags_that_leave_nothing_to_learn(tmp_path: Path, flags: dict[str, Any], reason: str) -> None:
    table = reads(tmp_path, {"messages": TURNS}, {"messages": [TURNS[0], TURNS[1] | flags]})
    assert len(table.records) == 1 and reason in table.bad[0].reason


def test_tools_reasoning_and_calls_are_read(tmp_path: Path) -> None:
    """Arguments become an object, whether they come as one or as its JSON text, nested or flat."""
    nested = [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}]
    turns = [
        {"role": "developer", "content": "Use tools."},
        {"role": "user", "content": [{"type": "text", "text": "2+"}, {"type": "text", "text": "2?"}]},
        {"role": "assistant", "content": None, "tool_calls": nested, "reasoning_content": "A sum."},
        {"role": "tool", "content": "", "tool_call_id": "c1", "name": "add"},
        {"role": "assistant", "content": "4"},
    ]
    (record,) = reads(tmp_path, {"messages": turns}).records
    calls = json.dumps([{"id": "c1", "type": "function", "function": {"name": "add", "arguments": {"a": 2}}}])
    assert record == Chat(
        (
            Message("developer", "Use tools."),
            Message("user", "2+2?"),
            Message("assistant", "", reasoning="A sum.", calls=calls),
            Message("tool", "", name="add", call_id="c1"),
            Message("assistant", "4"),
        )
    )
    flat = [
        {"from": "human", "value": "2+2?"},
        {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 2}}'},
        {"from": "observation", "value": "4"},
        {"from": "gpt", "value": "4"},
    ]
    (record,) = reads(tmp_path, {"conversations": flat}).records
    assert isinstance(record, Chat)
    assert record.messages[1].calls == calls.replace('"id": "c1", ', "")
    assert [m.role for m in record.messages] == ["user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ({"content": None, "tool_calls": [{"name": "f", "arguments": "{"}]}, "is a text that is not JSON"),
        ({"content": None, "tool_calls": [{"arguments": {}}]}, "names no function"),
        ({"content": None, "tool_calls": [{"type": "custom", "name": "f"}]}, 'is of type "custom"'),
        ({"content": [{"type": "input_audio", "input_audio": {}}]}, "holds an input_audio: only text is read"),
        ({"content": None}, "the content of message 2 is null"),
    ],
)
def test_turns_that_cannot_be_read(tmp_path: Path, turn: dict[str, Any], reason: str) -> None:
    table = reads(tmp_path, {"messages": TURNS}, {"messages": [TURNS[0], {"role": "assistant", **turn}]})
    assert reason in table.bad[0].reason


def test_judged_answers_are_text(tmp_path: Path) -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}
    rows = [LAYOUTS["preference"], {"prompt": "q", "chosen": [called], "rejected": "b"}]
    table = reads(tmp_path, *rows)
    assert isinstance(table.records[0], Preference) and "ends with calls of tools" in table.bad[0].reason
    assert isinstance(reads(tmp_path, LAYOUTS["judged"]).records[0], Judged)


def test_rows_to_predict_on_are_asked_with_what_stands_beside(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    path.write_text(json.dumps([{"question": "q", "id": 7, **FRAME}, {"question": "q"}]), encoding="utf-8")
    inputs = read_inputs(path)
    first, second = inputs.prompts
    assert second == "q" and not isinstance(first, str)
    assert [(m.role, m.content) for m in first] == [
        ("system", "Be kind."), ("user", "q0"), ("assistant", "a0"), ("user", "Facts.\n\nq"),
    ]  # fmt: skip
    assert first[0].tools == WHOLE
    assert inputs.rows[0]["id"] == "7" and inputs.fieldnames[:2] == ["question", "id"]
