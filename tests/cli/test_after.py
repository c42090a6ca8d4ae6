"""What `predict` and `chat` refuse before any work, and input that is no text."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from luthier import api
from luthier.api.predicting import answer_file
from luthier.cli.after import chat
from luthier.core.errors import LuthierError
from luthier.core.progress import Report
from luthier.io import config
from luthier.io.files import write_json


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "hello"}\n')
    return path


def refused(out: Path, data: Path, said: str, **options: Any) -> None:
    before = data.read_bytes()
    with pytest.raises(LuthierError, match=said):
        answer_file(out.parent / "no-run", data, out, {}, None, **options)
    assert data.read_bytes() == before


def test_outputs_that_are_refused(rows: Path, tmp_path: Path) -> None:
    refused(rows, rows, "which would be lost")
    refused(rows.parent / ".." / rows.parent.name / "rows.jsonl", rows, "which would be lost")
    refused(tmp_path / "labelled.xlsx", rows, r"must end in \.csv, \.tsv or \.jsonl")
    (tmp_path / "folder.csv").mkdir()
    refused(tmp_path / "folder.csv", rows, "is a folder")
    refused(rows / "inside.csv", rows, "cannot be written")
    rejected = rows.rename(tmp_path / "rejected.jsonl")
    refused(tmp_path / "out.csv", rejected, "which would be lost", skip_bad=True)
    refused(tmp_path / "out.csv", rejected, "does not exist: name a run folder")


def test_folders_that_are_no_finished_run(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match="does not exist"):
        config.run_recipe(tmp_path / "nosuch")
    with pytest.raises(LuthierError, match=r"is not a run folder \(it has no recipe.yaml\)"):
        config.run_recipe(tmp_path)
    run = tmp_path / "trials" / "lora" / "seed-0"
    run.mkdir(parents=True)
    (run / "recipe.yaml").write_text("method: lora\n")
    for folder in (tmp_path, run.parent.parent, run.parent):
        with pytest.raises(LuthierError, match=f"name one of the runs in it, such as {run}"):
            config.run_recipe(folder)
    with pytest.raises(LuthierError, match="is not finished"):
        config.run_recipe(run)
    write_json(run / "adapter" / "luthier.json", {})
    assert config.run_recipe(run).method == "lora"


class Labels:
    """An adapted model that keeps what it was asked."""

    labels = ("退款", "refund")
    output = "labels"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def gives(self, *outputs: str) -> None:
        assert self.output in outputs

    def probabilities(self, texts: Sequence[str]) -> list[dict[str, float]]:
        self.asked += texts
        return [{"退款": 0.25, "refund": 0.75}]


@pytest.mark.parametrize(
    ("typed", "asked"), [(b"", []), (b"one\n\ntwo\n", ["one"]), (b"\xff\xfe \xe4\xbd\xa0\n", ["?? 你"])]
)
def test_chat_with_piped_input(
    typed: bytes, asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Labels()
    load: Callable[..., Any] = lambda *_, **__: model  # noqa: E731
    monkeypatch.setattr("luthier.api.model.load", load)
    monkeypatch.setattr(config, "run_recipe", lambda _: None)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed), "utf-8", "surrogateescape"))
    chat(Path("run"))
    assert model.asked == asked
    assert ("refund 75%, 退款 25%" in capsys.readouterr().out) == bool(asked)


def test_train_never_writes_into_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    recipe = config.read_recipe(None, ["dtype=float32"])
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(LuthierError, match="not empty and holds no run"):
        api.train(recipe, tmp_path)
    (tmp_path / "recipe.yaml").write_text("method: full\n")
    with pytest.raises(LuthierError, match="holds a run of another recipe"):
        api.train(recipe, tmp_path)
    with pytest.raises(LuthierError, match="is a file"):
        api.train(recipe, tmp_path / "recipe.yaml")
    assert (tmp_path / "model" / "mine.txt").read_text() == "mine"


def test_a_run_that_never_began_leaves_its_folder_free(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match=r"patch\.rnk"):
        api.train(config.read_recipe(None, ["dtype=float32", "patch.rnk=3"]), tmp_path / "run")
    with pytest.raises(LuthierError, match="no such folder"):
        api.train(config.read_recipe(None, ["dtype=float32", f"model={tmp_path}/none"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_stopped_run_goes_on_in_its_number_format(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busier machine measures otherwise; only a checkpoint is saved yet. Seen failing with it measured anew."""
    values = [f"model={tiny_folder('llama_tied')}", "method=lora", "data.limit=40", "training.tokens=6000",
              "training.checkpoint_seconds=0"]  # fmt: skip
    recipe, bf16 = config.read_recipe(None, values), 1.0
    monkeypatch.setattr("luthier.models.machine.product_rates", lambda: {"float32": 1.0, "bfloat16": bf16})
    monkeypatch.chdir(tmp_path)

    def stop(report: Report) -> None:
        if report.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.train(recipe, say=stop)
    (folder,) = (tmp_path / "runs").iterdir()
    bf16 = 9.0
    assert api.train(recipe).resolve() == folder and config.run_recipe(folder).dtype == "float32"
    assert len(list((tmp_path / "runs").iterdir())) == 1
