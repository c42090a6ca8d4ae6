"""Rows that people compared: what each layout becomes, what is wrong with a row, and a thousand broken files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.core.errors import LuthierError
from luthier.core.records import Asked, Message, Preference, Ranking, Record, Scored
from luthier.data.load import load_split
from luthier.data.read import Table, read, read_inputs
from luthier.data.seeming import disagreement
from luthier.data.task import supervised
from luthier.io.config import DataConfig
from luthier.reports.inspection.inspection import _texts

Row = dict[str, Any]
ASK = (Message("user", "问?"),)
TURNS = [{"role": "user", "content": "问?"}]


def jsonl(folder: Path, *rows: Row) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def reads(folder: Path, *rows: Row) -> Table:
    return read(jsonl(folder, *rows))


@pytest.mark.parametrize(
    ("row", "record"),
    [
        ({"prompt": "问?", "answers": ["a", "好", "c"], "ranks": [2, 1, 2]},
         Ranking(ASK, ("a", "好", "c"), (-2, -1, -2))),
        ({"prompt": TURNS, "answers": ["a", "b"], "scores": [1, 4.5]}, Ranking(ASK, ("a", "b"), (1, 4.5))),
        ({"messages": TURNS, "answers": [{"role": "assistant", "content": "a"}, "b"], "scores": [1, 2]},
         Ranking(ASK, ("a", "b"), (1, 2))),
        ({"prompt": "问?", "ranking": ["best", "so", "worst"]}, Ranking(ASK, ("best", "so", "worst"), (0, -1, -2))),
        ({"prompt": "问?", "original": "bad", "edited": "better"}, Preference(ASK, "better", "bad")),
        ({"prompt": "问?", "completion": "a", "score": 4}, Scored(ASK, "a", 4)),
        ({"prompt": "问?", "completion": "a", "评分": "3.5"}, Scored(ASK, "a", 3.5)),
        ({"prompt": "问?", "id": 7, "category": "x"}, Asked(ASK)),
        ({"prompt": TURNS, "system": "s"}, Asked((Message("system", "s"), *ASK))),
    ],
)  # fmt: skip
def test_layouts(tmp_path: Path, row: Row, record: Record) -> None:
    table = reads(tmp_path, row)
    assert table.records == (record,) and table.task == "preference"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "p", "answers": ["a", "b"], "ranks": [1]}, "holds 1, where two to 64 are compared"),
        ({"prompt": "p", "answers": ["a", "b", "c"], "ranks": [1, 2]}, "there are 3 answers and 2 ranks"),
        ({"prompt": "p", "answers": ["a", " a "], "ranks": [1, 2]}, "answers 1 and 2 are the same"),
        ({"prompt": "p", "answers": ["a", ""], "ranks": [1, 2]}, 'answer 2 of field "answers" is empty'),
        ({"prompt": "p", "answers": ["a", "b"], "ranks": [1, True]}, "number 2 .* not a finite number"),
        ({"prompt": "p", "answers": ["a", "b"], "ranks": [1, None]}, "number 2 .* not a finite number"),
        ({"prompt": "p", "answers": "a", "ranks": [1, 2]}, '"answers" is text, not a list|is a text, not a list'),
        ({"prompt": "", "answers": ["a", "b"], "ranks": [1, 2]}, '"prompt" is empty'),
        ({"prompt": "p", "answers": [TURNS + TURNS, "b"], "ranks": [1, 2]}, "the user's message, not the assistant's"),
    ],
)
def test_what_is_wrong_with_a_row(tmp_path: Path, row: Row, said: str) -> None:
    good = {"prompt": "p", "answers": ["a", "b"], "ranks": [1, 2]}
    (bad,) = reads(tmp_path, good, row).bad
    assert bad.line == 2
    with pytest.raises(LuthierError, match=said):
        reads(tmp_path, row)


def test_verdicts_are_no_ratings(tmp_path: Path) -> None:
    """0 and 1 say bad and good; 1 to 5 are ratings, those of 1 among them."""
    rows = [{"prompt": f"p{i // 2}", "completion": f"c{i}", "score": i % 2} for i in range(8)]
    assert reads(tmp_path, *rows).task == "generation"
    rated = reads(tmp_path, *({**row, "score": 1 + i % 4} for i, row in enumerate(rows)))
    assert all(isinstance(record, Scored) for record in rated.records) and len(rated.records) == 8


def test_a_prompt_beside_a_text_is_not_alone(tmp_path: Path) -> None:
    """A column that may be the answer is not passed over in silence."""
    with pytest.raises(LuthierError, match="no known columns"):
        reads(tmp_path, {"prompt": "p", "reply": "a"})
    alone = jsonl(tmp_path, *({"prompt": f"p{i}"} for i in range(12)))
    with pytest.raises(LuthierError, match=r"prompts without answers: .* luthier label new"):
        load_split(DataConfig(str(alone)))
    assert read_inputs(alone).prompts[0] == "p0"


def test_disagreement_is_counted() -> None:
    one, other = Preference(ASK, "a", "b"), Preference(ASK, "b", "a ")
    assert disagreement([one, one, other, Ranking(ASK, ("c", "d"), (1, 2)), Preference(ASK, "d", "c")]) == (1, 2)


def test_rankings_through_the_recipe(tmp_path: Path) -> None:
    """Ties and ratings alone are left out and counted."""
    rows = [{"prompt": f"p{i}", "answers": [f"a{i}", "b"], "ranks": [1, 1 if i < 3 else 2]} for i in range(20)]
    split, notes = load_split(DataConfig(str(jsonl(tmp_path, *rows))))
    assert split.task == "preference" and len(split.train) + len(split.validation) + len(split.test) == 17
    assert split.used and split.used.left == {"ties": 3} and split.used.rows == 20
    assert any("3 comparisons are ties" in note for note in notes)
    assert any("17 pairs of which are told apart" in note for note in notes)
    imitated = load_split(DataConfig(str(jsonl(tmp_path, *rows)), metric="chrF"))[0]
    assert imitated.task == "generation" and all(r.wanted.startswith("a") for r in imitated.train)


# -- a thousand broken files -----------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn", "Cf")), max_size=8)
TURN = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system", "bot", ""]), "content": TEXT})
HH = st.sampled_from(
    ["\n\nHuman: a\n\nAssistant: b", "Human: a", "\n\nAssistant: b", "Human: a\n\nAssistant:", "问：a"]
)
NOTHING: st.SearchStrategy[Any] = st.sampled_from([None, "", [], {}, float("inf"), -1, True])
VALUE = TEXT | HH | NOTHING | st.integers(-9, 9) | TURN | st.lists(TURN, max_size=3) | st.lists(TEXT, max_size=4)
NUMBERS = st.lists(st.integers(-3, 9) | st.floats(allow_nan=False) | st.none() | TEXT, max_size=4)
FIELDS = {
    "prompt": VALUE, "chosen": VALUE, "rejected": VALUE, "completion": VALUE, "label": VALUE, "answers": VALUE,
    "ranks": NUMBERS, "scores": NUMBERS, "ranking": VALUE, "original": VALUE, "edited": VALUE, "score": VALUE,
    "messages": VALUE, "conversations": VALUE, "annotator": TEXT, "system": VALUE,
}  # fmt: skip
GOOD: list[Row] = [
    {"prompt": "p", "chosen": "a", "rejected": "b"},
    {"prompt": "p", "answers": ["a", "b", "c"], "ranks": [1, 2, 3]},
    {"prompt": "p", "answers": ["a", "b"], "scores": [1, 2]},
    {"prompt": "p", "ranking": ["a", "b"]},
    {"prompt": "p", "original": "a", "edited": "b"},
    {"prompt": "p", "completion": "a", "score": 3},
    {"prompt": "p", "completion": "a", "label": True},
    {"prompt": "p"},
    {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"},
]
BROKEN = st.fixed_dictionaries({}, optional=FIELDS)


FILES = st.tuples(st.sampled_from(GOOD), st.lists(st.sampled_from(GOOD) | BROKEN, max_size=6), st.integers(0, 5))
SHARED = [HealthCheck.function_scoped_fixture]


@settings(max_examples=100, deadline=None, suppress_health_check=SHARED)
@given(FILES)
def test_broken_files(tmp_path: Path, file: tuple[Row, list[Row], int]) -> None:
    reads_or_refuses(tmp_path, *file)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=SHARED)
@given(FILES)
def test_a_thousand_broken_files(tmp_path: Path, file: tuple[Row, list[Row], int]) -> None:
    reads_or_refuses(tmp_path, *file)


def reads_or_refuses(tmp_path: Path, good: Row, rows: list[Row], at: int) -> None:
    """Rows in are rows kept and dropped, or the file is refused in a sentence."""
    rows = [*rows[:at], {**good}, *rows[at:]]
    try:
        table = reads(tmp_path, *rows)
    except LuthierError as error:
        assert str(tmp_path) in str(error) or "--map" in str(error)
        return
    assert len(table.records) + len(table.bad) == len(rows) and all(bad.reason for bad in table.bad)
    for imitate in (False, True):
        found, unused = supervised(table, imitate)
        rankings = sum(isinstance(record, Scored) for record in table.records)
        merged = len(table.records) - len(found.records) - len(unused)
        assert 0 <= merged <= rankings and all(row.reason for row in unused)


def test_special_tokens_of_every_answer_are_told() -> None:
    """Seen failing with the best answer alone looked at."""
    pair = Preference(ASK, "fine", "bad <|im_start|>")
    assert list(_texts(pair)) == ["问?", "fine", "bad <|im_start|>"]
    assert list(_texts(Ranking(ASK, ("a", "b", "c"), (1, 2, 3))))[1:] == ["a", "b", "c"]
