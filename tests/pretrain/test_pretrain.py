"""From a text to a measured model in one folder, by the loop that every method trains in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("pyarrow")
pytest.importorskip("numba")
from luthier.core.errors import LuthierError
from luthier.core.progress import Report
from luthier.pretrain.recipe import read_recipe, recipe_from
from luthier.pretrain.run import run
from small_pretraining import bar
from small_pretraining import recipe as recipe


class Killed(Exception):  # noqa: N818
    """Stands for a kill."""


def test_a_text_becomes_a_measured_model(recipe: Path, tmp_path: Path) -> None:
    found = run(read_recipe(recipe), tmp_path / "out", bar)
    assert found == json.loads((tmp_path / "out" / "eval.json").read_text())
    train, held = (Path(found[name]).read_text() for name in ("train_text", "heldout_text"))
    assert train + held == (tmp_path / "story.txt").read_text() + "\n"
    assert found["bits_per_byte"] == found["secondary"]["bits_per_byte"] < 8
    assert 0 < found["byte_5gram"] < 8 and 0 < found["xz"] < 8
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == found["steps"] and lines[-1]["loss"] < lines[0]["loss"] - 1
    assert any("validation_loss" in json.dumps(line) for line in lines)

    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model").eval()
    words = AutoTokenizer.from_pretrained(tmp_path / "out" / "model")
    ids = torch.tensor([words(held)["input_ids"][:64]])
    with torch.no_grad():
        loss = float(model(input_ids=ids, labels=ids).loss)
    assert loss < lines[0]["loss"] - 1
    assert run(read_recipe(recipe), tmp_path / "out", bar) == found  # done already
    with pytest.raises(LuthierError, match="holds pre-training by another recipe"):
        run(read_recipe(recipe, ("tokenizer.size=350",)), tmp_path / "out", bar)


@pytest.mark.parametrize("step", [0, 3, 9])
def test_a_killed_run_ends_as_one_that_was_not(step: int, recipe: Path, tmp_path: Path) -> None:
    whole = run(read_recipe(recipe, ("training.checkpoint_seconds=0.0",)), tmp_path / "whole", bar)

    def kill(report: Report) -> None:
        if report.step == step:
            raise Killed

    @contextmanager
    def killing(title: str) -> Iterator[Any]:
        if step == 0 and title.startswith("tokens"):
            raise Killed
        yield lambda done, of: None

    given = read_recipe(recipe, ("training.checkpoint_seconds=0.0",))
    with pytest.raises(Killed):
        run(given, tmp_path / "out", killing, kill)
    assert run(given, tmp_path / "out", bar)["bits_per_byte"] == whole["bits_per_byte"]
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "out")
    ]
    assert losses[0] == losses[1]


def test_a_model_is_gone_on_with_by_any_patch(recipe: Path, tmp_path: Path) -> None:
    first = run(read_recipe(recipe), tmp_path / "first", bar)
    recipe.write_text(f"text: story.txt\nmodel: {tmp_path / 'first' / 'model'}\nmethod: lora\ndtype: float32\n"
                      "training: {tokens: 6000, learning_rate: 0.003}\n")  # fmt: skip
    second = run(read_recipe(recipe), tmp_path / "second", bar)
    assert second["bits_per_byte"] < first["bits_per_byte"] and (tmp_path / "second" / "adapter").exists()


def test_a_mix_of_one_s_own(recipe: Path, tmp_path: Path) -> None:
    first = run(read_recipe(recipe), tmp_path / "first", bar)
    given = {
        "stream": str(tmp_path / "first" / "mix"), "heldout": first["heldout_text"], "dtype": "float32", "threads": 1,
        "shape": {"depth": 1, "context": 64}, "training": {"tokens": 6000, "optimizer": "muon", "schedule": "wsd"},
    }  # fmt: skip
    second = run(recipe_from(given), tmp_path / "second", bar)
    assert second["bits_per_byte"] == first["bits_per_byte"]
    assert Path(second["train_text"]).read_text() == Path(first["train_text"]).read_text()
    other = tmp_path / "other"
    run(read_recipe(recipe, ("tokenizer.size=350", "training.tokens=1000")), other, bar)
    with pytest.raises(LuthierError, match=r"tokenizer: .*other.*: the stream .*mix was made with"):
        run(recipe_from({**given, "tokenizer": str(other / "tokenizer")}), tmp_path / "third", bar)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "text: name what to train on, or `stream`"),
        ({"text": "a", "stream": "b", "heldout": "c"}, "one of the two"),
        ({"stream": "b"}, "heldout: a stream needs a file of held-out text"),
        ({"text": "a", "shape": {"kind": "decodr"}}, "shape.kind: decodr, did you mean decoder"),
        ({"text": "a", "shape": {"depth": 0}}, "shape.depth: "),
        ({"text": "a", "tokenizer": {"size": 5}}, "tokenizer.size: "),
        ({"text": "a", "depth": 3}, "depth: unknown key"),
        ({"text": "a", "model": "m", "shape": {"depth": 2}}, "shape: a model that is gone on with has its own"),
        (
            {"text": "a", "model": "m", "tokenizer": {"size": 500}},
            "tokenizer: a model that is gone on with has its own",
        ),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(LuthierError, match=said):
        recipe_from(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("training.optimizer=muno", "training.optimizer: muno is no optimizer"), ("method=lroa", "lroa"),
        ("objective.lenght=3", "objective.lenght: unknown key"), ("patch.rank=3", "patch.rank: unknown key"),
    ],
)  # fmt: skip
def test_wrong_options_are_said_before_anything_is_made(given: str, said: str, recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match=said):
        run(read_recipe(recipe, (given,)), tmp_path / "out", bar)
    assert not (tmp_path / "out" / "text").exists()


def test_a_text_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match=r"nothing\.txt: no such file or folder"):
        run(recipe_from({"text": "nothing.txt"}), tmp_path / "out", bar)
