"""What ends a training in the middle: a rate that diverges, a shard that goes, a full disk.

What was good stays, and the same command goes on from it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from looping import loop_on, trained
from luthier import api
from luthier.core.errors import Diverged, LuthierError
from luthier.core.split import Split
from luthier.data import token_files
from luthier.data.stream import Stream
from luthier.io.config import TrainingConfig
from luthier.io.files import read_json
from luthier.models.causal import CausalLM
from luthier.objectives.lm import Lm
from luthier.patches.full import Full
from luthier.training.attach import Ready, prepared
from luthier.training.context import Context

STEPS = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stream of two shards."""
    random = np.random.default_rng(0)
    for at in range(2):
        ids, ends = random.integers(5, 300, 240), np.arange(24, 241, 24)
        token_files.write_shard(tmp_path / "mix" / "tokens", at, ids, ends, "uint16")
    token_files.finish(tmp_path / "mix" / "tokens", 2, "uint16", vocabulary=300)
    return tmp_path / "mix"


def run(
    lm: CausalLM, folder: Path, run_folder: Path | None, at: int = 0, harm: Callable[[Ready], None] | None = None,
    **settings: Any,
) -> Ready:  # fmt: skip
    """Training on the stream, harmed after a step; gives the loop as it is then, at its end."""
    values = {"tokens": 24 * STEPS, "batch": 1, "learning_rate": 0.001} | settings
    data = Split("text", (), (), stream=Stream(folder))
    with prepared(
        Context(tiny.fresh(Path(lm.name)), data, seed=0), Full(), Lm(max_length=24), TrainingConfig(**values),
        folder=run_folder,
    ) as ready:  # fmt: skip

        def say(_: object) -> None:
            if ready.loop.done.steps == at - 1:
                ready.loop.save()
            if harm and ready.loop.done.steps == at:
                harm(ready)

        ready.loop.say = say
        ready.loop.run()
        return ready


def grown(part: str, times: float) -> Callable[[Ready], None]:
    """What steps at too high a rate do: weights that are too large, all of them finite."""

    def harm(ready: Ready) -> None:
        for name, p in ready.loop.executor.masters.items():
            if part in name:
                p.data.mul_(times)
        ready.loop.save()

    return harm


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (grown("embed", 1e2), r"step 14: the loss is \d{3}\.\d* .* as bad for 8 steps: training diverged"),
        (grown("embed", 1e20), r"step 14: the loss is 5\.\d* and the gradient norm 0\.0, .* as bad for 8 steps"),
        (grown("", 1e15), r"step 7: the loss is nan and the gradient norm nan, and so it is for each of the training"),
    ],
    ids=["a loss that is finite", "activations that overflow to nothing", "no number"],
)
def test_a_rate_that_diverges_ends_the_run(
    harm: Callable[[Ready], None], said: str, lm: CausalLM, folder: Path, tmp_path: Path
) -> None:
    """The weights that it left are kept nowhere, those before are; a lower rate goes on from them. Seen failing with
    the checkpoint of the bad step for the newest, and with no end at all where the loss stays finite."""
    with pytest.raises(Diverged, match=said) as error:
        run(lm, folder, tmp_path / "run", 6, harm, batch=2, tokens=48 * STEPS)
    assert "lower training.learning_rate" in str(error.value)
    kept = sorted((tmp_path / "run" / "checkpoint").iterdir())
    assert [path.name for path in kept] == ["state-00000005.safetensors"]
    ready = run(lm, folder, tmp_path / "run", batch=2, tokens=48 * STEPS, learning_rate=0.0005)
    assert ready.loop.done.steps == STEPS and ready.loop.done.loss < 7
    assert "training.learning_rate was 0.001 up to step 5 and is 0.0005 from there on" in ready.ctx.notes


def test_a_run_that_diverged_goes_on_at_a_lower_rate_by_the_same_command(lm: CausalLM, tmp_path: Path) -> None:
    """Another change of the recipe is refused, and so is any once the run is finished."""
    held = tmp_path / "held.txt"
    held.write_text("where is my parcel, the box never came\n\n" * 30)
    token_files.write_shard(tmp_path / "mix", 0, np.arange(5, 245), np.arange(24, 241, 24), "uint16")
    token_files.finish(tmp_path / "mix", 1, "uint16", vocabulary=300)
    recipe: dict[str, Any] = {
        "model": lm.name, "method": "full", "objective": {"name": "lm", "max_length": 24}, "dtype": "float32",
        "data": {"path": str(held), "stream": str(tmp_path / "mix")},
        "training": {"tokens": 1000, "batch": 2, "learning_rate": 1e3, "checkpoint_seconds": 0}, "threads": 1,
    }  # fmt: skip
    with pytest.raises(LuthierError, match=r"Go on with a lower training\.learning_rate"):
        api.train(recipe, tmp_path / "run")
    for changed in ({"learning_rate": 1e4}, {"learning_rate": 1e-3, "batch": 3}):
        with pytest.raises(LuthierError, match="holds a run of another recipe"):
            api.train({**recipe, "training": {**recipe["training"], **changed}}, tmp_path / "run")
    lower = {**recipe, "training": {**recipe["training"], "learning_rate": 1e-3}}
    api.train(lower, tmp_path / "run")
    found = read_json(tmp_path / "run" / "eval.json")
    assert found["learning_rate"] == 1e-3 and found["steps"] == 20
    with pytest.raises(LuthierError, match="holds a run of another recipe"):
        api.train({**lower, "training": {**lower["training"], "learning_rate": 1e-4}}, tmp_path / "run")


def gone(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, 100)


@pytest.mark.parametrize("at", [4, 14], ids=["before it is open", "while it is read"])
@pytest.mark.parametrize("harm", [gone, cut])
def test_a_shard_that_goes_while_it_is_trained_on(
    harm: Callable[[Path], None], at: int, lm: CausalLM, folder: Path, tmp_path: Path
) -> None:
    """It is named, all steps up to there are kept, and training goes on once it is back. Seen failing with what NumPy
    raises, and with a process that the system ends."""
    shard = folder / "tokens" / "00001.tokens"
    whole, want = shard.read_bytes(), run(lm, folder, None).loop.executor.masters
    with pytest.raises(LuthierError, match=r"00001\.tokens: damaged \(it went or was cut short") as error:
        run(lm, folder, tmp_path / "run", at, lambda ready: harm(shard))
    assert "give the same command again" in str(error.value)
    kept = sorted((tmp_path / "run" / "checkpoint").iterdir())[-1].name
    assert kept == f"state-{max(at, 10):08d}.safetensors", "the first shard has ten steps"
    with pytest.raises(LuthierError, match=r"00001\.tokens: damaged"):
        run(lm, folder, tmp_path / "run")
    shard.write_bytes(whole)
    assert tiny.same(dict(want), dict(run(lm, folder, tmp_path / "run").loop.executor.masters))


def test_a_disk_that_fills_up_while_a_checkpoint_is_written(lm: CausalLM, tmp_path: Path) -> None:
    """Training ends with the cause, by one of its next steps; the checkpoint before is whole, and goes on bit for bit.

    Seen failing with an error that stays in the thread."""
    resource = pytest.importorskip("resource")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    seen: list[str] = []
    with loop_on(lm, patch=Full(), folder=tmp_path, checkpoint_seconds=0.0, epochs=40) as loop:

        def fill(_: object) -> None:
            if loop.done.steps == 4:
                loop.save()
                seen.extend(path.name for path in (tmp_path / "checkpoint").iterdir())
                resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))

        loop.say = fill
        try:
            with pytest.raises(OSError, match=r"too large; the checkpoints before it are whole"):
                loop.run()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert loop.done.steps < 120
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == sorted(seen)
    fresh = Path(lm.name)
    whole = trained(tiny.fresh(fresh), patch=Full(), epochs=40)
    assert tiny.same(whole, trained(tiny.fresh(fresh), patch=Full(), epochs=40, folder=tmp_path))


def test_a_damaged_checkpoint_is_told_and_the_one_before_goes_on_bit_for_bit(lm: CausalLM, tmp_path: Path) -> None:
    whole = trained(tiny.fresh(Path(lm.name)))

    class Killed(Exception):  # noqa: N818
        """Stands for a kill."""

    with loop_on(lm, folder=tmp_path) as loop:

        def say(_: object) -> None:
            loop.save()
            if loop.done.steps == 5:
                raise Killed

        loop.say = say
        with pytest.raises(Killed):
            loop.run()
    cut(tmp_path / "checkpoint" / "state-00000005.safetensors")
    with loop_on(tiny.fresh(Path(lm.name)), folder=tmp_path) as loop:
        loop.run()
        assert tiny.same(whole, {name: p.detach() for name, p in loop.executor.params.items()})
        (note,) = loop.ctx.notes
    assert note.startswith("state-00000005.safetensors was damaged (") and "state-00000004.safetensors" in note
    assert torch.isfinite(torch.tensor(loop.done.loss))
