"""Rankings: every pair of a ranking counts, together as much as a pair; thumbs are learned by kto alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from luthier.core.methods import Objective
from luthier.core.records import Judged, Preference, Ranking, Record
from luthier.core.split import Split
from luthier.data.pack import micro_batches, pack
from luthier.models.causal import CausalLM
from luthier.objectives.dpo import Dpo
from luthier.objectives.kto import Kto
from luthier.objectives.orpo import Orpo
from luthier.objectives.preferences import answers
from luthier.objectives.reward import Reward
from luthier.objectives.sft import Sft
from luthier.training.context import Context
from preferring import DATA, asked, nudged, ready

TEXTS = ("on its way", "it left on Friday, two days to go", "no idea", "ask again later, please")
RANKINGS = tuple(Ranking(asked(f"where is order {i}?"), TEXTS, (3, float(i % 2), 0, 2)) for i in range(1, 9))
RANKED = Split("preference", RANKINGS, RANKINGS[:2])


@pytest.mark.parametrize("objective", [Dpo(), Dpo("ipo"), Dpo("simpo"), Orpo(), Reward()], ids=repr)
def test_a_ranking_is_the_mean_of_its_pairs(lm: CausalLM, objective: Objective) -> None:
    """Loss and gradients; seen failing with the sum over pairs, and with neighbours alone."""
    ranking = RANKINGS[1]  # 3 > 2 > 0 = 0: five pairs of the six
    whole = replace(RANKED, train=(ranking,))
    pairs = tuple(Preference(ranking.messages, TEXTS[i], TEXTS[j]) for i, j in ranking.pairs)
    assert len(pairs) == 5
    with ready(lm, objective, data=whole) as found:
        nudged(found.loop)
        executor, loop, ctx = found.loop.executor, found.loop, found.ctx
        want: list[tuple[float, list[torch.Tensor]]] = []
        batches: list[tuple[Record, ...]] = [(ranking,), *((pair,) for pair in pairs)]
        for rows in batches:
            examples = loop.objective.completed(ctx, loop.objective.encode(ctx.policy, whole, rows))
            executor.forget()
            loss = executor.forward_backward(list(examples), loop.objective).total
            want.append((loss, [p.grad.clone() for p in executor.masters.values() if p.grad is not None]))
        executor.forget()
    (loss, grads), *others = want
    # orpo's likelihood is of the best answer: three of the five pairs have it, and each of the others has its own
    if not isinstance(objective, Orpo):
        assert loss == pytest.approx(sum(each for each, _ in others) / 5, abs=1e-5)
        for at, grad in enumerate(grads):
            torch.testing.assert_close(grad, sum(each[at] for _, each in others) / 5, rtol=1e-4, atol=1e-5)
    else:
        assert loss > 0


def test_a_group_of_many_is_not_parted(lm: CausalLM) -> None:
    with ready(lm, Reward(), data=RANKED, micro_tokens=1) as found:
        parts = micro_batches(found.loop.examples, 1)
        assert [len(part) for part in parts] == [4] * 8
        sides = answers.sides(pack(parts[0], {}))
        assert len(sides.better) == 6 and sides.weight.sum().item() == pytest.approx(1)
        assert len(answers.sides(pack(parts[1], {})).better) == 5


def test_the_best_and_the_worst_are_good_and_bad(lm: CausalLM) -> None:
    assert answers.judged(RANKINGS[1]) == [(TEXTS[0], True), (TEXTS[1], False), (TEXTS[2], False)]
    assert len(Kto().encode(lm, RANKED, RANKINGS[1:2])) == 3
    (example,) = Sft().encode(lm, RANKED, RANKINGS[1:2])
    assert str(lm.tokenizer.decode(list(example.targets))).startswith(TEXTS[0])
    every = Sft(answers="all").encode(lm, RANKED, RANKINGS[1:2])
    words = [str(lm.tokenizer.decode(list(e.targets))) for e in every]
    assert len(every) == len(RANKINGS[1].texts) and all(w.startswith(t) for w, t in zip(words, TEXTS, strict=False))


def test_thumbs_have_no_pairs(lm: CausalLM) -> None:
    rows = tuple(Judged(asked(f"q {i}"), f"answer {i}", i % 3 > 0) for i in range(8))
    ctx = Context(lm, Split("preference", rows, rows[:3]))
    for name, objective in {"dpo": Dpo(), "orpo": Orpo(), "reward": Reward()}.items():
        said = objective.refuses(ctx)
        assert said and said.startswith(f"{name} learns from answers that were compared")
        assert objective.refuses(Context(lm, DATA)) is None
    assert Kto().refuses(ctx) is None
    assert len(Sft().encode(lm, ctx.data, rows)) == sum(row.good for row in rows)
    assert len(Sft(answers="all").encode(lm, ctx.data, rows)) == len(rows)
