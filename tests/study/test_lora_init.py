"""The four starts: what the textbooks say of them is found on a tiny model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor


@pytest.fixture
def runs(studied: Any) -> dict[str, Any]:
    result, _, _ = studied("lora-init")
    assert not result.models[0].failed
    return dict(result.models[0].runs)


def test_both_zero_never_moves(runs: dict[str, Any]) -> None:
    """Seen failing with `zero_zero` begun as `gauss_zero`."""
    for run in runs["zero_zero"]:
        assert run["a"] == run["b"] == [0.0] * 5
        assert run["moved"] == 0 and run["distance"] == [0.0, 0.0]


def test_both_random_differs_from_the_base_at_step_0(runs: dict[str, Any]) -> None:
    """Seen failing with the distance taken with the patch off on both sides."""
    assert all(run["distance"][0] > 0.01 for run in runs["gauss_gauss"])
    for name in ("gauss_zero", "zero_zero", "zero_gauss"):
        assert all(run["distance"][0] < 1e-5 for run in runs[name]), name


def test_in_the_usual_start_a_waits_for_b(runs: dict[str, Any]) -> None:
    """Seen failing with the norms of A and B exchanged."""
    for run in runs["gauss_zero"]:
        assert run["a"][0] == 0 < run["b"][0]
        assert all(run["a"][1:]) and all(run["b"]) and run["distance"][1] > 0
    for run in runs["zero_gauss"]:
        assert run["b"][0] == 0 < run["a"][0] and all(run["b"][1:])


def test_gradient_norms_are_those_before_clipping(lm: Any, rows: Any) -> None:
    """Against autograd on the first step, with a clip that bites. Seen failing without undoing the clip."""
    from luthier.data.load import load_split
    from luthier.io.config import DataConfig
    from luthier.study.bench import Bench
    from luthier.study.studies.lora_init import Watched, gradients
    from luthier.study.study import Arm

    split, _ = load_split(DataConfig(str(rows)))
    patch = Watched(rank=4, start="gauss_gauss")
    with Bench(lm, split, 800, 4).session(Arm("x", {"rank": 4}), 0, patch) as session:
        loop = session.loop
        first = next(loop.objective.batches(loop.ctx, loop.examples, 4, type(loop.cursor)(0)))
        loop.executor.forward_backward(first, loop.objective)
        want = [norm(loop.executor.masters, end) for end in (".a", ".b")]
        loop.executor.optimizer.zero_grad()
        object.__setattr__(loop.training, "clip", 0.01 * want[0])
        session.train()
        found = gradients(patch, session)
    assert [found[0][0], found[1][0]] == pytest.approx(want, rel=1e-4)


def norm(params: dict[str, Tensor], end: str) -> float:
    """Of the gradients of all parameters whose name ends so."""
    grads = [p.grad for n, p in params.items() if n.endswith(end) and p.grad is not None]
    return float(torch.cat([g.flatten() for g in grads]).norm())


def test_what_is_said(studied: Any) -> None:
    _, found, _ = studied("lora-init")
    verdicts = {c.says.text()[:12]: c.verdict for c in found.claims}
    assert list(verdicts.values())[:3] == ["agrees"] * 3, verdicts
    assert found.claims[3].source == "Hayou et al. 2024"
    assert "Both at zero never moves" in found.sentence.text() and "从不移动" in found.sentence.text("zh")
    assert len(found.charts) == 3
