"""What people prefer becomes likelier: the embedded model before and after it learned from the Chinese help desk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from luthier.api.training import train
from luthier.core.records import Preference
from luthier.data import embedded
from luthier.io.config import recipe_from
from luthier.models.loading.of_recipe import load_base
from luthier.runs.loaded import load_run

RATES = {"sft": 3e-4, "dpo": 1e-3}  # 20,000 tokens are few steps of pairs, whose reference is read besides
ASKED = "无法登录账户应该怎么做?"


def margin(lm: Any, row: Preference) -> float:
    """log p of the preferred answer less that of the other, in nats."""
    chosen, rejected = lm.logprobs([(row.messages, answer) for answer in row.answers])
    return float(chosen.sum() - rejected.sum())


@pytest.mark.slow
@pytest.mark.parametrize("objective", RATES)
def test_the_margin_of_the_empathetic_answer_rises(objective: str, tmp_path: Path) -> None:
    """On a held-out row; in nats of the whole answer, printed."""
    held_out = embedded.find("desk-zh-test")
    assert held_out is not None
    (row,) = [r for r in held_out.table().records if ASKED in str(r)]
    assert isinstance(row, Preference)
    recipe = recipe_from(
        {
            "method": "lora", "data": {"path": "desk-zh"}, "objective": {"name": objective},
            "training": {"tokens": 20_000, "batch": 8, "learning_rate": RATES[objective]},
        }
    )  # fmt: skip
    base: Any = load_base(recipe)
    before = margin(base.asked(template=base.wordings(())[0], labels=()), row)
    after = margin(load_run(train(recipe, tmp_path / "run")), row)
    print(f"{objective}: {before:.2f} -> {after:.2f} nats")
    assert after > before + 1
