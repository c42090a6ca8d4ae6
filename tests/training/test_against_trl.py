"""Losses and gradients over judged answers against TRL's own trainers, in float32, to 1e-5."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import tiny
import trl_oracle
from luthier.core.example import Example
from luthier.core.methods import Objective
from luthier.core.records import Preference
from luthier.data.pack import next_token
from luthier.models.causal import CausalLM
from luthier.objectives.dpo import Dpo
from luthier.objectives.kto import DISTANCE, Kto
from luthier.objectives.orpo import Orpo
from luthier.objectives.preferences import answers
from luthier.objectives.reward import Reward
from preferring import nudged, ready

CLOSE = 1e-5
PARTS = pytest.mark.parametrize("micro_tokens", [10**6, 1], ids=["one batch", "pair by pair"])
EVERY_LM = pytest.mark.parametrize("lm", tiny.MODELS, indirect=True)
MADE: dict[str, Callable[[], Objective]] = {
    "sigmoid": Dpo,
    "ipo": lambda: Dpo(variant="ipo"),
    "simpo": lambda: Dpo(variant="simpo"),
    "orpo": Orpo,
}


def theirs(name: str, trl: trl_oracle.Trl, chosen: list[Example]) -> Tensor:
    """TRL's loss under the name that ours has."""
    if name in ("simpo", "orpo"):
        return {"simpo": trl.simpo, "orpo": trl.orpo}[name](chosen)
    return trl.dpo(chosen, name)


@contextmanager
def stepped(
    folder: Path, objective: Objective, pairs: int, by: float = 0.02, **settings: Any
) -> Iterator[tuple[Any, list[Example], float, dict[str, Tensor]]]:
    """A loop whose policy is not the reference any more, the examples of its first step, their loss and gradients."""
    with ready(tiny.fresh(folder), objective, "full", **settings) as found:
        loop = found.loop
        nudged(loop, by)
        chosen = next(objective.batches(loop.ctx, loop.examples, pairs, loop.cursor))
        loss = loop.executor.forward_backward(chosen, objective).total
        grads = {name: p.grad for name, p in loop.executor.params.items() if p.grad is not None}
        yield loop, chosen, loss, grads


def same_gradients(ours: dict[str, Tensor], model: Any) -> None:
    """Every gradient of the model is ours, within 1e-5 of the largest number in it."""
    wanted = {name: p.grad for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert wanted and wanted.keys() <= ours.keys()
    for name, gradient in wanted.items():
        apart = float((ours[name] - gradient).abs().max())
        assert apart <= CLOSE * max(float(gradient.abs().max()), 1.0), f"{name}: {apart}"


@EVERY_LM
@PARTS
@pytest.mark.parametrize("name", MADE)
def test_losses_of_pairs(lm: CausalLM, name: str, micro_tokens: int, tmp_path: Path) -> None:
    folder = Path(lm.name)
    with stepped(folder, MADE[name](), 4, micro_tokens=micro_tokens) as (loop, chosen, loss, grads):
        model, first = trl_oracle.models(folder, loop.lm.model.state_dict())
        want = theirs(name, trl_oracle.Trl(model, first, folder, tmp_path), chosen)
        want.backward()
        assert loss == pytest.approx(want.item(), abs=CLOSE, rel=CLOSE)
        same_gradients(grads, model)


@PARTS
def test_orpo_learns_answers_and_no_prompts(lm: CausalLM, micro_tokens: int, tmp_path: Path) -> None:
    """ORPOTrainer's likelihood is of prompts, too: on those of one token, which nothing predicts, the two agree."""
    folder, random = Path(lm.name), torch.Generator().manual_seed(1)
    with stepped(folder, Orpo(), 1) as (loop, _, _, _):
        pairs = []
        for row, (good, bad) in enumerate(((5, 9), (12, 3), (7, 7), (2, 4))):
            texts = [[7, *torch.randint(3, 300, (n,), generator=random).tolist()] for n in (good, bad)]
            found = [next_token(row, ids, [i > 0 for i in range(len(ids))], 99) for ids in texts]
            pairs += answers.grouped(row, Preference((), "good", "bad"), found)
        loop.executor.forget()
        loop.executor.training = replace(loop.executor.training, micro_tokens=micro_tokens)
        loss = loop.executor.forward_backward(pairs, loop.objective).total
        model, first = trl_oracle.models(folder, loop.lm.model.state_dict())
        want = trl_oracle.Trl(model, first, folder, tmp_path).orpo_whole(pairs)
        want.backward()
        assert loss == pytest.approx(want.item(), abs=CLOSE, rel=CLOSE)
        same_gradients({n: p.grad for n, p in loop.executor.params.items() if p.grad is not None}, model)


@EVERY_LM
@PARTS
def test_kto(lm: CausalLM, micro_tokens: int, tmp_path: Path) -> None:
    """Our answers to other prompts as its own, towards them and away from them; a good answer counts one and a half."""
    folder, towards = Path(lm.name), set()
    for by in (0.002, -0.002):
        objective = Kto(good=1.5)
        with stepped(folder, objective, 6, by, micro_tokens=micro_tokens) as (loop, chosen, loss, grads):
            model, first = trl_oracle.models(folder, loop.lm.model.state_dict())
            mates = [objective._kept["mismatched"][e.row] for e in chosen]
            good = [bool(e.columns[answers.CHOSEN][0]) for e in chosen]
            assert {*good} == {True, False}
            want = trl_oracle.Trl(model, first, folder, tmp_path).kto(chosen, mates, good, 1.5)
            want.backward()
            assert loss == pytest.approx(want.item(), abs=CLOSE, rel=CLOSE)
            same_gradients(grads, model)
            towards.add(chosen[0].columns[DISTANCE][0] != 0)
    assert towards == {True, False}


@EVERY_LM
@PARTS
def test_reward(lm: CausalLM, micro_tokens: int, tmp_path: Path) -> None:
    """Our head reads standardised states: TRL's has W / scale; what the means add is the same for both of a pair."""
    folder, margin = Path(lm.name), 0.25
    with stepped(folder, Reward(margin=margin), 4, micro_tokens=micro_tokens) as (loop, chosen, loss, grads):
        head = loop.lm.label_head
        backbone = loop.lm.model.base_model.state_dict()
        model = trl_oracle.reward_model(folder, backbone, head.weight / head.scale)
        want = trl_oracle.reward(model, chosen, margin, folder, tmp_path)
        want.backward()
        assert loss == pytest.approx(want.item(), abs=CLOSE, rel=CLOSE)
        named = {f"{model.base_model_prefix}.{n}": p for n, p in model.base_model.named_parameters()}
        assert named.keys() & grads.keys()
        row = next(g for n, g in grads.items() if n.endswith("label_head.weight"))
        same_gradients({**grads, "score.weight": row * head.scale}, model)
