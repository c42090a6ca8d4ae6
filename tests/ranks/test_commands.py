"""`luthier train` and `luthier pretrain` where torchrun started several processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from luthier.core.errors import LuthierError
from luthier.io.config import ParallelConfig, recipe_from, to_yaml
from luthier.training.world import world
from ranking import recipe_for, torchrun


@pytest.fixture
def recipe(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """One that looks at the validation rows and keeps the best weights."""
    return recipe_for(tiny_folder("llama_tied"), tmp_path, early_stop=2)


def told(folder: Path, key: str) -> list[float]:
    return [json.loads(line)[key] for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]


def test_a_run_of_two_processes_is_that_of_one(recipe: Path, tmp_path: Path) -> None:
    """Scores, losses, the best weights: the folder does not tell by how many it was trained."""
    for ranks, out, more in ((1, "one", []), (2, "two", ["parallel.data=2"])):
        done = torchrun(ranks, "train", str(recipe), "--out", out, *more, folder=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("Run folder:") == 1, "only one of them tells"
    one, two = tmp_path / "one", tmp_path / "two"
    assert told(two, "loss") == pytest.approx(told(one, "loss"), rel=1e-4) and len(told(one, "loss")) > 5
    assert {p.name for p in two.iterdir()} == {p.name for p in one.iterdir()}
    assert (two / "recipe.yaml").read_text() == (one / "recipe.yaml").read_text()
    for key in ("waiting", "rank0_busy", "rank1_busy", "memory_of_fullest"):
        assert len(told(two, key)) == len(told(two, "loss")), key
    results = [json.loads((folder / "eval.json").read_text()) for folder in (one, two)]
    for key in ("score", "forgetting", "steps", "tokens", "trainable"):
        assert results[1][key] == pytest.approx(results[0][key], rel=1e-3), key


def test_as_many_processes_as_degrees(recipe: Path, tmp_path: Path) -> None:
    """Each says why, and what would fit."""
    done = torchrun(2, "train", str(recipe), "--out", "out", "parallel.data=3", folder=tmp_path)
    assert done.returncode and "--nproc-per-node 3" in done.stderr and not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["method=few_shot"], "few_shot trains no weights"),
        (["training.learning_rate=x"], "training.learning_rate"),
        (["data.path=gone.jsonl"], "gone.jsonl"),
    ],
)
def test_what_is_refused_ends_all(recipe: Path, tmp_path: Path, given: Sequence[str], said: str) -> None:
    """Also what only the first rank finds out, while the others wait for it."""
    done = torchrun(2, "train", str(recipe), "--out", "out", *given, folder=tmp_path)
    assert done.returncode and said in done.stderr
    assert done.stderr.count("Traceback") <= 1, "torchrun's own is the only one"
    assert not (tmp_path / "out").exists()


def test_one_process_is_not_several() -> None:
    """It would train alone, for eight times as long as was planned."""
    with pytest.raises(LuthierError, match="torchrun --nproc-per-node 4"), world(ParallelConfig(data=4)):
        pass


def test_a_recipe_says_how_many(tmp_path: Path) -> None:
    asked = recipe_from({"parallel": {"data": 2}})
    assert asked.parallel == ParallelConfig(data=2) and "\nparallel" not in to_yaml(recipe_from({}))
    with pytest.raises(LuthierError, match=r"parallel\.data"):
        recipe_from({"parallel": {"data": 0}})
    with pytest.raises(LuthierError, match=r"parallel\.date: unknown key"):
        recipe_from({"parallel": {"date": 2}})
