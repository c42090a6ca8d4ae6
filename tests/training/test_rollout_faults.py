"""PPO and GRPO: rewards that fail, policies that go too far, damaged files, budgets too small."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.core.errors import LuthierError, Refused
from luthier.core.records import Asked, Message, Record
from luthier.io.config import TrainingConfig
from luthier.io.samples_file import read_samples, write_samples
from luthier.models.causal import CausalLM
from luthier.objectives.ppo import Ppo
from luthier.objectives.sampling.drawing import judged
from luthier.patches.lora import Lora
from luthier.training.attach import prepared
from luthier.training.context import Context
from policies import KINDS, PROMPTS, Vowels, every_kind, ppo, ready


class Picky(Vowels):
    """Cannot judge answers with an e; remembers how often it was asked."""

    asked = 0

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        self.asked += 1
        if any("e" in answer for answer in answers):
            raise LuthierError("no e please")
        return super().score(prompts, answers, records)


def test_one_bad_answer_is_left_out() -> None:
    rows = [Asked((Message("user", "q"),))] * 3
    numbers, failed = judged(Picky(), ["q"] * 3, ["ab", "be", "ai"], rows)
    assert numbers == [0.2, None, 0.4] and failed == ["no e please"]
    assert judged(Picky(), [], [], []) == ([], [])


def test_a_reward_that_is_dead_is_not_asked_for_all() -> None:
    """Seen failing with a server that is down asked for each of many answers, each with its own retries."""
    reward = Picky()
    with pytest.raises(LuthierError, match="no e please"):
        judged(reward, ["q"] * 50, ["e"] * 50, [Asked((Message("user", "q"),))] * 50)
    assert reward.asked == 9


def test_numbers_that_are_none_are_left_out() -> None:
    class Lost(Vowels):
        def score(self, prompts: Any, answers: Sequence[str], records: Any) -> list[float]:
            return [math.nan if answer == "x" else 1.0 for answer in answers]

    assert judged(Lost(), ["q"] * 2, ["x", "y"], [Asked((Message("user", "q"),))] * 2)[0] == [None, 1.0]


@every_kind
def test_a_run_outlives_answers_that_cannot_be_judged(lm: CausalLM, kind: str) -> None:
    class Half(Vowels):
        def score(self, prompts: Any, answers: Sequence[str], records: Any) -> list[float]:
            if any(len(answer) % 3 == 0 for answer in answers):
                raise LuthierError("odd")
            return super().score(prompts, answers, records)

    with ready(lm, KINDS[kind](), reward=Half()) as found:
        found.loop.run()
        assert found.loop.done.steps > 3
        (note,) = found.ctx.notes
        assert str(note).endswith("answers that the reward could not judge were left out; the first: odd")


def test_training_stops_where_the_policy_has_gone_too_far(lm: CausalLM) -> None:
    with ready(lm, ppo(stop=0.5, beta=0.0), learning_rate=0.05, tokens=100_000) as found:
        found.loop.run()
        assert found.loop.spent < 90_000 and "beyond stop=0.5" in str(found.ctx.notes[-1])


def test_an_adaptive_beta_by_hand() -> None:
    """KL 9 where 6 is wanted: the error 0.5 counts as 0.2; 32 answers of a horizon of 10,000."""
    objective = Ppo(beta=0.05, target=6.0)
    objective._adapt(9.0, 32)
    assert objective.held == pytest.approx(0.05 * (1 + 0.2 * 32 / 10_000))
    objective._adapt(6.6, 100)
    assert objective.held == pytest.approx(0.05 * (1 + 0.2 * 32 / 10_000) * (1 + 0.1 * 100 / 10_000))
    other = Ppo(beta=0.05, target=6.0)
    other.load_state(json.loads(json.dumps(objective.state())))
    assert other.held == objective.held and Ppo().held == 0.05


def test_an_answer_without_an_end_loses_its_penalty(lm: CausalLM) -> None:
    """No reward, no KL, a critic that knows nothing but is said to: the return of the last token is what it gets."""

    class Nothing(Vowels):
        def score(self, prompts: Any, answers: Sequence[str], records: Any) -> list[float]:
            return [0.0] * len(answers)

    with ready(lm, ppo(penalty=1.0), reward=Nothing()) as found:
        found.loop.objective._kept["knows"] = True
        chosen = next(found.loop.objective.batches(found.ctx, found.loop.examples, 8, found.loop.cursor))
        ended = [e.targets[-2] in lm.ends.tokens for e in chosen]
        returns = [e.columns["return"][-2] for e in chosen]
    assert returns == pytest.approx([0.0 if end else -1.0 for end in ended], abs=1e-5) and not all(ended)


def test_early_stop_has_nothing_to_look_at(lm: CausalLM) -> None:
    with ready(lm, ppo()) as found, pytest.raises(LuthierError, match="who learns from a reward has `stop` instead"):
        found.loop.evaluate(found.loop.examples)


def test_a_learning_rate_is_judged_by_reward_at_bounded_distance(lm: CausalLM) -> None:
    rows = PROMPTS.train[:4]
    with ready(lm, ppo(beta=0.0)) as found:
        loop: Any = found.loop
        value = loop.validate(rows)
        assert -1 <= value <= 0 and loop.validate(rows) == value, "the same answers each time"
    with ready(lm, ppo(beta=0.0, stop=1e-6), learning_rate=0.05) as found:
        found.loop.run()
        assert found.loop.validate(rows) == math.inf


@settings(max_examples=25)
@given(st.binary(max_size=60))
def test_a_damaged_file_of_samples_is_read_as_far_as_it_is_whole(tmp_path_factory: Any, end: bytes) -> None:
    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder, 0, [{"answer": "一"}])
    write_samples(folder, 1, [{"answer": "b"}] * 9)
    write_samples(folder, 1, [{"answer": "c"}] * 9)
    assert [len(found["samples"]) for found in read_samples(folder)] == [1, 6]
    path = folder / "samples.jsonl"
    path.write_bytes(path.read_bytes() + end)
    assert [found["samples"][0]["answer"] for found in read_samples(folder)][:2] == ["一", "c"]


def test_a_budget_that_holds_no_rollout_says_what_one_takes(lm: CausalLM) -> None:
    with (
        ready(lm, ppo(), tokens=500) as found,
        pytest.raises(LuthierError, match=r"500 tokens does not hold one step \(about "),
    ):
        found.loop.run()


def test_who_needs_no_reward_refuses_one(lm: CausalLM) -> None:
    ctx = Context(lm, PROMPTS)
    with pytest.raises(Refused, match="ppo needs a reward"), prepared(ctx, Lora(), ppo(), TrainingConfig()):
        pass
