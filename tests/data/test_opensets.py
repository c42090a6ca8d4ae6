"""Open sets: rows in each set's layout become records or are dropped for a reason, and the files are read here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import open_rows as rows
from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase
from luthier.core.records import Chat, Text
from luthier.data import opensets
from luthier.data.opensets.get import Tally, convert
from luthier.data.opensets.spec import Broken
from luthier.data.read import read

PARTS = {f"{found.name}/{part.name}": part for found in opensets.sets().values() for part in found.parts}
Made = list[tuple[str, dict[str, Any]]]


def made(name: str, given: list[Any], *languages: str) -> tuple[Made, Tally]:
    tally = Tally()
    out = list(convert(PARTS[name], given, tally, languages))
    assert tally.rows == tally.kept + sum(tally.dropped.values())
    assert sum(tally.written.values()) == len(out)
    return out, tally


def test_every_set_is_found_and_described() -> None:
    assert [*opensets.sets()] == [
        "alpaca", "alpaca-cleaned", "dolly", "gpt4-llm", "gpt4all", "gpteacher", "oasst1", "redpajama",
    ]  # fmt: skip
    with pytest.raises(LuthierError, match="did you mean dolly"):
        opensets.find("doly")
    for found in opensets.sets().values():
        names = [file for part in found.parts for file in part.files]
        assert found.licence and len(set(names)) == len(names)
        assert found.about.text("zh") != found.about.text("en")
        for part in found.parts:
            assert bool(part.place.repo) != bool(part.place.base) and part.place.page.startswith("https://")
    assert set(opensets.find("oasst1").languages) >= {"en", "zh"}
    assert opensets.find("gpt4-llm").languages == ("en", "zh") and len(opensets.find("oasst1").languages) == 35


@pytest.mark.parametrize(
    ("name", "given", "record"),
    [
        ("dolly/dolly", rows.DOLLY[1], {"instruction": "Where is the mill?", "input": "The mill is by the weir.",
                                        "output": "By the weir.", "category": "closed_qa"}),
        ("alpaca/alpaca", rows.ALPACA[0], {"instruction": "Add the numbers.", "input": "2 and 3", "output": "5"}),
        ("alpaca-cleaned/alpaca-cleaned", rows.ALPACA[1], {"instruction": "说出一种水果。", "input": "",
                                                           "output": "梨。"}),
        ("gpteacher/toolformer", rows.TEACHER[0], {"instruction": "Be a baker.", "input": "Which bread?",
                                                   "output": "Rye, as ever."}),
        ("gpt4all/j", rows.ALL[0], {"prompt": "Why is rain wet?", "completion": "Because it is water.",
                                    "source": "made_up"}),
        ("redpajama/wikipedia", rows.PAJAMA[0], {"text": "A weir holds the water back.", "lang": "en",
                                                 "url": "http://a.example/weir"}),
        ("redpajama/wikipedia", rows.PAJAMA[1], {"text": "Jez zadržuje vodu.", "lang": "cs",
                                                 "url": "http://a.example/jez"}),
        ("redpajama/full-wikipedia", rows.PAJAMA[2], {"text": "Ein Wehr staut Wasser.", "lang": "de",
                                                      "url": "http://a.example/wehr"}),
        ("redpajama/full-common_crawl", rows.PAJAMA[3], {"text": "No word of where from.",
                                                         "source": "cc/2019-30/head"}),
        ("gpt4-llm/comparisons", rows.RATED[0], {"prompt": "Sort them.\npear, apple",
                                                 "answers": ["apple, pear", "pear, apple"], "scores": [9.0, 4.0],
                                                 "models": ["gpt4", "text-davinci-003"]}),
        ("gpt4-llm/comparisons", rows.RATED[1], {"prompt": "太阳从哪边升起？", "answers": ["东边。", "西边。"],
                                                 "scores": [10.0, 1.0], "models": ["gpt4", "icm-1.3b"]}),
    ],
)  # fmt: skip
def test_a_row_becomes_its_record(name: str, given: dict[str, Any], record: dict[str, Any]) -> None:
    out, tally = made(name, [given])
    assert [found for _, found in out] == [record] and tally.kept == 1
    assert {file for file, _ in out} <= set(PARTS[name].files)


MISSING = "`instruction` is missing or empty".replace("`", "")
BROKEN = [
    ("dolly/dolly", None, "the row is no object"),
    ("dolly/dolly", {**rows.DOLLY[0], "instruction": None}, MISSING),
    ("dolly/dolly", {**rows.DOLLY[0], "instruction": " \n"}, MISSING),
    ("dolly/dolly", {"context": "", "response": "x"}, MISSING),
    ("dolly/dolly", {**rows.DOLLY[0], "response": 7}, "response is not text"),
    ("dolly/dolly", {**rows.DOLLY[0], "context": ["a"]}, "context is not text"),
    ("alpaca/alpaca", {**rows.ALPACA[0], "output": "half \ud83d"}, "output holds broken characters"),
    ("gpteacher/general", {**rows.TEACHER[0], "response": ""}, "response is missing or empty"),
    ("gpt4all/j", {"prompt": "a", "response": None}, "response is missing or empty"),
    ("redpajama/c4", {"text": "", "meta": {}}, "text is missing or empty"),
    ("gpt4-llm/comparisons", {"user_input": "a"}, "there is no list of answers"),
    ("gpt4-llm/comparisons", {"user_input": "a", "responses_and_scores": [None, {"response": "b", "score": 1}]},
     "fewer than two answers can be used"),
    ("gpt4-llm/comparisons", {"user_input": "a", "responses_and_scores": [
        {"response": "b", "score": 1}, {"response": "c", "score": float("nan")}, {"response": "d", "score": True}]},
     "fewer than two answers can be used"),
    ("oasst1/oasst1", rows.tree(None), "the tree has no first message"),
    ("oasst1/oasst1", rows.tree(rows.node("q", "prompter", "Alone?")), "the first message has no answer"),
    ("oasst1/oasst1", rows.tree(rows.node("q", "prompter", "Gone?", deleted=True)), "the message was deleted"),
    ("oasst1/oasst1", rows.tree(rows.node("q", "assistant", "I begin.")),
     "the same side speaks twice, or the role is unknown"),
    ("oasst1/oasst1", rows.tree(rows.node("q", "prompter", None, rows.node("a", "assistant", "x"))),
     "text is missing or empty"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "reason"), BROKEN)
def test_a_broken_row_is_dropped_with_its_reason(name: str, given: Any, reason: str) -> None:
    out, tally = made(name, [given])
    assert out == [] and [str(why) for why in tally.dropped] == [reason]
    assert all(isinstance(why, Phrase) and why.text("zh") != why for why in tally.dropped)


def test_what_stands_where_a_row_should_be_is_counted() -> None:
    broken = Broken(Phrase("set_cut"))
    assert made("dolly/dolly", [broken, rows.DOLLY[0], broken])[1].dropped == {Phrase("set_cut"): 2}


def test_a_tree_becomes_its_best_conversation_and_its_rankings() -> None:
    out, tally = made("oasst1/oasst1", [rows.weir()])
    (talk,) = [record for file, record in out if file == "conversations.jsonl"]
    assert [(m["role"], m["content"]) for m in talk["messages"]] == [
        ("user", "What is a weir?"), ("assistant", "A low dam."),
        ("user", "Who builds it?"), ("assistant", "Millers did."),
    ]  # fmt: skip
    assert talk["lang"] == "en" and talk["tree"] == "t1"
    first, second = [record for file, record in out if file == "rankings.jsonl"]
    assert first["prompt"] == [{"role": "user", "content": "What is a weir?"}]
    assert first["answers"] == ["A low dam.", "A wall in a river.", "A small bird."] and first["ranks"] == [1, 2, 3]
    assert [m["content"] for m in second["prompt"]] == ["What is a weir?", "A small bird.", "Really?"]
    assert second["answers"] == ["No.", "Yes."] and second["ranks"] == [1, 1]
    assert not tally.left


def test_ranks_begin_at_one_whatever_is_left_out() -> None:
    """A deleted answer takes what follows it along; gaps close, one without a rank is in no ranking."""
    root = rows.node(
        "q", "prompter", "Which?",
        rows.node("a", "assistant", "First", rows.node("x", "prompter", "More?"), rank=0, deleted=True),
        rows.node("b", "assistant", "Third", rank=5), rows.node("c", "assistant", "Second", rank=3),
        rows.node("d", "assistant", "Unranked"), rows.node("e", "assistant", "Second", rank=4),
        rows.node("f", "assistant", "Refused", rank=1, review_result=False), rows.node("g", "prompter", "Me", rank=2),
    )  # fmt: skip
    out, tally = made("oasst1/oasst1", [rows.tree(root)])
    talk, ranking = out[0][1], out[1][1]
    assert talk["messages"][-1]["content"] == "Second"
    assert (ranking["answers"], ranking["ranks"]) == (["Second", "Third"], [1, 2])
    assert {why.key: count for why, count in tally.left.items()} == {
        "set_deleted": 1, "set_reviewed": 1, "set_role": 1, "set_no_rank": 1, "set_repeated": 1,
    }  # fmt: skip


def test_without_ranks_the_first_answer_is_taken() -> None:
    root = rows.node("q", "prompter", "Which?", rows.node("a", "assistant", "One"), rows.node("b", "assistant", "Two"))
    out, _ = made("oasst1/oasst1", [rows.tree(root)])
    assert [file for file, _ in out] == ["conversations.jsonl"] and out[0][1]["messages"][1]["content"] == "One"


def test_flat_messages_make_the_same_as_their_trees() -> None:
    trees = [rows.weir(), rows.chinese()]
    messages = [message for tree in trees for message in rows.flat(tree)]
    assert made("oasst1/oasst1", messages)[0] == made("oasst1/oasst1", trees)[0]


def test_lonely_messages_and_cycles_are_left_out() -> None:
    good = rows.flat(rows.chinese())
    same = {"message_tree_id": "t2", "role": "assistant", "text": "x"}
    lonely = [{**same, "message_id": "l", "parent_id": "absent"}, {**same, "message_id": "m", "parent_id": "n"},
              {**same, "message_id": "n", "parent_id": "m"}, {**same, "message_id": "o", "parent_id": "o"},
              {**same, "message_id": "a", "parent_id": "q"}]  # fmt: skip
    out, tally = made("oasst1/oasst1", [*good, *lonely])
    assert tally.rows == 1 and [m["content"] for m in out[0][1]["messages"]] == ["堰是什么？", "低矮的坝。"]
    assert {why.key: count for why, count in tally.left.items()} == {"set_lonely": 5}


def test_rows_of_other_languages_are_dropped() -> None:
    out, tally = made("oasst1/oasst1", [rows.weir(), rows.chinese()], "zh")
    assert {record["lang"] for _, record in out} == {"zh"} and [why.key for why in tally.dropped] == ["set_language"]
    assert len(made("redpajama/wikipedia", rows.PAJAMA, "cs", "de")[0]) == 2


def test_no_further_row_is_read_than_asked_for() -> None:
    given = iter([*rows.DOLLY, None, rows.DOLLY[0]])
    out = list(convert(PARTS["dolly/dolly"], given, Tally(), (), 2))
    assert len(out) == 2 and next(given) is None


CELLS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(categories=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip
KEYS = (
    *("instruction", "input", "context", "response", "output", "prompt", "text", "meta", "source", "category"),
    *("user_input", "responses_and_scores", "score", "message_id", "message_tree_id", "parent_id", "role", "replies"),
    *("rank", "deleted", "review_result", "lang", "lonely"),
)
MESSAGES = st.fixed_dictionaries(
    {"message_id": st.sampled_from("abcd"), "message_tree_id": st.sampled_from("tu")},
    optional={
        "parent_id": st.sampled_from(["a", "b", "c", "d", None, 3]),
        "text": st.sampled_from(["hi", "", None, "\ud800"]),
        "role": st.sampled_from(["prompter", "assistant", "x", None]), "rank": st.integers(-1, 3) | st.none(),
        "deleted": st.booleans() | st.none(),
    },
)  # fmt: skip
ROWS = CELLS | st.dictionaries(st.sampled_from(KEYS), CELLS, max_size=8) | MESSAGES


@settings(max_examples=60, deadline=None)
@given(st.lists(ROWS, max_size=8), st.sampled_from(sorted(PARTS)))
def test_random_rows_are_kept_or_dropped(given: list[Any], name: str) -> None:
    out, _ = made(name, given)
    for _, record in out:
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()


@settings(max_examples=100, deadline=None)
@given(st.lists(MESSAGES, max_size=14))
def test_random_messages_make_conversations_that_take_turns(given: list[Any]) -> None:
    for file, record in made("oasst1/oasst1", given)[0]:
        messages = record["messages"] if file == "conversations.jsonl" else record["prompt"]
        speaks = [message["role"] for message in messages]
        assert speaks == [("user", "assistant")[i % 2] for i in range(len(speaks))]
        if file == "conversations.jsonl":
            assert speaks[-1] == "assistant"
        else:
            assert len(record["answers"]) == len(record["ranks"]) >= 2 and min(record["ranks"]) == 1


@pytest.mark.parametrize(
    ("name", "given", "kind"),
    [("dolly/dolly", rows.DOLLY, Chat), ("alpaca/alpaca", rows.ALPACA, Chat), ("gpteacher/general", rows.TEACHER, Chat),
     ("gpt4all/j", rows.ALL, Chat), ("gpt4-llm/zh", rows.ALPACA, Chat), ("redpajama/wikipedia", rows.PAJAMA, Text),
     ("oasst1/oasst1", [rows.weir(), rows.chinese()], Chat)],
)  # fmt: skip
def test_converted_files_are_read(
    name: str, given: list[Any], kind: type, write: Callable[[str, str | bytes], Path]
) -> None:
    file = next(iter(PARTS[name].files))
    lines = [json.dumps(record, ensure_ascii=False) for out, record in made(name, given)[0] if out == file]
    table = read(write(file, "\n".join(lines) + "\n"))
    assert len(table.records) == len(given) and not table.bad
    assert all(isinstance(record, kind) for record in table.records)
    first = table.records[0]
    assert given[0].get("text", "") == first.text if isinstance(first, Text) else first.wanted
