"""Pre-training in 16 bits: what it writes is what transformers loads; a slow format is told; a lower rate goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("pyarrow")
pytest.importorskip("numba")
from luthier.core.errors import Diverged, LuthierError
from luthier.data.pack import next_token, pack
from luthier.io.config import Recipe
from luthier.models.loading.of_recipe import load_base, trainable
from luthier.pretrain.recipe import read_recipe
from luthier.pretrain.run import run
from small_pretraining import bar
from small_pretraining import recipe as recipe


@pytest.mark.parametrize(("dtype", "allowed"), [("float32", 1e-5), ("float16", 4e-3), ("bfloat16", 3e-2)])
def test_transformers_loads_what_was_trained_with_equal_logits(
    dtype: str, allowed: float, recipe: Path, tmp_path: Path
) -> None:
    """In the run's own format; and the same weights in float32 give the same logits up to its own rounding."""
    from transformers import AutoModelForCausalLM

    found = run(read_recipe(recipe, (f"dtype={dtype}",)), tmp_path / "out", bar)
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"] - 1
    assert ("scale" in found, "skipped" in found, "scale" in lines[0]) == (dtype == "float16",) * 3
    ids = torch.randint(5, 300, (60,), generator=torch.Generator().manual_seed(0)).tolist()
    for given, most in ((dtype, allowed), ("float32", 1e-5)):
        lm = trainable(load_base(Recipe(model=str(tmp_path / "out" / "model"), dtype=given, threads=1)))
        batch = pack([next_token(0, ids, [True] * len(ids), 99)], {}, lm.device)
        kind = "auto" if given == dtype else torch.float32
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model", dtype=kind).eval()
        assert theirs.dtype == getattr(torch, given)
        with torch.no_grad():
            ours = lm.head.logits(lm.read(batch)).float()
            want = theirs(input_ids=torch.tensor([ids])).logits[0, :-1].float()
        assert float((ours - want).abs().max() / want.abs().max()) < most


@pytest.mark.parametrize("bfloat16", [0.5, 2.0])
def test_a_format_that_is_slow_here_is_told(
    bfloat16: float, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {"float32": 100.0, "bfloat16": 100 * bfloat16, "float16": 3.0}
    monkeypatch.setattr("luthier.models.machine.product_rates", lambda: rates)
    found = run(read_recipe(recipe, ("dtype=bfloat16", "training.tokens=1500")), tmp_path / "out", bar)
    said = "bfloat16 is slow on this machine: its matrix products make 50 GFLOP/s, those of float32 100; dtype: auto"
    assert any(note.startswith(said) for note in found["notes"]) is (bfloat16 < 1)


def test_a_rate_that_diverged_is_lowered_by_the_same_command(recipe: Path, tmp_path: Path) -> None:
    high = ("training.learning_rate=10.0", "training.checkpoint_seconds=0.0")
    with pytest.raises(Diverged, match=r"as bad for 8 steps: training diverged\. Go on with a lower"):
        run(read_recipe(recipe, high), tmp_path / "out", bar)
    with pytest.raises(LuthierError, match="holds pre-training by another recipe"):
        run(read_recipe(recipe, (*high[1:], "training.learning_rate=11.0")), tmp_path / "out", bar)
    lower = read_recipe(recipe, (*high[1:], "training.learning_rate=0.02"))
    whole = run(lower, tmp_path / "whole", bar)
    assert run(lower, tmp_path / "out", bar)["bits_per_byte"] == whole["bits_per_byte"], "nothing of it was kept"


def test_a_folder_begun_before_a_key_came_goes_on(recipe: Path, tmp_path: Path) -> None:
    class Killed(Exception):  # noqa: N818
        """Stands for a kill."""

    def kill(_: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        run(read_recipe(recipe), tmp_path / "out", bar, kill)
    asked = tmp_path / "out" / "pretraining.yaml"
    lines = asked.read_text().splitlines()
    asked.write_text("\n".join(line for line in lines if "keep_checkpoints" not in line) + "\n")
    assert len(asked.read_text().splitlines()) == len(lines) - 1
    assert run(read_recipe(recipe), tmp_path / "out", bar)["steps"] > 1
