"""Training with 16-bit weights: the optimiser works on float32 masters, so that small steps are not rounded away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from luthier.core import catalog
from luthier.core.example import renumbered
from luthier.data.pack import pack
from luthier.io import config
from luthier.io.config import TrainingConfig
from luthier.models.causal import CausalLM
from luthier.models.outputs import Outputs
from luthier.objectives.sft import Sft
from luthier.training.attach import attached
from luthier.training.context import Context, Meter, Reader
from luthier.training.loop import Loop

PATCHES = [e.name for e in catalog.entries("patches").values() if not catalog.lacking(e)]
RATE = 2e-4  # far below what bfloat16 can add to weights of size 0.2


def losses(lm: CausalLM, method: str, folder: Path | None = None, **settings: float) -> tuple[list[float], Loop]:
    """The losses of a training run with full batches."""
    out: list[float] = []
    patch = config.options(tiny.recipe(Path(lm.name), method))
    with attached(lm, patch, Sft(), tiny.LABELLED.labels, 0) as (work, groups, objective):
        examples = renumbered(objective.encode(work, tiny.LABELLED, tiny.LABELLED.train))
        values: dict[str, Any] = {"tokens": 10**9, "epochs": 30, "learning_rate": RATE, **settings}
        training = TrainingConfig(**values)
        loop = Loop(Context(work), patch, objective, groups, examples, training, folder, lambda r: out.append(r.loss))
        loop.run()
        assert all(m.dtype == torch.float32 for m in loop.executor.masters.values())
        for name, p in loop.executor.params.items():
            assert torch.equal(p.data, loop.executor.masters[name].to(p.dtype))
    return out, loop


@pytest.mark.parametrize("method", PATCHES)
def test_16_bits_learn_like_32(tiny_folder: Callable[[str], Path], method: str) -> None:
    """Seen failing for full, layers and head when AdamW stepped on the bfloat16 weights themselves."""
    folder = tiny_folder("llama_untied")
    whole, _ = losses(tiny.fresh(folder), method)
    half = tiny.fresh(folder)
    half.model.to(torch.bfloat16)
    found, _ = losses(half, method)
    assert whole[0] - whole[-1] > 0
    assert found[0] - found[-1] == pytest.approx(whole[0] - whole[-1], rel=0.25, abs=0.02)


@pytest.mark.parametrize("method", PATCHES)
def test_training_reads_what_is_written_with(tiny_folder: Callable[[str], Path], method: str) -> None:
    """Of 16 bits and an update as small as it is at first. Seen failing for LoRA and its kin with W + s B A rounded to
    16 bits: GRPO learned from the difference between what drew answers and what trained."""
    half = tiny.fresh(tiny_folder("llama_untied"))
    half.model.to(torch.bfloat16)
    patch = config.options(tiny.recipe(Path(half.name), method))
    with attached(half, patch, Sft(), tiny.LABELLED.labels, 0) as (work, groups, objective):
        named = dict(work.model.named_parameters())
        for name in (n for group in groups for n in group.names):
            p = named[name].requires_grad_(True)
            torch.manual_seed(0)
            p.data += 0.02 * torch.randn_like(p)
        examples = renumbered(objective.encode(work, tiny.LABELLED, tiny.LABELLED.train))
        drawn = torch.cat(Reader(work, Meter(), "policy").logprobs(examples))
        batch = pack(examples, {}, work.device)
        trained = Outputs(work.read(batch), work, batch.targets).logprobs()
        assert trained.requires_grad
        assert (trained.detach() - drawn).abs().max() < 1e-3


def test_16_bits_resume_exactly(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    def half() -> CausalLM:
        lm: CausalLM = tiny.fresh(tiny_folder("llama_untied"))
        tiny.moved(lm.model, torch.bfloat16)
        return lm

    _, unbroken = losses(half(), "full")
    patch = config.options(tiny.recipe(tiny_folder("llama_untied"), "full"))
    with attached(half(), patch, Sft(), tiny.LABELLED.labels, 0) as (work, groups, objective):
        examples = renumbered(objective.encode(work, tiny.LABELLED, tiny.LABELLED.train))
        training = TrainingConfig(tokens=10**9, epochs=30, learning_rate=RATE)
        loop = Loop(Context(work), patch, objective, groups, examples, training, tmp_path)
        steps = loop._steps()
        for _ in range(7):
            loop._step(next(steps))
        loop.save()
    _, resumed = losses(half(), "full", tmp_path)
    assert tiny.same(unbroken.executor.masters, resumed.executor.masters)
