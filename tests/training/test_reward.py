"""A reward model: its loss by hand, what it learns, and that its numbers are centred."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import luthier
import tiny
from luthier.core.errors import LuthierError
from luthier.core.metric import for_task
from luthier.core.records import Message
from luthier.data.pack import pack
from luthier.io import config
from luthier.io.files import write_text
from luthier.models.causal import CausalLM
from luthier.models.outputs import Outputs
from luthier.objectives.reward import Reward
from luthier.runs import run
from luthier.runs.loaded import load_run, reward_of
from luthier.training.context import Meter
from preferring import DATA, PAIRS, every_patch, nudged, ready


def test_reward_loss_by_hand(lm: CausalLM) -> None:
    """-log σ(r - r' - margin) of each pair, from the head's own numbers; every pair in one group."""
    with ready(lm, Reward(margin=0.5)) as found:
        loop = found.loop
        nudged(loop, 0.3)
        got = loop.executor.forward_backward(loop.examples[:6], loop.objective)
        batch = pack(loop.examples[:6], {})
        with torch.no_grad():
            r = Outputs(loop.lm.read(batch), loop.lm, batch.targets).head("reward")[:, 0]
        want = [math.log1p(math.exp(-float(r[i] - r[i + 1] - 0.5))) for i in (0, 2, 4)]
        assert got.total == pytest.approx(sum(want) / 3, abs=1e-5)
        assert got.metrics["accuracy"] == pytest.approx(sum(float(r[i] > r[i + 1]) for i in (0, 2, 4)) / 3)


@every_patch
def test_reward_learns_and_is_centred(lm: CausalLM, patch: str, tmp_path: Path) -> None:
    """Saved and loaded it tells the training pairs, by the numbers of training; preferred answers have 0 on average."""
    options: dict[str, Any] = {"prefix": {"n": 3}, "lora": {"rank": 2}}.get(patch, {})
    training = {"tokens": 10**6, "epochs": 12, "learning_rate": 0.1 if patch == "prefix" else 0.01, "batch": 4}
    objective = {"name": "reward"}
    recipe = tiny.recipe(Path(lm.name), patch, patch=options, objective=objective, training=training)
    with run.adapted(lm, recipe, DATA, tmp_path) as outcome:
        want = for_task("preference").scores(outcome.lm, DATA, DATA.train)
        run.save_adapted(outcome, tmp_path)
    write_text(tmp_path / "recipe.yaml", config.to_yaml(recipe))
    again = load_run(tmp_path)
    got = for_task("preference").scores(again, DATA, DATA.train)
    assert got.per_row == want.per_row and got.score > 0.8 and got.secondary["pair_margin"] > 0.5
    said: Any = [(*r.messages, Message("assistant", r.chosen)) for r in PAIRS[:8]]
    assert float(again.predict(said, ()).mean()) == pytest.approx(0, abs=1e-4)


def test_a_reward_run_judges_answers_and_nothing_else(lm: CausalLM, tmp_path: Path) -> None:
    """Seen failing: it gave a number for the prompt alone, and judged answers as texts that it had not learned from."""
    training = {"tokens": 3000, "epochs": 2, "learning_rate": 0.01}
    recipe = tiny.recipe(Path(lm.name), "lora", objective={"name": "reward"}, training=training)
    with run.adapted(lm, recipe, DATA, tmp_path) as outcome:
        run.save_adapted(outcome, tmp_path)
    write_text(tmp_path / "recipe.yaml", config.to_yaml(recipe))
    again, meter = load_run(tmp_path), Meter()
    judge = reward_of(tiny.recipe(Path(lm.name), "lora", reward=str(tmp_path)), meter)
    assert judge is not None
    answered: Any = [(*r.messages, Message("assistant", r.chosen)) for r in PAIRS[:3]]
    want = again.predict(answered, ())[:, 0].tolist()
    assert judge.score([r.messages for r in PAIRS[:3]], [r.chosen for r in PAIRS[:3]], []) == want
    assert judge.score([PAIRS[0].messages[0].content], [PAIRS[0].chosen], []) == pytest.approx(want[:1])
    assert meter.by["reward"] > 0
    with pytest.raises(LuthierError, match=r"numbers for answers, not for texts: use luthier eval RUN PAIRS"):
        luthier.load(tmp_path).values("where is order 3?")
