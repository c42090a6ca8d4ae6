"""The planned step against the step that is trained: what trains, what is alive, and few blocks for all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig

import tiny
from luthier.core.errors import LuthierError
from luthier.core.split import Split
from luthier.io import config
from luthier.io.config import Recipe
from luthier.models.kernels.fast import fast
from luthier.planning import step as planned
from luthier.planning.dry_run import DryRun
from luthier.planning.job import Job
from luthier.runs.run import objective_of
from luthier.training.attach import prepared
from luthier.training.context import Context

Folder = Callable[[str], Path]


class Alive(DryRun):
    """Counts what is alive of tensors that are there."""

    def __enter__(self) -> Alive:
        TorchDispatchMode.__enter__(self)
        return self

    def __exit__(self, *error: Any) -> None:
        TorchDispatchMode.__exit__(self, *error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self._hold(out)
        return out


def job(recipe: Recipe, data: Split) -> Job:
    lm = tiny.fresh(Path(recipe.model))
    return Job(recipe, copy.deepcopy(lm.model.config), lm.tokenizer, replace(data, test=()))


def trained(recipe: Recipe, data: Split, rows: planned.Rows) -> tuple[int, int]:
    """Numbers that train, and the most bytes that a later step holds above what it begins with."""
    lm = tiny.fresh(Path(recipe.model))
    patch = config.options(recipe)
    training = replace(recipe.training, tokens=10**12, epochs=None, batch=len(rows.rows), micro_tokens=rows.micro)
    alive = Alive()
    ctx = Context(lm, replace(data, test=()))
    with alive, prepared(ctx, patch, objective_of(recipe, patch, data, lm), training, some=rows.rows) as ready:
        loop = ready.loop
        with fast(lm.model):
            for _ in range(2):
                alive.peaks.clear()
                alive.enter("step")
                begun = alive.live
                examples = next(loop.objective.batches(loop.ctx, loop.examples, training.batch, loop.cursor))
                loop.executor.forward_backward(examples, loop.objective)
                loop.executor.clip_and_step(1e-3, 0.5)
        return ready.trainable, alive.peaks["step"] - begun


@pytest.mark.parametrize(
    ("kind", "method", "data"),
    [
        ("llama_untied", "full", tiny.CHATS), ("gpt2", "prefix", tiny.CHATS),
        ("llama_tied", "soft_prompt", tiny.LABELLED), ("qwen2_sliding", "layers", tiny.CHATS),
        ("llama_tied", "head", tiny.LABELLED), ("bert", "lora", tiny.LABELLED), ("llama_tied", "lora", tiny.PAIRS),
        pytest.param("t5", "lora", tiny.CHATS, marks=pytest.mark.slow),
        pytest.param("gpt2", "adapter", tiny.CHATS, marks=pytest.mark.slow),
        pytest.param("llama_tied", "ia3", tiny.CHATS, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_what_trains_and_what_is_alive(tiny_folder: Folder, kind: str, method: str, data: Split) -> None:
    recipe = tiny.recipe(tiny_folder(kind), method, training={"epochs": None})
    step, rows = planned.step_of(job(recipe, data))
    count, grown = trained(recipe, data, rows)
    assert step["trained"] == count
    peak = max(value for name, value in step.numbers.items() if name.startswith("peak") and name != "peak once")
    assert peak - step["begun"] == pytest.approx(grown, rel=0.02, abs=2000)
    assert step["parameters"] == sum(p.numel() for p in tiny.fresh(tiny_folder(kind)).model.parameters())
    assert step["gradients"] == pytest.approx(4 * count, rel=0.01)


def deep(folder: Path) -> Path:
    made = tiny.tokenizer()
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    return tiny.save(LlamaConfig(**sizes, num_hidden_layers=6, vocab_size=len(made), eos_token_id=2), folder)


@pytest.mark.parametrize(
    ("method", "changes"), [pytest.param("lora", {}, marks=pytest.mark.slow), ("full", {"optimizer": "muon"})]
)
def test_few_blocks_tell_of_all(
    tmp_path: Path, method: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = job(tiny.recipe(deep(tmp_path), method, training={"epochs": None, **changes}), tiny.CHATS)
    few, _ = planned.step_of(asked)
    monkeypatch.setattr(planned, "ENOUGH", 100)
    whole, _ = planned.step_of(asked)
    assert few.numbers == pytest.approx(whole.numbers)
    for part in ("first", "passes", "move"):
        given, wanted = getattr(few, part), getattr(whole, part)
        assert sum(o.flops * n for o, n in given.items()) == pytest.approx(sum(o.flops * n for o, n in wanted.items()))
        assert sum(given.values()) == pytest.approx(sum(wanted.values()))


@pytest.mark.parametrize(("method", "patch"), [("layers", {"n": 3}), ("lora", {"targets": r".*\.5\.mlp\..*"})])
def test_a_patch_that_treats_blocks_apart_runs_all(tmp_path: Path, method: str, patch: dict[str, Any]) -> None:
    """Seen failing with few blocks: `layers` of three trains nothing frozen there."""
    recipe = tiny.recipe(deep(tmp_path), method, patch=patch, training={"epochs": None})
    step, rows = planned.step_of(job(recipe, tiny.CHATS))
    assert step["trained"] == trained(recipe, tiny.CHATS, rows)[0] and step["blocks"] == 6
    assert step["kept"] > 0  # states of the frozen blocks


def test_16_bits_have_masters(tiny_folder: Folder) -> None:
    recipe = replace(tiny.recipe(tiny_folder("llama_tied"), "full"), dtype="bfloat16")
    step, _ = planned.step_of(job(recipe, tiny.CHATS))
    assert step["masters"] == 4 * step["trained"]
    assert step["weights"] == pytest.approx(2 * step["parameters"], rel=0.05)  # and tables of positions


def test_a_quantised_base(tiny_folder: Folder) -> None:
    """Of the blocks' matrices 4 bits a number and scales are held; what they were stands aside."""
    pytest.importorskip("bitsandbytes")
    recipe = tiny.recipe(tiny_folder("llama_tied"), "qlora")
    step, _ = planned.step_of(job(recipe, tiny.CHATS))
    lm = tiny.fresh(tiny_folder("llama_tied"))
    matrices = sum(p.numel() for p in lm.blocks.parameters() if p.dim() == 2)
    assert step["aside"] == 4 * matrices
    assert step["copies"] >= step["aside"]
    assert step["weights"] < 4 * (step["parameters"] + step["trained"] - matrices) + 0.6 * matrices + 4096
    real = config.options(recipe)
    real.attach(lm)  # tables that the dry run made are numbers here
    assert torch.isfinite(lm.hidden(torch.arange(5), torch.arange(5), [5])).all()
    real.detach(lm)


@pytest.mark.parametrize(
    ("method", "data", "words"),
    [("zero_shot", tiny.LABELLED, "trains no weights"), ("lora", replace(tiny.CHATS, train=()), "nothing to learn")],
)
def test_what_cannot_be_planned(tiny_folder: Folder, method: str, data: Split, words: str) -> None:
    with pytest.raises(LuthierError, match=words):
        planned.step_of(job(tiny.recipe(tiny_folder("llama_tied"), method), data))


def test_answers_that_are_drawn_are_not_known(tiny_folder: Folder) -> None:
    recipe = tiny.recipe(tiny_folder("llama_tied"), "lora", objective={"name": "grpo"})
    with pytest.raises(LuthierError, match="draws its answers"):
        planned.step_of(job(recipe, tiny.PAIRS))
