"""Plans as the command gives them: what is spent, memory on one device and on several, time and cost, bad input."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import LlamaConfig, LlamaForCausalLM

import tiny
from commands import said
from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.io.config import recipe_from
from luthier.models import machine
from luthier.planning import here
from luthier.planning.dry_run import DryRun
from luthier.planning.job import job_of, text_of
from luthier.planning.plan import Machine, machine_of, made, spent
from luthier.planning.spoken import brief, hours, operations
from luthier.planning.step import Rows, Step
from luthier.pretrain.recipe import recipe_from as pretraining_from

Folder = Callable[[str], Path]
SHAPE = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 500, "max_position_embeddings": 256,
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with nothing but a configuration."""
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text(json.dumps(SHAPE))
    return tmp_path / "bare"


def recipe(folder: Path, **more: Any) -> dict[str, Any]:
    values = {"method": "full", "model": str(folder), "objective": {"max_length": 64}, "dtype": "float32"}
    return values | {"threads": 1, "training": {"tokens": 64_000, "batch": 4}} | more


def written(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


def test_the_command(bare: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "recipe.yaml", recipe(bare))
    told = said("plan", path, "--on", "h100x8", "--price", "2")
    numbers = sum(p.numel() for p in _real(bare).parameters())
    assert f"({numbers:,})" in told and "64,000 tokens in 250 steps" in told
    assert "Time here" in told and "Time on H100 × 8" in told and "has no tokenizer" in told
    first, second = json.loads(said("plan", path, "--on", "l4", "--json"))
    assert first["parameters"] == numbers == first["trained"]
    assert first["peak"] == sum(first["memory"].values()) and second["machine"] == "L4"
    assert first["memory"]["optimiser"] == pytest.approx(8 * numbers, rel=0.01)


def _real(folder: Path) -> LlamaForCausalLM:
    return LlamaForCausalLM(LlamaConfig.from_pretrained(folder))


def test_arithmetic_of_a_decoder(bare: Path) -> None:
    """Six times tokens and numbers in products (Kaplan et al. 2020), and attention's 6 · layers · tokens · width · half
    the length; the vocabulary head's is a product, too."""
    plan = made(job_of(recipe_from(recipe(bare))))
    numbers = sum(p.numel() for n, p in _real(bare).named_parameters() if p.dim() == 2 and "embed" not in n)
    attention = 6 * 2 * 64 * 64  # of a token: q kᵀ and p v, forward and twice back, half of them above the diagonal
    recomputed = 1 + 0.5 / 6  # kernels take the scores again in the backward pass
    assert plan.flops / plan.tokens == pytest.approx(6 * numbers + attention, rel=0.03 * recomputed)


def test_devices_share_what_is_trained(bare: Path) -> None:
    job = job_of(replace(recipe_from(recipe(bare)), dtype="bfloat16"))
    one, eight = made(job, machine_of("h100")), made(job, machine_of("h100x8", price=1.0))
    for part in ("weights", "masters", "gradients", "optimiser"):
        assert eight.memory[part] == pytest.approx(one.memory[part] / 8, abs=1)
    assert eight.memory["activations"] == one.memory["activations"]
    assert eight.seconds == pytest.approx(one.seconds / 8)
    assert eight.cost == pytest.approx(eight.seconds / 3600 * 8) and one.cost == pytest.approx(
        one.seconds / 3600 * 2.69
    )


def test_the_largest_batch(bare: Path) -> None:
    """What is said to fit fills a machine's memory, and what is beyond it does not."""
    job = job_of(recipe_from(recipe(bare, training={"tokens": 10**9, "batch": 4})))
    plan = made(job, Machine("small", 1, 1e12, 20e6, 0.0, 0.5))
    assert plan.fits
    at = replace(job.recipe.training, batch=plan.fits[1], micro_tokens=plan.fits[0])
    full = made(replace(job, recipe=replace(job.recipe, training=at)), machine_of("h100"))
    assert 0.85 * 20e6 < full.peak <= 20e6
    assert made(job, Machine("tiny", 1, 1e12, 1e6, 0.0, 0.5)).fits is None


STEP = Step({"tokens": 400, "rows": 8, "others": 80}, Counter(), Counter(), Counter())


@pytest.mark.parametrize(
    ("training", "count", "trained", "new"),
    [
        # 50 tokens a row, and 10 more the first time: 100 rows use 6,000 of the budget, then each pass 5,000
        ({"tokens": 3000}, 100, 2500, 50), ({"tokens": 11000}, 100, 10000, 100),
        ({"tokens": 10**6, "epochs": 3}, 100, 15000, 100), ({"tokens": 6000}, 0, 5000, 100),
    ],
)  # fmt: skip
def test_how_a_budget_is_spent(bare: Path, training: dict[str, Any], count: int, trained: float, new: float) -> None:
    job = job_of(recipe_from(recipe(bare, training={"batch": 5, **training})))
    found = spent(job, STEP, Rows(50.0, (), 100, count))
    assert (found.trained, found.new, found.steps) == (trained, new, trained / 250)


def test_a_recipe_of_pretraining(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    values = {
        "text": "none.txt", "tokenizer": {"size": 400}, "shape": {"depth": 2, "context": 64}, "dtype": "float32",
        "training": {"tokens": 6400, "batch": 2, "optimizer": "muon"},
    }  # fmt: skip
    (found,) = json.loads(said("plan", written(tmp_path / "tiny.yaml", values), "--json"))
    shape = plugins.members("shapes")["decoder"].load("config")(2, 400, 64, {})
    assert found["parameters"] == sum(p.numel() for p in LlamaForCausalLM(shape).parameters())
    assert found["steps"] == 50 and pretraining_from(values).shape.depth == 2
    hidden = found["parameters"] - 400 * 128  # Muon keeps one number of a hidden matrix, AdamW two of the others
    assert 4 * hidden + 8 * 400 * 128 == pytest.approx(found["memory"]["optimiser"], rel=0.01)


@pytest.mark.parametrize("kind", [name for name in plugins.members("shapes") if name != "decoder"])
def test_every_shape_is_planned_by_its_own_objective(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    values = {"text": "none.txt", "shape": {"kind": kind, "depth": 1, "context": 64}, "dtype": "float32"}
    (found,) = json.loads(said("plan", written(tmp_path / "tiny.yaml", values), "--json"))
    assert found["flops"] > 4 * (found["parameters"] - 4096 * 64) * found["tokens"]


@pytest.mark.parametrize(
    ("changes", "given", "words"),
    [
        ({}, ["--on", "h1000"], "--on h1000: h1000 is none that is known, did you mean h100?"),
        ({}, ["training.tokns=3"], "training.tokns: unknown key, did you mean tokens?"),
        ({"patch": {"rank": 3}}, [], "patch.rank: unknown key"),
        ({"method": "zero_shot"}, [], "zero_shot trains no weights"),
        ({"model": "./nowhere"}, [], "there is no such folder"),
        ({"model": "http://127.0.0.1:9/v1#a"}, [], "a model behind an address is not trained here"),
    ],
)
def test_bad_input(bare: Path, tmp_path: Path, changes: dict[str, Any], given: list[str], words: str) -> None:
    path = written(tmp_path / "recipe.yaml", recipe(bare, **changes))
    with pytest.raises(LuthierError) as error:
        said("plan", path, *given)
    assert words in str(error.value)


def test_a_folder_that_is_no_models(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text("{")
    with pytest.raises(LuthierError, match="bare"):
        said("plan", written(tmp_path / "recipe.yaml", recipe(tmp_path / "bare")))


def test_operations_are_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    with DryRun() as run:
        run.enter("one")
        torch.zeros(32, 32) @ torch.zeros(32, 32)
    timed: list[object] = []
    monkeypatch.setattr(here, "BUSY", 2.0)

    def half_a_second(operation: object) -> float:
        timed.append(operation)
        return 0.5

    monkeypatch.setattr(here, "_timed", half_a_second)
    monkeypatch.setattr(here, "_mark", lambda threads: 1.0)
    twice = Counter({operation: 2.0 * count for operation, count in run.done["one"].items()})
    once, double = here.seconds(9.0, run.done["one"], twice)
    assert double == pytest.approx(2 * once) and once >= 0.5 * len(timed) > 0
    count = len(timed)
    monkeypatch.setattr(here, "_mark", lambda threads: 0.9)
    assert here.seconds(9.0, run.done["one"])[0] == pytest.approx(once) and len(timed) == count
    monkeypatch.setattr(here, "_mark", lambda threads: 0.5)  # what is kept was timed while the machine was slow
    here.seconds(9.0, run.done["one"])
    assert len(timed) > count


def test_what_is_not_timed_is_told_by_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    with DryRun() as run:
        run.enter("one")
        a = torch.zeros(64, 64)
        for _ in range(3):
            a = a @ a
        _ = torch.zeros(32, 32) @ torch.zeros(32, 32)
    products = Counter({o: n for o, n in run.done["one"].items() if o.flops})
    monkeypatch.setattr(here, "_timed", lambda o: 10 * here._roughly(o) if o.args[0].size == (64, 64) else None)
    rough = sum(count * here._roughly(operation) for operation, count in products.items())
    assert here.seconds(9.0, products)[0] == pytest.approx(10 * rough + 4 * here.CALL)


def test_every_operation_of_a_step_can_be_timed(tiny_folder: Folder) -> None:
    """Random numbers of its shapes do for each: views with gaps, lists, indices."""
    from luthier.planning.step import step_of

    values = {"method": "lora", "model": str(tiny_folder("llama_tied")), "dtype": "float32", "threads": 1}
    job = replace(job_of(recipe_from(values), tiny.CHATS))
    step, _ = step_of(job)
    untimed = [o for work in (step.passes, step.move) for o in work if here._timed(o) is None]
    assert not untimed


def test_machines_are_files_with_the_same_constants() -> None:
    for name, found in plugins.members("machines").items():
        about = found.constants
        assert {"NAME", "FLOPS", "MEMORY", "BANDWIDTH", "PRICE", "MFU"} <= set(about), name
        assert 0 < about["MFU"] < 1 and about["FLOPS"] > 1e13
        assert machine_of(name).count == 1 and machine_of(f"{name}x16").count == 16


def test_memory_that_is_free_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    held = iter((100, 119, 121, 90))
    monkeypatch.setattr(machine, "held_memory", lambda: next(held))
    monkeypatch.setattr(machine, "_trim", lambda: trimmed.append(1))
    heap = machine.Heap()
    for wanted in (0, 1, 1):  # after each so many steps; the first look is the first step's
        for _ in range(heap.APART):
            heap.after_step()
        assert len(trimmed) == wanted


def test_words(bare: Path) -> None:
    assert operations(9.24e12) == "9.24 TFLOP" and operations(999.4e24) == "999 YFLOP" and operations(5) == "5 FLOP"
    assert hours(34 * 86400) == "34 days" and hours(60) == "1 m"
    plan = made(job_of(recipe_from(recipe(bare))), machine_of("l4"))
    assert "64,000 tokens in 250 steps" in brief(plan) and "are there" not in brief(plan)
    assert "are there" in brief(replace(plan, at_hand=10))
    assert math.isclose(sum(plan.memory.values()), plan.peak)


def test_text_that_is_not_here_fills_every_example() -> None:
    stream = text_of(500, 64).stream
    assert stream is not None and set(stream.bounds()[1:] - stream.bounds()[:-1]) == {64}
