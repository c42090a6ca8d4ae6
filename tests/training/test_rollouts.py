"""PPO and GRPO: a known optimum, exact resume, every patch as the policy, the trunk read once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import tiny
from luthier.core import catalog
from luthier.core.errors import Refused
from luthier.core.records import Asked, Message, Record
from luthier.core.split import Split
from luthier.evals.health import by_rollout
from luthier.io.metrics_file import read_metrics
from luthier.io.samples_file import read_samples
from luthier.models.causal import CausalLM
from luthier.models.inference import feature_cache
from luthier.objectives.grpo import Grpo
from luthier.objectives.ppo import Ppo
from luthier.objectives.sampling.sampled import Sampled
from luthier.patches.full import Full
from luthier.patches.lora import Lora
from luthier.training.context import Meter, Reader
from policies import KINDS, PATCHES, Vowels, every_kind, grpo, ppo, ready


class FirstHalf:
    """1 where an answer begins with a letter of the first half of the alphabet."""

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        return [float(bool(answer) and answer[0] in "abcdefghijklm") for answer in answers]


@pytest.mark.parametrize(
    "objective",
    [
        Ppo(rollout=32, new_tokens=1, beta=0.5, temperature=1.0, penalty=0.0),
        Grpo(rollout=4, new_tokens=1, beta=0.5, scale="none", epochs=2),
    ],
)
def test_the_policy_approaches_the_known_optimum(lm: CausalLM, objective: Sampled) -> None:
    """Answers of one token: the best policy is π_ref · exp(r / β), normalised. Half the way to it at least."""
    data = Split("preference", (Asked((Message("user", "q"),)),) * 32, ())
    size = objective.rollout or 0
    with ready(lm, objective, Full(), reward=FirstHalf(), data=data, tokens=120_000, batch=size) as found:
        asked = found.loop.examples[0]

        def policy() -> Tensor:
            def said(out: Any) -> Tensor:
                return out.lm.head.logits(out.hidden).float().log_softmax(-1)  # type: ignore[no-any-return]

            return Reader(found.loop.lm, Meter(), "x").look([asked], said)[0][0]

        before = policy()
        found.loop.run()
        after = policy()
        words = [str(lm.tokenizer.decode([i], skip_special_tokens=True)).strip() for i in range(len(before))]
    best = (before + torch.tensor(FirstHalf().score((), words, ())) / 0.5).softmax(-1)
    apart = [0.5 * float((p.exp() - best).abs().sum()) for p in (before, after)]
    assert apart[0] > 0.3 and apart[1] < apart[0] / 2, apart


@every_kind
def test_rewards_rise_and_all_is_told_and_counted(lm: CausalLM, kind: str, tmp_path: Path) -> None:
    """Answers may go on for ever here: else the policy learns first of all to end them, before there is a vowel."""
    objective = ppo(penalty=0.0) if kind == "ppo" else grpo()
    with ready(lm, objective, folder=tmp_path, tokens=40_000, learning_rate=0.03) as found:
        found.loop.run()
        loop, by = found.loop, dict(found.ctx.meter.by)
    told = read_metrics(tmp_path / "metrics.jsonl")
    assert told[0]["ratio"] == pytest.approx(1, abs=1e-5) and told[0]["kl"] == pytest.approx(0, abs=1e-4)
    rewards = [line["reward"] for line in by_rollout(told)]
    third = len(rewards) // 3
    assert sum(rewards[-third:]) > 1.2 * sum(rewards[:third]) and told[-1]["kl3"] > 0
    names = {"reward", "reward_deviation", "kl", "kl3", "entropy", "ended", "length", "distinct", "opening", "clipped",
             "moved", "beta", "rollout"}  # fmt: skip
    assert names | ({"value", "explained"} if kind == "ppo" else {"alike"}) <= told[0].keys()
    assert by["rollout"] > 0 and by["reference"] > 0 and by["policy"] > 0
    assert loop.spent == loop.done.tokens + sum(by.values()) <= 40_000
    samples = read_samples(tmp_path)
    assert len(samples) == told[-1]["rollout"] and samples[0]["samples"][0].keys() == {
        "prompt", "answer", "reward", "ended",
    }  # fmt: skip
    assert "q" in samples[0]["samples"][0]["prompt"]


class KilledError(Exception):
    """In place of a kill."""


class Dies(Vowels):
    """Dies when it is asked the third time."""

    asked = 0

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        self.asked += 1
        if self.asked == 3:
            raise KilledError
        return super().score(prompts, answers, records)


@every_kind
@pytest.mark.parametrize("when", ["update", "reward"])
def test_a_killed_run_ends_with_the_same_bits(lm: CausalLM, kind: str, when: str, tmp_path: Path) -> None:
    """Killed in the middle of a rollout's steps, and while a rollout is judged."""
    with ready(tiny.fresh(Path(lm.name)), KINDS[kind](), folder=tmp_path / "whole") as whole:
        whole.loop.run()
        want, spent = tiny.bits(whole.loop.lm.model), whole.loop.spent
    folder = tmp_path / "broken"
    reward = Dies() if when == "reward" else Vowels()
    with ready(tiny.fresh(Path(lm.name)), KINDS[kind](), folder=folder, reward=reward) as broken:

        def kill(report: Any) -> None:
            broken.loop.save()
            if report.step == 3 and when == "update":
                raise KilledError

        broken.loop.say = kill
        with pytest.raises(KilledError):
            broken.loop.run()
    with ready(tiny.fresh(Path(lm.name)), KINDS[kind](), folder=folder) as again:
        again.loop.run()
        assert tiny.same(want, tiny.bits(again.loop.lm.model)) and again.loop.spent == spent
    whole_told, told = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "broken"))
    for a, b in zip(whole_told, told, strict=True):
        assert {k: v for k, v in a.items() if k != "tokens_per_second"} == {
            k: v for k, v in b.items() if k != "tokens_per_second"
        }
    assert (tmp_path / "whole" / "samples.jsonl").read_text() == (folder / "samples.jsonl").read_text()


@pytest.mark.parametrize("name", PATCHES)
def test_any_patch_can_be_the_policy(lm: CausalLM, name: str) -> None:
    """Nothing but what it declares moves, the reference is the model as it was, and it is gone afterwards."""
    patch = catalog.load(catalog.find(name, "patches"))()
    before, tree = tiny.bits(lm.model), tiny.tree(lm.model)
    try:
        made = ready(lm, ppo(beta=0.1), patch, tokens=4000, learning_rate=min(max(patch.learning_rates) * 10, 0.3))
        with made as found:
            found.loop.run()
            assert found.loop.done.steps >= 4 and math.isfinite(found.loop.done.loss)
            told = found.loop.objective.told()
            assert told["reward"] >= 0 and math.isfinite(told["kl"])
    except Refused as reason:
        pytest.skip(str(reason))
    assert tiny.tree(lm.model) == tree and tiny.same(before, tiny.bits(lm.model))


def test_below_lora_in_the_top_block_every_answer_is_read_once(lm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies below the lowest block that LoRA touches is kept for all epochs of a rollout, and then forgotten."""
    weights = []
    top = Lora(rank=2, targets=rf".*layers\.{len(lm.blocks) - 1}\..*")
    monkeypatch.setattr(feature_cache, "DRAWN", 12)
    for cached in (True, False):
        model = tiny.fresh(Path(lm.name))
        with ready(model, ppo(epochs=4), top, tokens=8000) as found:
            assert top.cut(found.loop.lm) == len(lm.blocks) - 1 and found.loop.executor.trunk
            found.loop.executor.trunk = found.loop.executor.trunk if cached else None
            read = [0]
            hook = found.loop.lm.blocks[0].register_forward_hook(
                lambda _, args, out, read=read: read.append(args[0].shape[-2])
            )
            found.loop.run()
            hook.remove()
            drawn = [key for key in found.loop.lm.trunks if len(key) == 2 and isinstance(key[1], tuple)]
            assert len(drawn) <= 12 + 8, "the prompts' own besides"
            weights.append((tiny.bits(found.loop.lm.model), sum(read)))
    (one, few), (other, many) = weights
    assert few < many and one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=1e-4)
    assert Lora().cut(lm) is None, "it is on nothing yet"


def test_policy_and_reference_read_what_lies_below_once(lm: CausalLM) -> None:
    model = tiny.fresh(Path(lm.name))
    with ready(model, ppo(), Lora(rank=2, targets=rf".*layers\.{len(lm.blocks) - 1}\..*")) as found:
        found.loop.run()
        ctx, executor, examples = found.loop.ctx, found.loop.executor, found.loop.examples
        calls: list[int] = []
        found.loop.lm.blocks[0].register_forward_hook(lambda *_: calls.append(1))
        policy = ctx.now("policy").logprobs(examples)
        with ctx.reference() as reference:
            base = reference.logprobs(examples)
        assert not calls
        executor.trunk = None
        for got, want in zip(policy, ctx.now("policy").logprobs(examples), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
        with ctx.reference() as reference:
            whole = reference.logprobs(examples)
        for got, want in zip(base, whole, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
        assert any(not torch.equal(a, b) for a, b in zip(policy, base, strict=True)), "one of them is the trained one"
