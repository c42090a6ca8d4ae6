"""Files of several tasks in one training run: how rows are worded and split, and that one adapter learns both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import tiny
from kinds import labelled_rows
from luthier.api import train
from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase
from luthier.core.records import Chat
from luthier.core.split import Split
from luthier.data.load import load_split
from luthier.evals.task import evaluate
from luthier.io import config
from luthier.io.files import read_json
from luthier.models.base import TrainableLM
from luthier.runs.evaluate import evaluate_run
from luthier.runs.loaded import load_run

GREETINGS = (("Guten Tag", "good day"), ("Gute Nacht", "good night"), ("Danke", "thanks"), ("再见", "bye"))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Tickets with labels, and greetings with answers; every question stands there with several numbers."""
    tickets, greetings = tmp_path / "tickets.jsonl", tmp_path / "greetings.jsonl"
    rows = [{"text": f"{r.text} {i}", "label": r.label} for i in range(4) for r in labelled_rows(tiny.LABELLED.train)]
    tickets.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{"question": f"{q} {i}", "answer": a} for i in range(6) for q, a in GREETINGS]
    greetings.write_text("".join(json.dumps(row) + "\n" for row in asked))
    return tickets, greetings


def data(files: tuple[Path, Path], **more: Any) -> config.DataConfig:
    also = {"path": str(files[1]), **more.pop("second", {})}
    return config.recipe_from({"data": {"path": str(files[0]), "also": [also], **more}}).data


def test_every_row_is_a_conversation_in_the_part_that_its_own_file_gives_it(files: tuple[Path, Path]) -> None:
    split, _ = load_split(data(files, second={"instruction": "Say it in English."}))
    alone = [load_split(config.DataConfig(path=str(f)))[0] for f in files]
    assert split.task == "generation" and split.labels == ()
    for name in ("train", "validation", "test"):
        rows: Any = getattr(split, name)
        assert all(isinstance(r, Chat) for r in rows)
        assert len(rows) == sum(len(getattr(s, name)) for s in alone)
    labelled = next(r for r in split.test if "Classify" in str(r.asked))
    known = {r.asked: r.wanted for r in alone[0].test}
    asked = labelled.asked[0].content.split("\n")  # type: ignore[union-attr]
    assert asked[0] == "Classify the text as one of: account access, delivery, refund."
    assert known[asked[1]] == labelled.wanted
    other = next(r for r in split.test if "Say it" in str(r.asked))
    assert other.asked[0].content.startswith("Say it in English.\n")  # type: ignore[union-attr]
    first = [("Classify" in str(r.asked)) for r in split.train[:20]]
    assert 3 < sum(first) < 17, "the files take turns"
    again, _ = load_split(data(files, second={"instruction": "Say it in English."}, train_rows=5))
    assert again.train == split.train[:5]


def test_rows_that_another_file_holds_out_are_left_out_of_training(tmp_path: Path) -> None:
    """The same questions, with other rows beside them, are parted otherwise; it is said in both languages."""
    shared = [{"question": f"What is {i}?", "answer": f"It is {i}."} for i in range(40)]
    more = [{"question": f"Who is {i}?", "answer": f"He is {i}."} for i in range(25)]
    files = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for path, rows in zip(files, (shared, [*more, *shared]), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    split, notes = load_split(data(files))
    held = {record.asked for record in (*split.validation, *split.test)}
    assert not any(record.asked in held for record in split.train)
    said = notes[-1]
    assert said.endswith(" training rows of one file are held out in another and were left out.")
    assert isinstance(said, Phrase) and said.text("zh").endswith(" 行训练数据在另一个文件中留作测试，未使用。")


def test_a_path_alone_and_what_is_wrong_is_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    short = config.read_recipe(None, [f"data.path={files[0]}", f"data.also=[{files[1]}]"])
    assert short.data == data(files) == config.recipe_from(yaml.safe_load(config.to_yaml(short))).data
    (tmp_path / "prices.csv").write_text("text,value\n" + "".join(f"row {i},{i}\n" for i in range(30)))
    cases: list[tuple[Any, str]] = [
        ({"pth": "b"}, "data.also.0.pth: unknown key, did you mean path"), (3, "data.also: must be a list"),
        ([{"path": str(tmp_path / "prices.csv")}], "prices.csv: is for regression"),
        ([{"path": str(tmp_path / "none.csv")}], "none.csv"),
    ]  # fmt: skip
    for also, why in cases:
        with pytest.raises(LuthierError, match=why):
            load_split(config.recipe_from({"data": {"path": str(files[0]), "also": also}}).data)
    with pytest.raises(LuthierError, match="docs"):
        load_split(data(files, docs=str(tmp_path)))


def test_one_adapter_learns_both_tasks_and_keeps_them_on_a_fresh_base(
    lm: TrainableLM, files: tuple[Path, Path], tmp_path: Path
) -> None:
    """Seen failing for the second task with the first file alone."""
    training = {"epochs": 40, "learning_rate": 0.01}
    recipe = tiny.recipe(Path(lm.name), data=data(files), training=training)
    folder = train(recipe, tmp_path / "run")
    assert read_json(folder / "eval.json")["metric"] == "chrF"
    whole, _ = load_split(recipe.data)
    plugged = load_run(folder, tiny.fresh(Path(lm.name)))
    for about in (True, False):
        rows = [r for r in whole.test if ("Classify" in str(r.asked)) is about]
        part = Split("generation", whole.train, (), metric="exact_match")
        before, after = evaluate(tiny.fresh(Path(lm.name)), part, rows), evaluate(plugged, part, rows)
        assert len(rows) >= 4 and before.score < 0.2 and after.score > before.score + 0.4, (about, after.score)
    result = evaluate_run(folder, config.DataConfig(path=str(files[0])), "tickets")
    assert result["secondary"]["exact_match"]["value"] > 0.6
    written = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(written.replace("metric: ''", "metric: exact_match"))
    judged = evaluate_run(folder, config.DataConfig(path=str(files[0])), "by-its-own")
    assert judged["metric"] == "exact_match" and judged["score"] == result["secondary"]["exact_match"]["value"]
