"""Every key of a file is used or reported: counted for each, and found by an oracle in 2,000 rows of mixed layouts."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase, table
from luthier.data.keys import Key
from luthier.data.load import load_split
from luthier.data.notes import notes, place
from luthier.data.read import Table, read
from luthier.io.config import DataConfig

Row = dict[str, Any]
ROWS, EACH = 2000, 10


def reads(folder: Path, rows: list[Any]) -> Table:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read(path)


def keys(folder: Path, *rows: Row) -> dict[str, Key]:
    return {place(key): key for key in reads(folder, list(rows)).keys}


USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def test_each_key_says_what_it_does(tmp_path: Path) -> None:
    call = {"id": "1", "type": "function", "index": 0, "function": {"name": "f", "arguments": "{}", "strict": True}}
    turns: list[Row] = [
        {"role": "system", "content": ""},
        {**USER, "content": [{"type": "text", "text": "q", "cache": True}], "weight": 1, "metadata": {"a": 1}},
        {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
        {"role": "tool", "content": "r", "tool_call_id": "1"},
        {**ANSWER, "weight": 0},
        USER,
        {**ANSWER, "train": True},
    ]
    found = keys(tmp_path, {"messages": turns, "id": 3}, {"messages": [USER, ANSWER], "id": None}, {"messages": [USER]})
    assert found["messages"] == Key("column", "messages", "messages", rows=3, used=2, bad=1)
    assert found["id"] == Key("column", "id", rows=2, unused=1, empty=1)
    expected = {
        "messages[].weight": ("off", "unused"), "messages[].metadata": ("unused",), "messages[].train": ("usual",),
        "messages[].refusal": ("empty",), "messages[].tool_call_id": ("used",), "messages[].tool_calls": ("used",),
        "tool_calls[].id": ("used",), "tool_calls[].type": ("usual",), "tool_calls[].index": ("unused",),
        "tool_calls[].function.name": ("used",), "tool_calls[].function.strict": ("unused",),
        "content[].text": ("used",), "content[].type": ("usual",), "content[].cache": ("unused",),
    }  # fmt: skip
    for name, effects in expected.items():
        assert {e for e in ("used", "off", "usual", "unused", "empty", "bad") if getattr(found[name], e)} == {*effects}
    assert found["messages[].role"].bad == 1  # keys of a dropped row are met too


def test_what_is_not_used_is_told_once_and_compactly(tmp_path: Path) -> None:
    row = {"question": "q", "answers": {"text": ["a"], "answer_start": [0]}, "id": 1, "title": "t"}
    found = reads(tmp_path, [row, row | {"title": None}])
    assert list(notes(found, "q.json")) == [
        "q.json: not used, with the number of rows: id (2), title (1), answers.answer_start (2)."
    ]


def test_notes_come_for_both_files_and_in_chinese(tmp_path: Path) -> None:
    """What `compare` and `train` say at their start, and the report after it."""
    for name in ("train", "test"):
        rows: list[dict[str, Any]] = [
            {"messages": [{**USER, "content": f"{name} {i}"}, {**ANSWER, "content": f"a {i}", "name": "Bo"}], name: i}
            for i in range(12)
        ]
        rows[0]["messages"] += [USER, {**ANSWER, "weight": 0}]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    train, test = str(tmp_path / "train.json"), str(tmp_path / "test.json")
    said = load_split(DataConfig(train, test))[1]
    for path, column in ((train, "train"), (test, "test")):
        assert (
            f"{Path(path).name}: not used, with the number of rows: {column} (12), messages[].role (1),"
            in said[0] + said[2]
        )
    assert any("carry no loss, with the number of rows: messages[].weight (1)." in note for note in said)
    assert all(isinstance(note, Phrase) and note.text("zh") != note for note in said[:4])
    assert {note.key for note in said[:4]} == {"said_data_unused", "said_data_off"}  # type: ignore[attr-defined]
    together = load_split(DataConfig(train, also=(_also(test),)))[1]
    assert sum("not used, with the number of rows" in note for note in together) == 2


def _also(path: str) -> Any:
    from luthier.io.config import AlsoConfig

    return AlsoConfig(path)


def test_every_note_of_data_has_both_languages() -> None:
    english, chinese = table()["en"], table()["zh"]
    names = [key for key in english if key.startswith("said_data_")]
    assert len(names) == 21 and all(chinese[name] != english[name] for name in names)


# -- an oracle: drop a key and see what becomes of the row ------------------------------------------------------------

WORD = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6)
UNKNOWN = st.dictionaries(
    st.sampled_from(["id", "idx", "metadata", "source", "时间", "x y"]), WORD | st.integers(), max_size=2
)
FLAG: st.SearchStrategy[Row] = st.sampled_from(
    [{}, {}, {"weight": 0}, {"weight": 1}, {"train": False}, {"loss_mask": 1}, {"name": "Bo"}]
)


def _merged(*parts: st.SearchStrategy[Row]) -> st.SearchStrategy[Row]:
    return st.tuples(*parts).map(lambda found: {key: value for part in reversed(found) for key, value in part.items()})


def _turns(role: str, said: str, user: str, assistant: str) -> st.SearchStrategy[list[Row]]:
    asked = _merged(st.fixed_dictionaries({role: st.just(user), said: WORD}), UNKNOWN)
    answered = _merged(st.fixed_dictionaries({role: st.just(assistant), said: WORD}), UNKNOWN, FLAG)
    pairs = st.lists(st.tuples(asked, answered), min_size=1, max_size=3)
    return pairs.map(lambda found: [turn for pair in found for turn in pair])


BESIDE = _merged(
    UNKNOWN,
    st.fixed_dictionaries({}, optional={
        "system": WORD | st.just(""),
        "history": st.just([]) | st.lists(st.tuples(WORD, WORD).map(list), min_size=1, max_size=2),
        "context": WORD | st.none() | st.just({"title": "t"}),
        "tools": st.sampled_from(["[]", '[{"name": "f"}]']),
    }),
)  # fmt: skip
CHATS = _turns("role", "content", "user", "assistant")
LAYOUTS: dict[str, st.SearchStrategy[Row]] = {
    "instruct": st.fixed_dictionaries({"instruction": WORD, "input": WORD | st.just(""), "output": WORD}),
    "messages": st.fixed_dictionaries({"messages": CHATS}),
    "conversations": st.fixed_dictionaries({"conversations": _turns("from", "value", "human", "gpt")}),
    "question": st.fixed_dictionaries({"question": WORD, "answer": WORD}),
    "squad": st.fixed_dictionaries({"question": WORD, "answers": st.fixed_dictionaries(
        {"text": st.lists(WORD, min_size=1, max_size=2), "answer_start": st.just([0])})}),
    "prompt": st.fixed_dictionaries({"prompt": WORD, "completion": WORD}),
    "preference": st.fixed_dictionaries({"prompt": WORD, "chosen": st.just("yes"), "rejected": st.just("no")}),
    "judged": st.fixed_dictionaries({"prompt": WORD, "completion": WORD, "label": st.booleans()}),
}  # fmt: skip
FILES = st.sampled_from([*LAYOUTS]).flatmap(
    lambda name: st.lists(_merged(LAYOUTS[name], BESIDE), min_size=EACH, max_size=EACH)
)
Drop = Callable[[Row], None]


def _places(row: Row) -> Iterator[tuple[str, Drop]]:
    """Every key of a row, and how it is taken out: written apart from the code that reads rows."""
    for column in list(row):
        yield column, lambda r, c=column: r.pop(c)  # type: ignore[misc]
    for field in ("messages", "conversations"):
        for i, turn in enumerate(row.get(field) or []):
            for key in list(turn):
                yield f"messages[].{key}", lambda r, f=field, n=i, k=key: r[f][n].pop(k)  # type: ignore[misc]
    if isinstance(row.get("answers"), dict):
        for key in row["answers"]:
            yield f"answers.{key}", lambda r, k=key: r["answers"].pop(k)  # type: ignore[misc]


def _record(folder: Path, row: Row, beside: Row) -> Any:
    """The row's record behind a sound row of its layout, or None where it is bad."""
    try:
        found = reads(folder, [beside, beside, row])
    except LuthierError:
        return None
    return None if found.bad else found.records[2]


def test_every_key_of_2000_mixed_rows_is_used_or_reported(tmp_path: Path) -> None:
    """Seen failing with unknown keys counted as used, and with a system text that was read and left out."""
    folder, seen = tmp_path, 0

    @settings(max_examples=ROWS // EACH, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(FILES)
    def check(rows: list[Row]) -> None:
        nonlocal seen
        seen += len(rows)
        whole = reads(folder, rows)
        named = {place(key): key for key in whole.keys}
        met = [{name for name, _ in _places(row)} for row in rows]
        for name in set().union(*met):
            assert named[name].rows == sum(name in each for each in met), name
        bad = [row.line - 1 for row in whole.bad]
        assert sum(key.bad for key in whole.keys if key.level == "column") == sum(len(rows[i]) for i in bad)
        sound = rows[whole.lines[0] - 1]
        for row in rows[:2]:
            _check_row(folder, row, sound)

    check()
    assert seen >= ROWS


def _check_row(folder: Path, row: Row, sound: Row) -> None:
    """A key called used changes the record in some place where it stands; one called unused in none of them."""
    before = _record(folder, row, sound)
    if before is None:
        return
    changed: dict[str, list[bool]] = {}
    for name, drop in _places(row):
        less = copy.deepcopy(row)
        drop(less)
        changed.setdefault(name, []).append(_record(folder, less, sound) != before)
    alone = {place(key): key for key in reads(folder, [row]).keys}
    for name, found in changed.items():
        assert any(found) == bool(alone[name].used or alone[name].off), (name, alone[name], row)
