"""PPO and GRPO: numbers by hand and losses by brute force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from luthier.core.batch import Batch
from luthier.objectives.grpo import Grpo
from luthier.objectives.ppo import Ppo
from luthier.objectives.sampling import advantages
from luthier.objectives.sampling.drawing import Drawn
from luthier.objectives.sampling.sampled import Sampled
from policies import tiny_example

# -- plain numbers ---------------------------------------------------------------------------------------------------


def test_generalised_advantages_by_hand() -> None:
    """δ = (1 + 0.25 - 0.5, 2 + 0.125 - 0.25) = (0.75, 1.875); A = (0.75 + 0.95 · 1.875, 1.875)."""
    assert advantages.generalised([1, 2], [0.5, 0.25, 0.125], 1.0, 0.95) == [pytest.approx(2.53125), 1.875]
    assert advantages.generalised([], [0.5], 1.0, 0.95) == []
    assert advantages.per_token([-1.0, -2.0], [-1.5, -1.0], 0.1, 3.0) == [pytest.approx(-0.05), pytest.approx(3.1)]


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=9), st.data(), st.floats(0.5, 1), st.floats(0, 1))
def test_generalised_advantages_are_a_double_sum(rewards: list[float], data: Any, gamma: float, lam: float) -> None:
    n = len(rewards)
    values = data.draw(st.lists(st.floats(-5, 5), min_size=n + 1, max_size=n + 1))
    deltas = [rewards[t] + gamma * values[t + 1] - values[t] for t in range(n)]
    want = [sum((gamma * lam) ** (u - t) * deltas[u] for u in range(t, n)) for t in range(n)]
    assert advantages.generalised(rewards, values, gamma, lam) == pytest.approx(want, abs=1e-9)


def test_whitened_as_torch_does() -> None:
    rows = [[1.0, 2.0, 4.0], [-3.0]]
    flat = torch.tensor([v for row in rows for v in row], dtype=torch.float64)
    want = (flat - flat.mean()) / flat.std()
    found = [v for row in advantages.whitened(rows) for v in row]
    assert found == pytest.approx(want.tolist(), rel=1e-6)
    assert advantages.whitened([[2.0]]) == [[0.0]] and advantages.whitened([]) == []


def test_estimators_of_the_kl_are_right_on_average() -> None:
    """Over all outcomes of a token, weighted by π, both give KL(π ‖ π_ref); k3 is never negative."""
    p, q = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]], dtype=torch.float64).log()
    want = float((p.exp() * (p - q)).sum())
    for estimate in (advantages.k1, advantages.k3):
        each = [estimate([float(a)], [float(b)]) for a, b in zip(p, q, strict=True)]
        assert sum(float(w) * e for w, e in zip(p.exp(), each, strict=True)) == pytest.approx(want)
    assert min(advantages.k3([float(a)], [float(b)]) for a, b in zip(p, q, strict=True)) >= 0
    assert advantages.k1([-1.0, -2.0], [-1.5, -2.25]) == pytest.approx(0.75)


def test_advantages_in_a_group_by_hand() -> None:
    """Rewards 0, 0, 3: mean 1, deviation √3; each against the mean of the two others: -1.5, -1.5, 3."""
    rewards = [0.0, 0.0, 3.0]
    assert advantages.relative(rewards, "none") == [-1, -1, 2]
    assert advantages.relative(rewards, "others") == [-1.5, -1.5, 3.0]
    assert advantages.relative(rewards, "deviation") == pytest.approx([x / (3**0.5 + 1e-4) for x in (-1, -1, 2)])
    for scale in ("none", "others", "deviation"):
        assert advantages.relative([0.5, 0.5], scale) == [0.0, 0.0]  # type: ignore[arg-type]


def test_what_the_critic_explains() -> None:
    assert advantages.explained([1, 2, 3], [1, 2, 3]) == 1 and advantages.explained([1, 2, 3], [2, 2, 2]) == 0
    assert advantages.explained([1, 1], [5, 2]) == 0, "there is nothing to foresee"
    assert advantages.explained([1, 2, 3], [3, 2, 1]) == pytest.approx(-3)


# -- losses ----------------------------------------------------------------------------------------------------------


class Says:
    """What a model said, as leaves."""

    def __init__(self, logp: Tensor, value: Tensor) -> None:
        self.logp, self.value = logp, value

    def logprobs(self, temperature: float) -> Tensor:
        assert temperature in (0.7, 1.0)
        return self.logp

    def head(self, name: str) -> Tensor:
        assert name == "value"
        return self.value[:, None]


def leaves(seed: int, n: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(n, generator=random, dtype=torch.float64) * 0.4 for _ in range(6)]


def batch(columns: dict[str, Tensor], spans: tuple[int, ...]) -> Batch:
    empty = torch.zeros(0, dtype=torch.long)
    return Batch(empty, empty, (), empty, empty, tuple(range(len(spans))), spans, columns=columns)


def stepped(objective: Sampled, out: Says, made: Batch, examples: Sequence[Any]) -> Tensor:
    divisors: dict[str, float] = objective.divisors(examples)
    named = objective.loss(out, made)  # type: ignore[arg-type]
    return torch.stack([v / divisors[n] for n, v in named.items() if not n.startswith("_")]).sum()


def examples_of(*tokens: int, behind: bool) -> list[Any]:
    prompt = tiny_example()
    return [Drawn(0, tuple(range(n)), True, "", 0.0).example(i, prompt, behind) for i, n in enumerate(tokens)]


@pytest.mark.parametrize("seed", range(4))
def test_ppo_against_brute_force(seed: int) -> None:
    """Answers of 3 and 2 tokens, so 7 places: token by token in float64, with gradients."""
    logp, old, value, before, advantage, wanted = leaves(seed, 7)
    token = torch.tensor([1, 1, 1, 0, 1, 1, 0.0], dtype=torch.float64)
    logp, value = logp.requires_grad_(), value.requires_grad_()
    objective = Ppo(clip=0.2, critic=0.3)
    columns = {"old": old, "token": token, "advantage": advantage * token, "return": wanted, "value": before}
    found = stepped(objective, Says(logp, value), batch(columns, (4, 3)), examples_of(3, 2, behind=True))
    got = torch.autograd.grad(found, (logp, value))
    policy, critic = [], []
    for t in range(7):
        if token[t]:
            ratio = (logp[t] - old[t]).exp()
            policy.append(-torch.minimum(ratio * advantage[t], ratio.clamp(0.8, 1.2) * advantage[t]))
        near = before[t] + (value[t] - before[t]).clamp(-0.2, 0.2)
        critic.append(0.5 * torch.maximum((value[t] - wanted[t]) ** 2, (near - wanted[t]) ** 2))
    want = torch.stack(policy).mean() + 0.3 * torch.stack(critic).mean()
    torch.testing.assert_close(found, want, rtol=1e-6, atol=1e-6)
    for a, b in zip(got, torch.autograd.grad(want, (logp, value)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("variant", ["grpo", "dr_grpo", "dapo"])
def test_grpo_against_brute_force(variant: Any) -> None:
    """Answers of 4 and 2 tokens of at most 5."""
    logp, old, reference, advantage, *_ = leaves(3, 6)
    advantage = torch.cat([advantage[:1].expand(4), advantage[1:2].expand(2)])
    logp = logp.requires_grad_()
    objective = Grpo(variant=variant, clip=0.2, clip_high=0.3, beta=0.1)
    objective._kept["length"] = 5
    share = torch.tensor([objective._share(4)] * 4 + [objective._share(2)] * 2, dtype=torch.float64)
    columns = {"old": old, "reference": reference, "advantage": advantage, "share": share}
    made = batch(columns, (4, 2))
    found = stepped(objective, Says(logp, logp), made, examples_of(4, 2, behind=False))
    ratio, q = (logp - old).exp(), reference - logp
    each = -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.3) * advantage) + 0.1 * (q.exp() - q - 1)
    means = {"grpo": (each[:4].mean() + each[4:].mean()) / 2, "dapo": each.mean(), "dr_grpo": each.sum() / (2 * 5)}
    torch.testing.assert_close(found, means[variant], rtol=1e-6, atol=1e-6)
    (got,), (want,) = torch.autograd.grad(found, logp), torch.autograd.grad(means[variant], logp)
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)
