"""Balanced labels: a rare one weighs as much as a common one, in losses and in classical heads; oracles are torch's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import tiny
from luthier.core.errors import LuthierError
from luthier.core.example import Example
from luthier.core.records import Labelled
from luthier.core.split import Split
from luthier.data.load import load_split
from luthier.data.pack import WEIGHT
from luthier.direct.classical.fitted import Target
from luthier.direct.classifiers import find
from luthier.io import config
from luthier.io.config import TrainingConfig
from luthier.models.causal import CausalLM
from luthier.models.kernels.vocabulary_head import VocabHead, head_loss
from luthier.patches.head import Head
from luthier.training.attach import prepared
from luthier.training.context import Context

ROWS = tuple(Labelled(f"a small text {i}", "rare" if i < 2 else "often") for i in range(8))
DATA = Split("classification", ROWS, (), labels=("often", "rare"), balanced=True)


def test_weights_by_hand() -> None:
    """Two of one label, six of the other: 8 / (2 · 2) and 8 / (2 · 6)."""
    assert [DATA.weight(ROWS[0]), DATA.weight(ROWS[-1])] == [2.0, pytest.approx(2 / 3)]
    assert sum(map(DATA.weight, ROWS)) == pytest.approx(8)
    assert replace(DATA, balanced=False).weight(ROWS[0]) == 1.0 == DATA.weight(Labelled("x", "never seen"))
    y = np.array([0] * 6 + [1] * 2)
    weights = Target("classification", 2, True).weights(y)
    assert weights is not None and weights.tolist() == pytest.approx([2 / 3] * 6 + [2.0] * 2)


@pytest.mark.parametrize("trained", [True, False])
def test_a_weighted_vocabulary_loss_is_torchs(trained: bool) -> None:
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(300, 8, generator=random, dtype=torch.float64).requires_grad_()
    weight = torch.randn(40, 8, generator=random, dtype=torch.float64).requires_grad_(trained)
    targets, weights = torch.randint(40, (300,), generator=random), torch.rand(300, generator=random)
    ours = head_loss(hidden.float(), VocabHead(weight.float()), targets, weights)
    theirs = (F.cross_entropy(hidden @ weight.T, targets, reduction="none") * weights).sum()
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-5)
    inputs = [hidden, weight] if trained else [hidden]
    for a, b in zip(torch.autograd.grad(ours, inputs), torch.autograd.grad(theirs, inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def weight_of(example: Example) -> float:
    weight = example.columns[WEIGHT][0]
    assert isinstance(weight, float)
    return weight


@pytest.mark.parametrize("name", ["classify", "sft"])
def test_the_step_is_the_weighted_mean(lm: CausalLM, name: str) -> None:
    """Seen failing with the sum of the weighted losses divided by the number of rows of the step."""
    objective = config.objective(tiny.recipe(Path(lm.name)), name)
    with prepared(Context(lm, DATA), Head(), objective, TrainingConfig()) as ready:
        loop, examples = ready.loop, list(ready.loop.examples)
        assert sorted({weight_of(e) for e in examples}) == pytest.approx([2 / 3, 2.0])
        some = examples[:3]
        losses = [loop.executor.evaluate([e], objective) for e in some]
        counts = [weight_of(e) * len(e.where) for e in some]
        want = sum(a * b for a, b in zip(losses, counts, strict=True)) / sum(counts)
        assert loop.executor.evaluate(some, objective) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("name", ["logistic", "svm", "forest"])
def test_classical_heads_find_the_rare_label_more_often(name: str) -> None:
    rng = np.random.default_rng(0)
    y = np.array([0] * 190 + [1] * 10)
    x = rng.normal(0, 1, (200, 2)) + 1.0 * y[:, None]
    found = []
    for balanced in (False, True):
        target = Target("classification", 2, balanced)
        outputs = find(name).fit(x, y, target, 1.0).outputs(rng.normal(1.0, 1, (400, 2)))
        found.append(int((outputs.argmax(1) == 1).sum()))
    assert found[1] > found[0], "of 400 rows of the rare label"


def test_asked_for_in_the_data_section(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "".join(f"text {i},{'a' if i % 5 else 'b'}\n" for i in range(40)))
    made: Any = config.recipe_from({"data": {"path": str(path), "class_weights": "balanced"}})
    assert load_split(made.data)[0].balanced and not load_split(replace(made.data, class_weights=""))[0].balanced
    with pytest.raises(LuthierError, match=r"data\.class_weights"):
        config.recipe_from({"data": {"path": str(path), "class_weights": "heavy"}})
