"""`predict` on the file that a run learned from, whatever its layout, and on it without its answers."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tiny
from luthier import api
from luthier.api import predicting
from luthier.api.predicting import answer_file
from luthier.cli import app
from luthier.comparison.recommended_command import predict_command
from luthier.core.errors import LuthierError
from luthier.core.records import Chat, Judged, Preference
from luthier.data.layouts import LAYOUTS
from luthier.data.read import read
from luthier.io.config import DataConfig

ROWS = 20
ANSWERS = {
    "label", "labels", "value", "output", "answer", "answers", "completion", "chosen", "rejected", "ranks", "scores",
    "ranking", "original", "edited",
}  # fmt: skip


def turns(i: int, ask: str = "role", say: str = "content") -> list[dict[str, Any]]:
    speakers = ("user", "assistant") if ask == "role" else ("human", "gpt")
    return [{ask: speakers[0], say: f"question {i}"}, {ask: speakers[1], say: f"answer {i}"}]


def row(layout: str, i: int) -> dict[str, Any]:
    """The `i`-th of a few distinct rows of a layout."""
    texts: Mapping[str, dict[str, Any]] = {
        "text and label": {"text": f"text {i}", "label": "ab"[i % 2]},
        "text and labels": {"text": f"text {i}", "labels": ["a", "b"][: 1 + i % 2]},
        "text and value": {"text": f"text {i}", "value": i + 0.5},
        "text alone": {"text": f"text number {i}"},
        "instruction and input and output": {"instruction": "Do.", "input": f"text {i}", "output": f"out {i}"},
        "messages": {"messages": turns(i)},
        "conversations": {"conversations": turns(i, "from", "value")},
        "question and answer": {"question": f"what is {i}", "answer": f"it is {i}"},
        "question and answers": {"question": f"what is {i}", "answers": {"text": [f"it is {i}"]}},
        "prompt and completion": {"prompt": f"say {i}", "completion": f"said {i}"},
        "prompt and completion and label": {"prompt": f"say {i}", "completion": f"said {i}", "label": True},
        "prompt and chosen and rejected": {"prompt": f"say {i}", "chosen": f"good {i}", "rejected": f"bad {i}"},
        "prompt and answers and ranks": {"prompt": f"say {i}", "answers": [f"good {i}", f"bad {i}"], "ranks": [1, 2]},
        "prompt and answers and scores": {"prompt": f"say {i}", "answers": [f"good {i}", f"bad {i}"], "scores": [4, 2]},
        "prompt and ranking": {"prompt": f"say {i}", "ranking": [f"good {i}", f"so {i}", f"bad {i}"]},
        "prompt and original and edited": {"prompt": f"say {i}", "original": f"bad {i}", "edited": f"good {i}"},
        "prompt and completion and value": {"prompt": f"say {i // 2}", "completion": f"said {i}", "value": i % 2 + 2},
        "prompt alone": {"prompt": f"say {i}"},
    }
    return texts[layout]


def without_answers(layout: str, given: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in given.items() if name not in ANSWERS}
    return {name: value[:-1] if isinstance(value, list) else value for name, value in kept.items()}


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


def trained(base: Path, folder: Path, data: DataConfig, method: str = "zero_shot", **changes: Any) -> Path:
    changes = {"training": {"tokens": 300, "epochs": None}, **changes}
    return api.train(tiny.recipe(base, method, data=data, **changes), folder)


def answered(run: Path, data: Path, **options: Any) -> list[dict[str, Any]]:
    out = run.parent / "labelled.jsonl"
    count = answer_file(run, data, out, options.pop("columns", {}), options.pop("instruction", None), **options)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == count
    return rows


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of a few tokens: a random model does not end by itself."""
    monkeypatch.setitem(
        predicting.ADDED, "text", lambda model, asked: [{"prediction": t} for t in model.generate(asked, 4)]
    )


METHODS = {"multilabel": "features", "regression": "features", "text": "bitfit"}


@pytest.mark.parametrize("layout", LAYOUTS[:-1], ids=lambda layout: layout.name)
def test_the_very_file_and_without_its_answers(
    layout: Any, tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing where conversations and preferences were read as training data only, and asked what was answered."""
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    rows = [row(layout.name, i) for i in range(ROWS)]
    path = jsonl(tmp_path / "mine.jsonl", rows)
    assert read(path).layout == layout.name
    run = trained(tiny_folder("llama_tied"), tmp_path / "run", DataConfig(str(path)),
                  METHODS.get(layout.task, "zero_shot"))  # fmt: skip
    asked = answered(run, path)
    assert len(asked) == ROWS and all("prediction" in each for each in asked)
    bare = answered(run, jsonl(tmp_path / "bare.jsonl", [without_answers(layout.name, r) for r in rows]))
    assert [r["prediction"] for r in bare] == [r["prediction"] for r in asked]


def test_preferences_whose_conversations_hold_the_question(tmp_path: Path) -> None:
    """There is no prompt beside them. Seen failing with `no known columns`."""
    from luthier.data.read import read_inputs

    rows = [{"chosen": turns(i), "rejected": [turns(i)[0], {"role": "assistant", "content": "no"}]} for i in range(3)]
    assert read_inputs(jsonl(tmp_path / "a.jsonl", rows)).prompts == ["question 0", "question 1", "question 2"]


@pytest.mark.parametrize("layout", [each for each in LAYOUTS if each.task == "generation"], ids=lambda each: each.name)
def test_what_is_asked_is_what_was_asked_in_training(layout: Any, tmp_path: Path) -> None:
    from luthier.data.read import read_inputs

    path = jsonl(tmp_path / "a.jsonl", [row(layout.name, i) for i in range(ROWS)])
    for record, prompt in zip(read(path).records, read_inputs(path).prompts, strict=True):
        assert isinstance(record, Chat | Judged | Preference)
        said = prompt if isinstance(prompt, str) else "\n".join(m.content for m in prompt)
        assert said == "\n".join(m.content for m in record.asked)


def test_the_runs_mapping_instruction_and_encoding(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """Seen failing with `no known columns` on the file that was compared."""
    rows = [(f"der Hund Nummer {i} grüßt", f"dog {i}") for i in range(ROWS)]
    path = tmp_path / "pairs.csv"
    path.write_bytes("\n".join(["de;en", *(f"{a};{b}" for a, b in rows)]).encode("cp1252"))
    data = DataConfig(str(path), map={"de": "input", "en": "output"}, instruction="Translate.", encoding="cp1252")
    run = trained(tiny_folder("llama_tied"), tmp_path / "run", data)
    seen = asked_of(run, path)
    assert seen[3] == "Translate.\nder Hund Nummer 3 grüßt"
    utf8 = tmp_path / "new.csv"
    utf8.write_text("\n".join(["de", *(a for a, _ in rows)]), encoding="utf-8")
    assert asked_of(run, utf8) == seen
    other = jsonl(tmp_path / "other.jsonl", [{"text": a} for a, _ in rows])
    assert asked_of(run, other) == seen, "a text is what is asked of a run that writes"
    assert asked_of(run, other, columns={"text": "question"}, instruction="") == [a for a, _ in rows]
    own = tmp_path / "own.csv"
    own.write_text("\n".join(["was", *(a for a, _ in rows)]), encoding="utf-8")
    assert asked_of(run, own, columns={"was": "input"}) == seen
    with pytest.raises(LuthierError, match=r"--map was=text"):
        asked_of(run, own)


def asked_of(run: Path, path: Path, columns: Mapping[str, str] | None = None, instruction: str | None = None) -> Any:
    from luthier.data.asked_file import read_for
    from luthier.io.config import run_recipe
    from luthier.io.kept import run_writes

    return read_for(run_recipe(run).data, path, columns or {}, instruction, "", run_writes(run)).prompts


def test_a_table_by_number_and_one_with_a_header(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"{'ab'[i % 2]}\ttext {i}\n" for i in range(ROWS)))
    run = trained(tiny_folder("llama_tied"), tmp_path / "run", DataConfig(str(path), map={"1": "text", "0": "label"}))
    assert [r["1"] for r in answered(run, path)] == [f"text {i}" for i in range(ROWS)]
    headed = tmp_path / "b.csv"
    headed.write_text("id,text\n1,hello\n2,there\n")
    assert asked_of(run, headed) == ["hello", "there"]


def test_lines_of_a_pair(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    for name in ("a.fr", "b.en"):
        (tmp_path / name).write_text("".join(f"line {i} {name}\n" for i in range(ROWS)))
    pair = (str(tmp_path / "a.fr"), str(tmp_path / "b.en"))
    run = trained(tiny_folder("llama_tied"), tmp_path / "run", DataConfig(pair=pair))
    assert asked_of(run, Path(pair[0]))[2] == "Translate from French to English.\nline 2 a.fr"
    assert len(answered(run, Path(pair[0]))) == ROWS
    scored = CliRunner().invoke(app, ["eval", str(run), ",".join(pair)], catch_exceptions=False)
    assert f"on {ROWS} rows" in scored.output, scored.output
    command = shlex.split(predict_command(run))
    assert command[:4] == ["luthier", "predict", str(run), pair[0]] and command[-1] == "labelled.csv"


def test_the_command_to_go_on_with(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """It names the file that was compared, and writes its kind. Seen failing with new.csv for all."""
    run = tmp_path / "run"
    for data, words in (
        (DataConfig("my data.jsonl", skip_bad=True), ["my data.jsonl", "--out", "labelled.jsonl", "--skip-bad"]),
        (DataConfig("a.tsv.gz"), ["a.tsv.gz", "--out", "labelled.tsv"]),
        (DataConfig("a.csv"), ["a.csv", "--out", "labelled.csv"]),
        (DataConfig("owner/name:test"), ["owner/name:test", "--out", "labelled.jsonl"]),
        (DataConfig("mood"), ["new.csv", "--out", "labelled.csv"]),
    ):  # fmt: skip
        run.mkdir(exist_ok=True)
        from luthier.io.config import Recipe, to_yaml

        (run / "recipe.yaml").write_text(to_yaml(replace(Recipe(), data=data)))
        assert shlex.split(predict_command(run)) == ["luthier", "predict", str(run), *words]


def test_it_runs_as_it_stands(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{'good' if i % 2 else 'bad'},the film number {i}" for i in range(ROWS)]
    Path("films.csv").write_text("\n".join(["verdict_given,what", *lines]))
    run = trained(tiny_folder("llama_tied"), Path("run"),
                  DataConfig("films.csv", map={"what": "text", "verdict_given": "label"}))  # fmt: skip
    done = CliRunner().invoke(app, shlex.split(predict_command(run))[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with Path("labelled.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ROWS and list(rows[0])[:3] == ["verdict_given", "what", "prediction"]
