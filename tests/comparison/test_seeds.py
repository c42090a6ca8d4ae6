"""Seeds that run together give what each gives alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import luthier
import tiny
from kinds import labelled_rows
from luthier import api
from luthier.io.config import run_recipe
from luthier.io.files import read_json

pytestmark = pytest.mark.usefixtures("in_this_process")


def test_each_seed_has_the_examples_that_it_has_alone(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """The same recipe in a comparison of two seeds and by itself: examples, their order, notes, answers."""
    rows = [{"text": f"{r.text} ({i})", "label": r.label} for i in range(5) for r in labelled_rows(tiny.LABELLED.train)]
    data = tmp_path / "mine.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "both"
    asked: dict[str, Any] = {"methods": ["few_shot"], "budget": "3000-tokens", "threads": 1, "seeds": 2}
    luthier.compare(data, model=str(tiny_folder("llama_tied")), out=out, **asked)
    seen = []
    for seed in (1, 0):
        together = out / "trials" / "few_shot" / f"seed-{seed}"
        recipe = run_recipe(together)
        assert recipe.seed == seed
        alone = api.train(replace(recipe, track=()), tmp_path / f"alone-{seed}")
        one, two = (read_json(folder / "adapter" / "luthier.json") for folder in (together, alone))
        assert one == two and len(one["shots"]) > 2
        one, two = (read_json(folder / "eval.json") for folder in (together, alone))
        assert one["answers"] == two["answers"] and one["notes"] == two["notes"]
        seen.append(read_json(alone / "adapter" / "luthier.json")["shots"])
    assert seen[0] != seen[1]
