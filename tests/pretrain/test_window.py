"""Pre-training within a window: remembered by the folder, and by what goes on from its model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("numba")
from luthier.core.errors import LuthierError
from luthier.core.window import Window
from luthier.pretrain.recipe import read_recipe
from luthier.pretrain.run import run
from luthier.runs.loaded import load_run
from stories import story

SHAPE = "shape: {kind: decoder, depth: 1, context: 64}\ntokenizer: {kind: bpe, size: 400}\n"
ON = "model: out/model\nobjective: {max_length: 64}\n"
REST = "text: story.txt\ntraining: {tokens: 1500, batch: 8}\ndtype: float32\nthreads: 1\n"


@contextmanager
def bar(title: str) -> Iterator[Any]:
    yield lambda done, of: None


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "story.txt").write_text("\n".join(story(n, 30) for n in range(20)))
    (tmp_path / "recipe.yaml").write_text(SHAPE + REST)
    return tmp_path / "recipe.yaml"


def test_a_window_is_remembered_and_gone_on_with(recipe: Path, tmp_path: Path) -> None:
    run(read_recipe(recipe, ("attention=2+16",)), tmp_path / "out", bar)
    first: Any = load_run(tmp_path / "out")
    assert first.window == Window(2, 16)
    assert json.loads((tmp_path / "out" / "model" / "config.json").read_text())["luthier_attention"] == "2+16"
    recipe.write_text(ON + REST)
    run(read_recipe(recipe, ("training.tokens=600",)), tmp_path / "on", bar)
    second: Any = load_run(tmp_path / "on")
    assert second.window == Window(2, 16) and "attention" not in (tmp_path / "on" / "pretraining.yaml").read_text()
    with pytest.raises(LuthierError, match="attention: '2-16': write the number"):
        run(read_recipe(recipe, ("attention=2-16",)), tmp_path / "wrong", bar)
    assert not (tmp_path / "wrong" / "text").exists()
