"""float16: overflows are skipped and counted, the scale falls and recovers as by torch's scaler; sums are float32."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tiny
from looping import examples, loop_on
from luthier.core.batch import Batch
from luthier.core.errors import Diverged
from luthier.data.pack import pack
from luthier.io.metrics_file import read_metrics
from luthier.models.causal import CausalLM
from luthier.models.kernels.vocabulary_head import CHUNK, VocabHead, head_loss
from luthier.models.outputs import Outputs
from luthier.objectives.sft import Sft
from luthier.patches.full import Full
from luthier.patches.lora import Lora
from luthier.training import scaling

LOST = (0, 2, 3)  # steps whose gradients overflow


class _Times(torch.autograd.Function):
    """x, whose gradient is taken k times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, k: float) -> Tensor:
        ctx.k = k
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * ctx.k, None


class Planted(Sft):
    """The gradient of its nth loss is taken `factors[n]` times."""

    factors: ClassVar[list[float]] = []

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        factor = self.factors.pop(0) if self.factors else 1.0
        return {name: _Times.apply(value, factor) for name, value in super().loss(out, batch).items()}


def planted(*lost: int) -> Planted:
    Planted.factors = [1e9 if at in lost else 1.0 for at in range(max(lost) + 1)]
    return Planted()


def half(lm: CausalLM, dtype: torch.dtype = torch.float16) -> CausalLM:
    found: CausalLM = tiny.fresh(Path(lm.name))
    tiny.moved(found.model, dtype)
    return found


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), max_size=14))
def test_scales_and_skips_are_those_of_torch(lost: list[bool]) -> None:
    """Over any sequence of overflows. Seen failing with good steps that are not counted anew after an overflow."""
    theirs = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=3)
    p, q = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([q], lr=1.0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scaling, "AFTER", 3)
        ours = scaling.Dynamic()
        for overflows in lost:
            for one, factor in ((p, ours.factor), (q, theirs.get_scale())):
                one.grad = torch.tensor([1.0, math.inf if overflows else 3.0]) * factor
            theirs.scale(torch.zeros(()))
            theirs.step(optimizer)
            theirs.update()
            assert ours.overflowed([p], bool) is overflows
            if not overflows:
                assert p.grad is not None
                p.data -= p.grad
            assert torch.equal(p, q) and ours.factor == theirs.get_scale()
    assert ours.told() == {"scale": theirs.get_scale(), "skipped": sum(lost)}


def by_hand(lm: CausalLM, lost: tuple[int, ...], interval: int) -> tuple[dict[str, Tensor], list[float]]:
    """The same steps with torch's scaler and optimiser; the weights at the end and the scales on the way."""
    scaler, scales = torch.amp.GradScaler("cpu", growth_interval=interval), []
    with loop_on(lm, patch=Full(), objective=planted(*lost)) as loop:
        masters = {name: p.detach().float().requires_grad_(True) for name, p in loop.executor.params.items()}
        optimizer = torch.optim.AdamW(masters.values(), lr=0.0, weight_decay=0.0, fused=True)
        for chosen in loop._steps():
            optimizer.param_groups[0]["lr"] = loop._rate()
            divisors = loop.objective.divisors(chosen)
            batch = pack(chosen, divisors, lm.device)
            ((name, value),) = loop.objective.loss(Outputs(loop.lm.read(batch), loop.lm, batch.targets), batch).items()
            assert value.dtype == torch.float32
            scaler.scale(value / divisors[name]).backward()
            for name, p in loop.executor.params.items():
                assert p.grad is not None
                masters[name].grad, p.grad = p.grad.float(), None
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(masters.values(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            for name, p in loop.executor.params.items():
                p.data.copy_(masters[name])
            scales.append(scaler.get_scale())
            loop.done.tokens += sum(e.tokens for e in chosen)
    return {name: p.detach() for name, p in masters.items()}, scales


def test_a_planted_overflow_is_skipped_as_by_torch(
    lm: CausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scale falls and recovers, all weights are those of torch's own scaler, bit for bit; a skipped step has no
    line, and its tokens are spent. Seen failing with gradients that stay scaled."""
    monkeypatch.setattr(scaling, "AFTER", 2)
    want, scales = by_hand(half(lm), LOST, 2)
    with loop_on(half(lm), patch=Full(), objective=planted(*LOST), folder=tmp_path) as loop:
        done = loop.run()
        assert tiny.same(want, {name: p.detach() for name, p in loop.executor.masters.items()})
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, len(scales) - len(LOST) + 1)) and done.steps == len(lines)
    assert [line["scale"] for line in lines] == [s for at, s in enumerate(scales) if at not in LOST]
    assert [line["skipped"] for line in lines][:2] == [1, 3] and lines[-1]["skipped"] == 3
    assert lines[0]["scale"] == 2.0**15 and min(scales) == 2.0**13 and lines[-1]["scale"] > min(scales)
    assert lines[-1]["tokens"] == done.tokens == 3 * sum(e.tokens for e in examples(3, 40, 7, 25, 12, 5, 31, 18))


class Small(Planted):
    """Gradients far below what float16 can hold."""

    epsilon: ClassVar[float] = 1e-20


@pytest.mark.parametrize("patch", [Full(), Lora(rank=2)], ids=["full", "lora"])
def test_small_gradients_are_not_lost(lm: CausalLM, patch: Any) -> None:
    """float16 learns from them like float32. LoRA's factors are float32, and what flows back to them is not. Seen
    failing without any scale."""
    losses: dict[torch.dtype, list[float]] = {}
    for dtype in (torch.float32, torch.float16):
        found, Planted.factors = losses.setdefault(dtype, []), [1e-5] * 24
        with loop_on(half(lm, dtype), patch=patch, objective=Small(), epochs=8, learning_rate=2e-3, clip=0) as loop:
            loop.say = lambda report: found.append(report.loss)  # noqa: B023
            loop.run()
            assert isinstance(loop.executor.scaling, scaling.Dynamic) is (dtype == torch.float16)
    assert sum(losses[torch.float32][-3:]) < sum(losses[torch.float32][:3]) - 0.3, "of the first and the last epoch"
    assert losses[torch.float16] == pytest.approx(losses[torch.float32], abs=0.03)


class Killed(Exception):  # noqa: N818
    """Stands for a kill."""


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_killed_run_goes_on_bit_for_bit(
    optimizer: str, dtype: torch.dtype, lm: CausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 16-bit weights. Seen failing with the scale, and with the good steps since, left out of the checkpoint."""
    monkeypatch.setattr(scaling, "AFTER", 4)
    lost = (1, 2) if dtype == torch.float16 else (99,)

    def run(folder: Path | None, objective: Sft, kill: int = 0) -> tuple[dict[str, Tensor], dict[str, float]]:
        with loop_on(half(lm, dtype), patch=Full(), objective=objective, folder=folder, optimizer=optimizer) as loop:

            def say(report: object) -> None:
                if loop.done.steps == kill:
                    loop.save()
                    raise Killed

            loop.say = say
            loop.run()
            return {name: p.detach().clone() for name, p in loop.executor.masters.items()}, dict(loop.executor.told())

    whole = run(None, planted(*lost))
    with pytest.raises(Killed):
        run(tmp_path, planted(*lost), 3)
    Planted.factors = []
    again = run(tmp_path, Planted())
    assert tiny.same(whole[0], again[0]) and whole[1] == again[1]
    assert bool(whole[1]) is (dtype == torch.float16)


def test_a_scale_that_falls_too_far_ends_the_run(lm: CausalLM, tmp_path: Path) -> None:
    """The checkpoint before stays, and the weights are untouched since."""
    with loop_on(half(lm), patch=Full(), objective=planted(*range(4, 99)), folder=tmp_path, epochs=20) as loop:
        kept: dict[str, Tensor] = {}

        def say(report: Any) -> None:
            loop.save()
            kept.update({name: p.detach().clone() for name, p in loop.executor.masters.items()})

        loop.say = say
        with pytest.raises(Diverged, match=r"17 steps were skipped, .* scaled by 1: use dtype: bfloat16 or float32"):
            loop.run()
        assert tiny.same(kept, {name: p.detach() for name, p in loop.executor.masters.items()})
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4]
    with loop_on(half(lm), patch=Full(), folder=tmp_path, epochs=20) as loop:
        assert loop.run().steps == 60


def test_a_budget_of_skipped_steps_is_said(lm: CausalLM) -> None:
    said = r"all of the 3 steps .* \(by 8192.0 now\)\. Raise training\.tokens"
    with (
        loop_on(half(lm), patch=Full(), objective=planted(0, 1, 2), epochs=1) as loop,
        pytest.raises(Diverged, match=said),
    ):
        loop.run()


class Poisoned(Sft):
    """Row 5, made from training row 50, has no loss."""

    def loss(self, out: Outputs, batch: Batch) -> dict[str, Tensor]:
        named = super().loss(out, batch)
        return {name: value * math.nan if 5 in batch.rows else value for name, value in named.items()}


def test_a_loss_that_is_none_is_no_overflow(lm: CausalLM) -> None:
    """It ends the run at once, and its row is named alone. Seen failing with few examples under a whole step's scale,
    where all rows were named."""
    with loop_on(half(lm), patch=Full(), objective=Poisoned(), batch=8) as loop:
        loop.executor.scaling.factor = 2.0**30
        with pytest.raises(Diverged, match=r"step 1: the loss is nan .*; training rows 50 \(counted"):
            loop.run()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sums_are_float32(lm: CausalLM, dtype: torch.dtype) -> None:
    """Of gradients over micro-batches, of their norm, and of the loss."""
    data = examples(3, 40, 7, 25, 12)
    with loop_on(half(lm, dtype), data, Full(), micro_tokens=1, clip=0.0) as loop:
        executor, name = loop.executor, "model.layers.0.mlp.up_proj.weight"
        executor.forward_backward(data, loop.objective)
        whole = executor.masters[name].grad
        assert whole is not None and whole.dtype == torch.float32 and executor.params[name].grad is None
        whole = whole.clone()
        divisors, parts = loop.objective.divisors(data), torch.zeros_like(whole)
        executor.forget()
        for example in data:
            batch = pack([example], divisors, loop.lm.device)
            named = loop.objective.loss(Outputs(loop.lm.read(batch), loop.lm, batch.targets), batch)
            loss = torch.stack([value / divisors[n] for n, value in named.items()]).sum()
            assert loss.dtype == torch.float32
            (part,) = torch.autograd.grad(loss * executor.scaling.factor, executor.params[name])
            assert part.dtype == dtype
            parts += part.float()
        assert torch.equal(whole, parts)
        executor.masters[name].grad = whole
        norm = executor.clip_and_step(0.0, 0.0)
        assert norm == pytest.approx(float(parts.norm()) / executor.scaling.factor, rel=1e-6)


def test_a_head_sums_its_chunks_in_float32() -> None:
    """Twenty chunks of rows alike: each adds a little to a weight's gradient. Seen failing with sums in bfloat16."""
    torch.manual_seed(0)
    weight = (0.1 * torch.randn(50, 16)).bfloat16()
    hidden, targets = torch.randn(1, 16).repeat(20 * CHUNK, 1).bfloat16(), torch.full((20 * CHUNK,), 3)
    exact = weight.double().requires_grad_(True)
    torch.nn.functional.cross_entropy(hidden.double() @ exact.T, targets, reduction="sum").backward()
    found = weight.clone().requires_grad_(True)
    head_loss(hidden, VocabHead(found), targets).backward()
    assert found.grad is not None and exact.grad is not None
    assert float((found.grad.double() / exact.grad - 1).abs().max()) < 0.015


def test_products_in_float16_are_scaled_for_too(lm: CausalLM) -> None:
    """Seen failing: 4-bit layers that multiply in float16 between float32 ones had small gradients rounded to zero."""
    assert type(scaling.scaling_of(lm.model)) is scaling.Plain
    lm.blocks[0].compute = torch.float16  # type: ignore[assignment]
    assert type(scaling.scaling_of(lm.model)) is scaling.Dynamic
