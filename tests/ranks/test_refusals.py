"""What several processes do not do is refused with what would fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from luthier.cli import main
from luthier.core.errors import LuthierError, Refused
from luthier.models import machine
from luthier.patches.lora import Lora
from luthier.patches.prefix import Prefix
from luthier.patches.qlora import Qlora
from luthier.training.ranks import pipeline, tensor


def test_heads_that_do_not_part_evenly_name_what_would(tiny_folder: Callable[[str], Path]) -> None:
    """The tiny model has 4 heads and 2 key-value heads."""
    lm = tiny.fresh(tiny_folder("llama_tied"))
    assert tensor.refusal(lm, 2) is None
    assert "what would: 1, 2" in str(tensor.refusal(lm, 4)) and "2 key-value heads" in str(tensor.refusal(lm, 4))
    assert "GPT2LMHeadModel" in str(tensor.refusal(tiny.fresh(tiny_folder("gpt2")), 2))


@pytest.mark.parametrize(
    ("patch", "said"),
    [(Lora(dora=True), "DoraLinear"), (Qlora(), "Nf4Linear"), (Prefix(), "learned prefix")],
    ids=lambda x: type(x).__name__,
)
def test_layers_that_cannot_be_cut(patch: Any, said: str, tiny_folder: Callable[[str], Path]) -> None:
    """Seen failing with 4-bit layers, which have no parameter: they stayed whole beside factors that were cut."""
    lm = tiny.fresh(tiny_folder("llama_tied"))
    patch.attach(lm)
    with pytest.raises(Refused, match=said):
        tensor.cut(lm, 0, 2)


def test_stages_are_no_more_than_blocks() -> None:
    assert [(p.low, p.high, p.owner) for p in pipeline.pieces(4, 2, 2)] == [(0, 1, 0), (1, 2, 1), (2, 3, 0), (3, 4, 1)]
    assert [(p.low, p.high) for p in pipeline.pieces(3, 2, 1)] == [(0, 1), (1, 3)]
    with pytest.raises(Refused, match="4 stages are more than the 3 blocks"):
        pipeline.pieces(3, 2, 2)


def test_copies_part_the_ranks_evenly() -> None:
    from luthier.io.config import ParallelConfig, recipe_from

    assert ParallelConfig(data=4, replicate=2, tensor=2, pipeline=3).size == 24
    with pytest.raises(LuthierError, match=r"parallel\.replicate"):
        recipe_from({"parallel": {"data": 4, "replicate": 3}})


def test_other_commands_are_for_one_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of eight would compare by itself, in one folder."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setattr("sys.argv", ["luthier", "compare", "tickets"])
    with pytest.raises(SystemExit):
        main()
    assert "luthier compare is for one process" in capsys.readouterr().err


def test_ranks_share_the_cores_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight of eight threads each would wait for each other most of the time."""
    import torch

    before = torch.get_num_threads()
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    try:
        assert machine.threads() == 2 and machine.threads(3) == 3
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
        assert machine.threads() == 1
    finally:
        torch.set_num_threads(before)
