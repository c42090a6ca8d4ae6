"""Placements: the right matrices by architecture, and equal trained numbers."""

from __future__ import annotations

from typing import Any

import pytest

import tiny
from luthier.core.errors import LuthierError
from luthier.study.studies.lora_targets import LoraTargets, equal_ranks, places, shapes_of, trained

# SmolLM2's block: 576 wide, keys and values 192, feed-forward 1,536
SHAPES = {
    f"b.{i}.{name}": shape
    for i in range(2)
    for name, shape in {"q": (576, 576), "k": (192, 576), "v": (192, 576), "o": (576, 576), "up": (1536, 576),
                        "down": (576, 1536)}.items()
}  # fmt: skip


def chosen(*names: str) -> list[str]:
    return [path for path in SHAPES if path.rsplit(".", 1)[1] in names]


def test_ranks_make_the_counts_equal() -> None:
    """By hand: 2 · (576 + 576) numbers a rank on q. Seen failing with the widest side alone counted."""
    assert trained(chosen("q"), SHAPES, 3) == 3 * 2 * 1152
    arms = {"q": chosen("q"), "k": chosen("k"), "q+v": chosen("q", "v"), "all": list(SHAPES)}
    ranks, off = equal_ranks(arms, SHAPES, 2)
    counts = {n: trained(paths, SHAPES, ranks[n]) for n, paths in arms.items()}
    assert off <= 0.02 and max(counts.values()) / min(counts.values()) <= 1.04
    assert off == pytest.approx(max(abs(c / counts["all"] - 1) for c in counts.values()))


def test_too_small_a_matrix_is_said() -> None:
    shapes = {"b.0.k": (1, 8), "b.0.up": (64, 64)}
    with pytest.raises(LuthierError, match="above its size"):
        equal_ranks({"k": ["b.0.k"], "all": list(shapes)}, shapes, 1)


@pytest.mark.parametrize("lm", tiny.KINDS, indirect=True)
def test_every_architecture_has_its_places(lm: Any) -> None:
    """The pairs and wholes add up, nothing is in attention and in the feed-forward, `targets` picks exactly these."""
    shapes = shapes_of(lm)
    found = places(lm, shapes)
    assert sorted(found["attention"] + found["ffn"]) == sorted(found["all"]) == sorted(shapes)
    assert (
        found["attention"] and found["ffn"] and not any("mlp" in p or "intermediate" in p for p in found["attention"])
    )
    fused = "gpt2" in type(lm.model).__name__.lower()
    assert bool(found["wqkv"]) == fused and bool(found["wq"]) != fused
    if not fused:
        assert sorted(found["wq+wv"]) == sorted(found["wq"] + found["wv"])
        assert not any("up_proj" in p for p in found["wq"])
    arms, notes = LoraTargets(rank=1).arms(lm)
    from luthier.patches.lora import Lora

    for arm in arms:
        patch = Lora(**arm.options)
        groups = patch.attach(lm)
        wrapped = {n.rsplit(".", 1)[0] for n in groups[0].names}
        count = sum(lm.model.get_parameter(n).numel() for n in groups[0].names)
        patch.detach(lm)
        assert wrapped == set(found[arm.name]) and count == arm.facts["trained"], arm.name
    assert any("Trained numbers differ" in n.text() for n in notes)
    assert fused == any("wq" in n.text() for n in notes)


def test_a_wrong_name_is_said(lm: Any) -> None:
    with pytest.raises(LuthierError, match="there is no 'wx'; known: wq"):
        LoraTargets(placements=("wx",)).arms(lm)


def test_the_study(studied: Any) -> None:
    result, found, _ = studied("lora-targets", placements=("wq", "wv", "wq+wk", "wq+wv", "attention", "ffn", "all"))
    on = result.models[0]
    assert not on.failed and list(on.runs) == ["wq", "wv", "wq+wk", "wq+wv", "attention", "ffn", "all"]
    for name, runs in on.runs.items():
        assert runs[0]["trainable"] == on.arm(name).facts["trained"]
    assert {c.source for c in found.claims} == {"Hu et al. 2021", "Dettmers et al. 2023"}
    assert len(found.tables[0].rows) == 7 and found.charts[0]["kind"] == "forest"
