"""Optimisers by name, and learning rates by schedule."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import tiny
from looping import loop_on, trained
from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.core.schedules import SCHEDULES, cosine, wsd
from luthier.io.config import Recipe, plain, recipe_from, to_yaml
from luthier.models.causal import CausalLM
from luthier.patches.full import Full

ALL = sorted(plugins.members("optimizers"))


def test_muon_makes_hidden_steps_orthogonal_and_leaves_the_rest_to_adamw(lm: CausalLM) -> None:
    """A step of a matrix is a multiple of one whose singular values are near 1; others are as AdamW takes them."""
    before = {name: p.detach().clone() for name, p in lm.model.named_parameters()}
    steps = {}
    for name in ("adamw", "muon"):
        with loop_on(tiny.fresh(Path(lm.name)), patch=Full(), optimizer=name, warmup=0.0, clip=0.0, epochs=0.5) as loop:
            assert loop.run().steps == 1
            steps[name] = {key: p.detach() - before[key] for key, p in loop.executor.params.items()}
    hidden = {key for key in before if ".layers." in key and before[key].ndim == 2}
    assert hidden and hidden < set(before)
    for key in steps["muon"]:
        if key in hidden:
            scale = 0.01 * 0.2 * math.sqrt(max(before[key].shape))
            values = torch.linalg.svdvals(steps["muon"][key] / scale)
            assert float(values[: len(values) // 2].min()) > 0.6 and float(values.max()) < 1.4, key  # of few tokens
        else:
            torch.testing.assert_close(steps["muon"][key], steps["adamw"][key])


@pytest.mark.parametrize("name", ALL)
def test_a_killed_run_goes_on_bit_for_bit(name: str, lm: CausalLM, tmp_path: Path) -> None:
    class Killed(Exception):  # noqa: N818
        """Stands for a kill."""

    whole = trained(tiny.fresh(Path(lm.name)), patch=Full(), optimizer=name)
    with loop_on(tiny.fresh(Path(lm.name)), patch=Full(), optimizer=name, folder=tmp_path) as loop:

        def stop(report: object) -> None:
            if loop.done.steps == 4:
                loop.save()
                raise Killed

        loop.say = stop
        with pytest.raises(Killed):
            loop.run()
    assert tiny.same(whole, trained(tiny.fresh(Path(lm.name)), patch=Full(), optimizer=name, folder=tmp_path))


def test_an_optimizer_that_is_none_is_named() -> None:
    with pytest.raises(LuthierError, match=r"training\.optimizer: muno is no optimizer, did you mean muon\?"):
        recipe_from({"training": {"optimizer": "muno"}})


def test_recipes_of_before_are_written_as_before() -> None:
    assert not {"optimizer", "schedule", "decay"} & set(plain(Recipe())["training"])
    given = recipe_from({"training": {"optimizer": "muon", "schedule": "wsd", "decay": 0.1}})
    assert all(line in to_yaml(given) for line in ("optimizer: muon", "schedule: wsd", "decay: 0.1"))


def test_schedules_by_hand() -> None:
    assert [wsd(share, 0.1, 0.2) for share in (0.0, 0.05, 0.1, 0.5, 0.8)] == [0.1, 0.5, 1.0, 1.0, 1.0]
    assert wsd(0.85, 0.1, 0.2) == pytest.approx(0.55) and wsd(1.0, 0.1, 0.2) == pytest.approx(0.1)
    assert cosine(0.55, 0.1, 0.0) == pytest.approx(0.55) and cosine(1.0, 0.1, 0.0) == pytest.approx(0.1)
    assert SCHEDULES["constant"](0.9, 0.1, 0.2) == 1.0 and SCHEDULES["constant"](0.01, 0.1, 0.2) == 0.1
    for one in SCHEDULES.values():
        values = [one(at / 100, 0.05, 0.2) for at in range(101)]
        assert max(values) == 1.0 and min(values) >= 0.1 - 1e-12


def test_a_schedule_of_the_recipe_goes_before_the_objective_s_own(lm: CausalLM) -> None:
    rates: list[float] = []
    with loop_on(lm, schedule="wsd", decay=0.5, warmup=0.0) as loop:
        loop.say = lambda report: rates.append(report.learning_rate)
        loop.run()
    assert rates[0] == rates[len(rates) // 3] == 0.01 and rates[-1] < 0.005
