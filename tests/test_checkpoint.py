"""What is kept of a run: checkpoints that are damaged, foreign or do not fit on the disk, and lines of metrics."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from looping import loop_on, trained
from luthier.core.errors import LuthierError
from luthier.core.progress import Report
from luthier.io.metrics_file import read_metrics
from luthier.models.causal import CausalLM
from luthier.patches.lora import Lora
from luthier.training.loop import Loop


class Killed(Exception):  # noqa: N818
    """Stands for a kill."""


def killed(lm: CausalLM, folder: Path, saved: int = 4, last: int = 6) -> None:
    """A run that is ended after step `last`, with a checkpoint after step `saved`."""

    def say(loop: Loop, step: int) -> None:
        if step == saved:
            loop.save()
        if step == last:
            raise Killed

    with loop_on(lm, folder=folder) as loop:
        loop.say = lambda report: say(loop, report.step)
        with pytest.raises(Killed):
            loop.run()


def state(folder: Path) -> Path:
    return sorted((folder / "checkpoint").iterdir())[-1]


def resumed(lm: CausalLM, folder: Path, **settings: Any) -> dict[str, torch.Tensor]:
    return trained(tiny.fresh(Path(lm.name)), folder=folder, **settings)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def foreign(path: Path) -> None:
    save_file(load_file(path), path)


@pytest.mark.parametrize(
    "damage", [half, foreign, lambda path: path.write_bytes(b""), lambda p: p.write_bytes(b"x" * 99)]
)
def test_a_damaged_checkpoint_is_named(lm: CausalLM, damage: Any, tmp_path: Path) -> None:
    """And the run begins anew without it. Seen failing with what safetensors raises."""
    killed(lm, tmp_path)
    damage(state(tmp_path))
    with pytest.raises(LuthierError) as error:
        resumed(lm, tmp_path)
    said = f"{state(tmp_path)}: the checkpoint is damaged"
    assert said in str(error.value) and f"remove {tmp_path / 'checkpoint'}" in str(error.value)
    state(tmp_path).unlink()
    assert tiny.same(trained(lm), resumed(lm, tmp_path))


def test_a_checkpoint_of_another_recipe(lm: CausalLM, tmp_path: Path) -> None:
    """Another budget, other matrices, another rank. Seen failing with names compared without shapes."""
    killed(lm, tmp_path)
    for other in ({"epochs": 4}, {"patch": Lora(rank=2, targets="q_proj")}, {"patch": Lora(rank=1)}):
        with pytest.raises(LuthierError, match="belongs to another recipe: give this run another folder"):
            resumed(lm, tmp_path, **other)


def test_metrics_have_one_line_a_step_after_a_resume(lm: CausalLM, tmp_path: Path) -> None:
    """Seen failing with a file that is only appended to."""
    trained(lm, folder=tmp_path / "unbroken")
    killed(lm, tmp_path)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 7, "tok')  # what a kill in the middle of a line leaves
    assert [m["step"] for m in read_metrics(path)] == [1, 2, 3, 4, 5, 6]
    resumed(lm, tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [m["step"] for m in lines] == list(range(1, 10))
    for name in ("tokens", "loss", "learning_rate", "grad_norm", "progress"):
        assert [m[name] for m in lines] == [m[name] for m in read_metrics(tmp_path / "unbroken" / "metrics.jsonl")]


def test_a_full_disk_leaves_the_checkpoint_before(
    lm: CausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with a checkpoint written in place."""
    killed(lm, tmp_path)
    kept = state(tmp_path).read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fresh = loop_on(tiny.fresh(Path(lm.name)), folder=tmp_path)
    with fresh as loop, monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):

        def out_of_space(_: Report) -> None:
            patched.setattr(os, "fsync", full)
            loop.save()

        loop.say = out_of_space
        loop.run()
    assert state(tmp_path).read_bytes() == kept and list((tmp_path / "checkpoint").iterdir()) == [state(tmp_path)]
    assert tiny.same(trained(lm), resumed(lm, tmp_path))
