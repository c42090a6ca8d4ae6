"""Blanks of templates are filled where the user says so, told where nobody did, and never seen in LaTeX or code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from luthier.api.predicting import answer_file
from luthier.cli import main
from luthier.cli.common import fills
from luthier.comparison.board import command_of
from luthier.comparison.plan import Request
from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase
from luthier.core.records import Chat
from luthier.data.load import load_split
from luthier.data.task import read_table
from luthier.io.config import AlsoConfig, DataConfig, Recipe, to_yaml
from luthier.io.files import write_json, write_text


def _file(tmp_path: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> str:
    path = tmp_path / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def _told(path: str, **more: Any) -> list[str]:
    notes = read_table(DataConfig(path, **more), path).notes
    return [note for note in notes if "blanks of a template" in note]


def _answers(*answers: str) -> list[dict[str, str]]:
    return [{"question": f"Question {i}?", "answer": f"{answer} ({i})"} for i, answer in enumerate(answers)]


def test_blanks_in_questions_and_answers_are_counted_with_the_command(tmp_path: Path) -> None:
    rows = _answers(*["Dear {{name}}, thanks.", "您好，{{ 姓名 }}！", "Fine."] * 4)
    rows[2]["question"] = "Where is {{city}}?"
    path = _file(tmp_path, rows)
    (said,) = _told(path)
    assert said == (
        "rows.jsonl: 9 of 12 rows hold blanks of a template that nobody filled (in questions: 1, in answers: 8): "
        "{{name}} (4), {{姓名}} (4), {{city}} (1); "
        f"luthier compare {path} --fill 'name=VALUE,姓名=VALUE,city=VALUE' fills them."
    )
    assert isinstance(said, Phrase) and said.key == "said_data_blanks_option"
    assert "未填的模板变量" in said.text("zh") and "--fill" in said.text("zh")


def test_fill_fills_every_text_of_a_row(tmp_path: Path) -> None:
    """Seen failing with the answers alone filled."""
    turns = [
        {"role": "system", "content": "You work in {{city}}."},
        {"role": "user", "content": [{"type": "text", "text": "I am {{ name }}."}]},
        {"role": "assistant", "content": "你好，{{name}}，{{date}}。"},
    ]
    path = _file(tmp_path, [{"messages": turns, "context": "{{city}}!"}] * 3)
    table = read_table(DataConfig(path, fill={"name": "Ada", "city": "Paris, France"}), path)
    (record, *_) = table.records
    assert isinstance(record, Chat)
    assert [m.content for m in record.messages] == [
        "You work in Paris, France.", "Paris, France!\n\nI am Ada.", "你好，Ada，{{date}}。",
    ]  # fmt: skip
    assert "3 of 3 rows hold blanks" in table.notes[-1] and "{{date}} (3)" in table.notes[-1]
    labels = _file(tmp_path, [{"text": f"{{{{who}}}} {i}", "label": "ab"[i % 2]} for i in range(20)], "labels.jsonl")
    assert all(r.asked[:3] == "Bo " for r in load_split(DataConfig(labels, fill={"who": "Bo"}))[0].train)


def test_a_name_that_fills_nothing_is_an_error_that_lists_those_found(tmp_path: Path) -> None:
    path = _file(tmp_path, _answers(*["Dear {{name}} of {{city}}."] * 12))
    found = r"--fill nmae=Ada: no text has \{\{nmae\}\}; those found: \{\{city\}\}, \{\{name\}\}"
    with pytest.raises(LuthierError, match=found):
        load_split(DataConfig(path, fill={"nmae": "Ada"}))
    with pytest.raises(LuthierError, match="did you mean name"):
        load_split(DataConfig(path, fill={"nmae": "Ada"}))
    plain = _file(tmp_path, [{"question": f"q{i}", "answer": f"a{i}"} for i in range(12)], "plain.jsonl")
    with pytest.raises(LuthierError, match="none at all"):
        load_split(DataConfig(plain, fill={"name": "Ada"}))


def test_a_name_may_stand_in_one_of_the_files(tmp_path: Path) -> None:
    """Seen failing with every file asked for every name."""
    train = _file(tmp_path, _answers(*["Dear {{name}}."] * 12))
    rows = [row | {"question": f"Other {row['question']}"} for row in _answers(*["From {{city}}."] * 12)]
    test = _file(tmp_path, rows, "test.jsonl")
    split, _ = load_split(DataConfig(train, test, fill={"name": "Ada", "city": "Rom"}))
    assert all("Ada" in r.wanted for r in split.train) and all("Rom" in r.wanted for r in split.test)
    together = DataConfig(train, fill={"name": "Ada"}, also=(AlsoConfig(test, fill={"city": "Rom"}),))
    assert not any("{{" in r.wanted for r in load_split(together)[0].train)


NOT_BLANKS = [
    r"The fraction \frac{{a}}{{bc}} and x^{{ij}} or {{x}}_{{nm}}.", r"\begin{align}{{name}}\end{align}",
    "Use `{{ user }}` here.", "```\n{{ name }}\n```", 'print("Hello {{name}}")', "{% if name %}{{ name }}{% endif %}",
    "<b>{{ title }}</b>", "In Jinja you write {{ name }} for it.", "在模板中用 {{name}} 表示。",
    '{"a": {"name": {"b": 1}}}',
    "const f = (name) => {{ return name }};", "run: ${{ secrets.TOKEN }}", "{name}", "{x}", "[[Paris]]", "<NAME>",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_BLANKS)
def test_no_false_alarms(tmp_path: Path, text: str) -> None:
    """Seen failing with braces alone looked for. Two rows among forty: nothing that only looks like a blank is one."""
    assert _told(_file(tmp_path, _answers(*[text] * 2, *["Something else."] * 38))) == []


LATEX = [
    r"\text{name} and \frac{name}{date} and {\bf x}",
    "dict = {name}",
    "/users/{name}/posts",
    "${name}",
    "a[[0]]",
    "<TITLE>",
]


@pytest.mark.parametrize("text", LATEX)
def test_no_false_alarms_in_many_rows(tmp_path: Path, text: str) -> None:
    assert _told(_file(tmp_path, _answers(*[text] * 20))) == []


@pytest.mark.parametrize("blank", ["{name}", "{customer_name}", "{客户姓名}", "[[company]]", "<NAME>", "<ORDER_ID>"])
def test_usual_names_in_many_rows_are_blanks(tmp_path: Path, blank: str) -> None:
    (said,) = _told(_file(tmp_path, _answers(*[f"Dear {blank}, hello."] * 4, *["Something else."] * 16)))
    assert f"4 of 20 rows hold blanks" in said and said.endswith(f"{blank} (4).")  # noqa: F541
    assert isinstance(said, Phrase) and said.key == "said_data_blanks" and "未填的模板变量" in said.text("zh")


def test_the_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, tiny_folder: Any) -> None:
    assert fills("name=Ada,city=Paris, France,sum=a=b") == {"name": "Ada", "city": "Paris, France", "sum": "a=b"}
    assert fills("姓名=王芳") == {"姓名": "王芳"} and fills(None) == {} == fills("")
    with pytest.raises(LuthierError, match="--fill Ada: write what stands for which name"):
        fills("Ada")
    path = _file(tmp_path, _answers(*["Dear {{name}} of {{city}}."] * 12))
    command = ["luthier", "data", "inspect", path, "--model", str(tiny_folder("llama_tied")), "--fill", "name=Ada"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    out = capsys.readouterr().out
    assert not ended.value.code and "12 of 12 rows hold blanks" in out and "{{city}} (12)" in out
    assert f"luthier compare {path} --fill name=Ada,city=VALUE fills them." in out
    assert "{{name}}" not in out
    request = Request(DataConfig(path, fill={"name": "Ada", "city": "Rom"}, anyway=True))
    assert "--fill name=Ada,city=Rom" in command_of(request) and "--anyway" in command_of(request)


def test_rows_to_predict_on_are_filled_as_the_run_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with the blanks asked as they stand."""
    run, asked = tmp_path / "run", _file(tmp_path, [{"question": "Where is {{city}}, {{name}}?"}], "new.jsonl")
    write_text(run / "recipe.yaml", to_yaml(Recipe(data=DataConfig("x.jsonl", fill={"city": "Rom"}))))
    write_json(run / "adapter" / "luthier.json", {"labels": []})
    echo = SimpleNamespace(output="text", lm=SimpleNamespace(remote=True), generate=list, gives=lambda *_: None)
    monkeypatch.setattr("luthier.api.model.load", lambda *_: echo)
    answer_file(run, Path(asked), tmp_path / "out.jsonl", {}, None)
    (row,) = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert row["prediction"] == "Where is Rom, {{name}}?"
