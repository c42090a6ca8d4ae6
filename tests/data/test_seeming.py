"""Answers that only seem answers: what is hopeless stops with the way on, the rest is told with a command to run."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from luthier.cli import main
from luthier.cli.common import pairs
from luthier.comparison.plan import Request
from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase
from luthier.core.records import Labelled
from luthier.data.load import load_split
from luthier.data.read import read
from luthier.data.task import read_table
from luthier.io.config import DataConfig, Recipe, read_recipe, to_yaml
from luthier.reports.inspection.findings import findings
from luthier.reports.inspection.inspection import Reader, inspect

HOPELESS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "same": ([{"question": f"q{i}", "answer": "I do not know."} for i in range(12)],
             "all 12 answers are the same (I do not know.)"),
    "同": ([{"指令": f"问{i}", "输出": " 不清楚 。"} for i in range(12)], "all 12 answers are the same (不清楚 。)"),
    "empty": ([{"instruction": f"q{i}", "output": ["", " ", None][i % 3]} for i in range(12)],
              "all 12 answers are empty"),
    "empty completion": ([{"prompt": f"q{i}", "completion": ""} for i in range(12)], "all 12 answers are empty"),
    "empty messages": ([{"messages": [{"role": "user", "content": f"问{i}"}, {"role": "assistant", "content": ""}]}
                        for i in range(12)], "all 12 answers are empty"),
    "marks": ([{"prompt": f"q{i}", "completion": " </s>"} for i in range(12)],
              "all 12 answers are nothing but the mark </s>"),
    "chosen": ([{"prompt": f"q{i}", "chosen": "Yes.", "rejected": f"No {i}."} for i in range(12)],
               "all 12 answers are the same (Yes.)"),
}  # fmt: skip


def _file(tmp_path: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> str:
    path = tmp_path / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def _told(path: str, **more: Any) -> list[str]:
    config = DataConfig(path, **more)
    return list(read_table(config, path).notes)


@pytest.mark.parametrize("name", HOPELESS)
def test_what_is_hopeless_stops_and_goes_on_anyway(tmp_path: Path, name: str, tiny_folder: Any) -> None:
    """Seen failing without the check: a comparison of answers that are all the same ran to its end."""
    rows, reason = HOPELESS[name]
    path = _file(tmp_path, rows)
    with pytest.raises(LuthierError) as stopped:
        load_split(DataConfig(path))
    assert f"{path}: {reason}: there is nothing to learn" in str(stopped.value)
    assert "--anyway" in str(stopped.value) and "data.anyway: true" in str(stopped.value)
    split, notes = load_split(DataConfig(path, anyway=True))
    assert len(split.train) + len(split.validation) + len(split.test) == 12
    said = [note for note in notes if "all 12 answers are" in note]
    assert len(said) == 1 and isinstance(said[0], Phrase) and said[0].text("zh") != said[0]
    assert said[0].key == ("said_data_empty" if "empty" in said[0] else "said_data_same")
    (found,) = inspect(DataConfig(path), Reader(str(tiny_folder("llama_tied"))))
    assert said[0] in [finding.text.text() for finding in findings(found)]


def test_several_answers_of_which_one_differs_are_not_hopeless(tmp_path: Path) -> None:
    rows = HOPELESS["same"][0]
    path = _file(tmp_path, [*rows, {"question": "q", "answer": "Yes."}])
    assert load_split(DataConfig(path))[0].train
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "Bye."}]
    chats = [
        {"messages": [turns[0] | {"content": f"q{i}"}, turns[1] | {"content": f"a{i}"}, *turns]} for i in range(12)
    ]
    assert load_split(DataConfig(_file(tmp_path, chats)))[0].train


def test_some_empty_answers_are_bad_rows_as_before(tmp_path: Path) -> None:
    """Seen failing with empty answers let in wherever --anyway is given."""
    rows = [{"question": f"q{i}", "answer": f"a{i}" if i else ""} for i in range(12)]
    with pytest.raises(LuthierError, match='field "answer" is empty'):
        load_split(DataConfig(_file(tmp_path, rows), anyway=True))


def test_the_command_line_and_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    path = _file(tmp_path, HOPELESS["same"][0])
    monkeypatch.chdir(tmp_path)
    for command in (["compare", path], ["train", f"data.path={path}"]):
        monkeypatch.setattr(sys, "argv", ["luthier", *command])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code and "--anyway" in capsys.readouterr().err
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"data: {{path: {path}, anyway: true, fill: {{name: Ada}}}}\n", encoding="utf-8")
    assert read_recipe(recipe).data == DataConfig(path, anyway=True, fill={"name": "Ada"})


def test_requests_and_recipes_without_the_new_keys_are_what_they_were() -> None:
    """Seen failing with every key written: a run's folder and its recipe had other names and texts."""
    assert "fill" not in to_yaml(Recipe()) and "anyway" not in to_yaml(Recipe())
    given = Recipe(data=DataConfig(fill={"name": "Ada"}, anyway=True))
    assert "name: Ada" in to_yaml(given) and "anyway: true" in to_yaml(given)
    keys = {Request(data).key for data in (DataConfig(), DataConfig(anyway=True), DataConfig(fill={"a": "b"}))}
    assert len(keys) == 3 and Request(budget="1m").key == "29561944"


LABELS = ["yes", "no"]
DISGUISED: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "prompt": ([{"prompt": f"Is {i} even?", "completion": LABELS[i % 2]} for i in range(20)], {}),
    "instruction everywhere": (
        [{"instruction": "Even?", "input": f"n{i}", "output": LABELS[i % 2]} for i in range(20)], {}),
    "instruction given": (
        [{"question": f"{i}?", "answer": LABELS[i % 2]} for i in range(20)], {"instruction": "Say yes or no."}),
    "中文": ([{"指令": "情感？", "输入": f"句子{i}", "输出": "好坏"[i % 2]} for i in range(20)], {}),
    "messages": ([{"messages": [{"role": "system", "content": "Yes or no."}, {"role": "user", "content": f"{i}?"},
                                {"role": "assistant", "content": LABELS[i % 2]}]} for i in range(20)], {}),
    "conversations": ([{"conversations": [{"from": "human", "value": f"评论{i}"},
                                          {"from": "gpt", "value": "好坏"[i % 2]}]} for i in range(20)], {}),
    "mapped": ([{"the q": f"{i}?", "the a": LABELS[i % 2]} for i in range(20)],
               {"map": {"the q": "question", "the a": "answer"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", DISGUISED)
def test_the_command_for_labels_is_ready_to_run(tmp_path: Path, name: str) -> None:
    """Seen failing with the option alone, and with the instruction kept, which labels refuse."""
    rows, more = DISGUISED[name]
    path = _file(tmp_path, rows, "my rows.jsonl")
    test = _file(tmp_path, rows[:10], "test.jsonl")
    (said,) = [note for note in _told(path, test=test, **more) if "as labels are" in note]
    assert isinstance(said, Phrase) and said.key == "said_data_labels" and "luthier compare" in said.text("zh")
    command = shlex.split(said[said.index("luthier compare") : said.rindex(" reads them")])
    assert command[:5] == ["luthier", "compare", path, "--test", test] and command[5] == "--map"
    read_as = DataConfig(path, test, pairs(command[6], "--map"))
    assert command[7:] == [] and all(isinstance(r, Labelled) for r in load_split(read_as)[0].train)


def test_the_commonest_answer_is_told(tmp_path: Path) -> None:
    answers = [
        f"Answer number {i}, which is long enough." if i % 3 else "抱歉，我无法回答这个问题。" for i in range(30)
    ]
    path = _file(tmp_path, [{"question": f"q{i}", "answer": text} for i, text in enumerate(answers)])
    said = "rows.jsonl: the commonest answer stands in 10 of 30 rows (33%): 抱歉，我无法回答这个问题。"
    (note,) = _told(path)
    assert note == said and isinstance(note, Phrase) and note.key == "said_data_common"
    assert "最常见的回答" in note.text("zh")
    path = _file(tmp_path, [{"question": f"q{i}", "answer": f"a {i // 6}" * 9} for i in range(30)])
    assert _told(path) == []  # a fifth is not more than a fifth


def test_no_command_is_named_where_it_would_lose_something(tmp_path: Path) -> None:
    """Seen failing with verdicts beside the answers: those found bad would have become labels."""
    turns = [[{"role": "user", "content": f"{i}?"}, {"role": "assistant", "content": LABELS[i % 2]}] for i in range(20)]
    judged = [{"question": f"{i}?", "answer": LABELS[i % 2], "thumbs": i > 0} for i in range(20)]
    behind = [{"messages": [*two, turns[0][0], turns[0][1] | {"weight": 0}]} for two in turns]
    for rows in (judged, behind, [{"messages": two, "context": f"c{i}"} for i, two in enumerate(turns)]):
        (said,) = [note for note in _told(_file(tmp_path, rows)) if "as labels are" in note]
        assert said.endswith("as labels are, and read as generation.")


def test_map_reaches_into_lists_and_objects(tmp_path: Path) -> None:
    """Seen failing with the column of the path reported as not used."""
    rows = [{"turns": [{"said": f"t{i}"}, {"said": "x"}], "meta": {"类别": "ab"[i % 2]}, "id": i} for i in range(4)]
    rows[3]["turns"] = []
    path = Path(_file(tmp_path, rows))
    table = read(path, columns={"turns[0].said": "text", "meta.类别": "label"})
    assert table.records == tuple(Labelled(f"t{i}", "ab"[i % 2]) for i in range(3))
    assert table.bad[0].reason == 'missing field "text" (column "turns[0].said")'
    assert table.notes == ("rows.jsonl: not used, with the number of rows: id (3).",)
    dotted = read(Path(_file(tmp_path, [{"a.b": "t", "c.d": "x"}] * 2)), columns={"a.b": "text", "c.d": "label"})
    assert [key.name for key in dotted.keys] == ["a.b", "c.d"] and dotted.records[0] == Labelled("t", "x")
    with pytest.raises(LuthierError, match=r'has no column "turn\[0\].said" that --map names'):
        read(path, columns={"turn[0].said": "text"})
