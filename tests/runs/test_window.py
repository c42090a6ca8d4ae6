"""A run remembers what its tokens saw: read again, gone on with, exported, put beside others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from luthier.core.errors import LuthierError
from luthier.core.window import Window
from luthier.export.write import export_run
from luthier.io import config
from luthier.io.files import write_text
from luthier.models.loading.of_recipe import load_base
from luthier.runs import run
from luthier.runs.judges import teacher_of
from luthier.runs.loaded import load_run
from luthier.runs.mixing import Adapters
from luthier.runs.start import started

SEEN = Window(2, 9)
TEXT = "where is my parcel, and why was i charged twice for a box that never came"


def made(folder: Path, base: Path, method: str = "lora", **changes: Any) -> Path:
    recipe = tiny.recipe(base, method, **changes)
    write_text(folder / "recipe.yaml", config.to_yaml(recipe))
    lm: Any = started(load_base(recipe), recipe)
    with run.adapted(lm, recipe, tiny.CHATS, folder) as outcome:
        run.save_adapted(outcome, folder)
        write_text(folder / "said.json", json.dumps(says(outcome.lm)))
    return folder


def says(lm: Any) -> list[float]:
    found: list[float] = lm.stretch_logprobs(lm.tokenizer(TEXT)["input_ids"]).tolist()
    return found


def said(folder: Path) -> Any:
    return pytest.approx(json.loads((folder / "said.json").read_text()), rel=1e-3, abs=1e-4)


def test_a_run_is_read_with_the_attention_it_was_trained_with(tiny_folder: Any, tmp_path: Path) -> None:
    """On a base of its own and on one that is given. Seen failing with the given base's own attention."""
    base = tiny_folder("llama_tied")
    folder = made(tmp_path / "a", base, attention="2+9")
    for given in (None, tiny.fresh(base)):
        again: Any = load_run(folder, given)
        assert again.window == SEEN and says(again) == said(folder)
    assert "attention" not in (made(tmp_path / "b", base) / "recipe.yaml").read_text()
    full: Any = load_run(tmp_path / "b")
    assert full.window is None and full.key != again.key


def test_what_goes_on_from_it_has_it_too(tiny_folder: Any, tmp_path: Path) -> None:
    base = tiny_folder("llama_tied")
    first = made(tmp_path / "a", base, attention="2+9")
    second = made(tmp_path / "b", base, start=str(first))
    again: Any = load_run(second)
    assert again.window == SEEN and says(again) == said(second)
    wide: Any = load_base(tiny.recipe(base, start=str(first), attention="full"))
    assert wide.window is None
    other = tiny.recipe(base, teacher=str(base), attention="2+9")
    assert teacher_of(other).window is None  # the student's is not its teacher's


def test_a_model_folder_remembers(tiny_folder: Any, tmp_path: Path) -> None:
    """Trained whole, exported, or gone on with: transformers loads it and sees all, we what it was trained with."""
    folder = made(tmp_path / "a", tiny_folder("llama_tied"), "full", attention="2+9")
    out = export_run(folder, "merged", tmp_path / "out", "f32", lambda what: None, lambda checks: None)
    for place in (folder / "model", out):  # the export's check compares what transformers does: all in sight
        assert json.loads((place / "config.json").read_text())["luthier_attention"] == "2+9"
        lm: Any = load_base(tiny.recipe(place))
        assert lm.window == SEEN and says(lm) == said(folder)
        wide: Any = load_base(tiny.recipe(place, attention="full"))
        assert wide.window is None and not torch.allclose(torch.tensor(says(wide)), torch.tensor(says(lm)), atol=1e-2)
    card = (out / "README.md").read_text()
    assert "`2+9`" in card and "more than 11 tokens" in card
    beside = made(tmp_path / "c", tiny_folder("llama_tied"), attention="2+9")
    export_run(beside, "adapter", tmp_path / "beside", "f32", lambda what: None, lambda checks: None)
    told = made(tmp_path / "b", folder / "model", "full", attention="full")
    assert "luthier_attention" not in (told / "model" / "config.json").read_text()


def test_adapters_on_one_base_have_its_attention(tiny_folder: Any, tmp_path: Path) -> None:
    base = tiny_folder("llama_tied")
    folder = made(tmp_path / "a", base, attention="2+9")
    Adapters(load_base(tiny.recipe(base, attention="2+9"))).add("a", folder)  # type: ignore[arg-type]
    with pytest.raises(LuthierError, match="another attention"):
        Adapters(tiny.fresh(base)).add("a", folder)
