"""Training on a stream of tokens: every token once, in order, documents apart, resumed at any place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from luthier import api
from luthier.core.cursor import Cursor
from luthier.core.errors import LuthierError, Refused
from luthier.core.split import Split
from luthier.data import token_files
from luthier.data.pack import next_token
from luthier.data.stream import Stream, Stretches, stretches
from luthier.io.config import TrainingConfig
from luthier.models.causal import CausalLM
from luthier.objectives.lm import Lm
from luthier.objectives.sft import Sft
from luthier.patches.full import Full
from luthier.patches.layers import Layers
from luthier.training.attach import prepared
from luthier.training.context import Context

SIZES = ([3, 40, 1, 7], [25, 12], [0, 5, 31, 18])  # tokens of documents, shard by shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for at, sizes in enumerate(SIZES):
        token_files.write_shard(
            tmp_path / "mix" / "tokens", at, random.integers(5, 300, sum(sizes)), np.cumsum(sizes), "uint16"
        )
    token_files.finish(tmp_path / "mix" / "tokens", len(SIZES), "uint16", vocabulary=300)
    return tmp_path / "mix"


@given(st.lists(st.integers(0, 30), max_size=12), st.integers(2, 9), st.sampled_from([0, 1]))
def test_stretches_hold_every_token_to_predict_once(sizes: list[int], room: int, shared: int) -> None:
    bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    starts, ends = stretches(bounds, room, shared)
    assert all(0 < end - start <= room for start, end in zip(starts, ends, strict=True))
    predicted = [at for start, end in zip(starts, ends, strict=True) for at in range(start + shared, end)]
    first = set(bounds[:-1].tolist()) if shared else set()
    assert predicted == [at for at in range(sum(sizes)) if at not in first]
    owner = np.searchsorted(bounds, starts, "right"), np.searchsorted(bounds, ends - 1, "right")
    assert (owner[0] == owner[1]).all()


def test_steps_are_as_long_as_full_rows_and_come_in_order(folder: Path) -> None:
    stream = Stream(folder)
    longer = Stretches(stream, 10, 1, lambda row, ids: next_token(row, [7] * 6 + ids, [True] * (len(ids) + 6), 99))
    assert longer.sums[-1] == sum(e.tokens for e in longer) and longer.room == 16
    found = Stretches(stream, 10, 1, lambda row, ids: next_token(row, ids, [True] * len(ids), 99))
    cursor, seen = Cursor(0), list[int]()
    while cursor.epoch == 0:
        step = found.step(cursor, 2)
        assert step and sum(e.tokens for e in step) <= 20
        seen += [target for e in step for target in e.targets] if cursor.epoch == 0 else []
    bounds, tokens = stream.bounds().tolist(), stream.tokens[:].tolist()
    assert seen == [t for at, t in enumerate(tokens) if at not in bounds]
    assert step[0].row == 0 and cursor.at == len(step)  # and again from the beginning


def run(lm: CausalLM, folder: Path, run_folder: Path | None = None, stop: int = 0) -> dict[str, torch.Tensor]:
    class Killed(Exception):  # noqa: N818
        """Stands for a kill."""

    data = Split("text", (), (), stream=Stream(folder))
    training = TrainingConfig(tokens=400, batch=3, learning_rate=0.01)
    ctx = Context(lm, data, seed=0)
    with prepared(ctx, Full(), Lm(max_length=12), training, folder=run_folder) as ready:

        def say(report: object) -> None:
            if ready.loop.done.steps == stop:
                ready.loop.save()
                raise Killed

        ready.loop.say = say
        try:
            ready.loop.run()
        except Killed:
            return {}
        return {name: p.detach().clone() for name, p in ready.loop.executor.params.items()}


def test_a_killed_run_goes_on_bit_for_bit(lm: CausalLM, folder: Path, tmp_path: Path) -> None:
    whole = run(tiny.fresh(Path(lm.name)), folder)
    for stop in (2, 9):  # in the first pass over the stream and in a later one
        assert run(tiny.fresh(Path(lm.name)), folder, tmp_path / f"{stop}", stop) == {}
        assert tiny.same(whole, run(tiny.fresh(Path(lm.name)), folder, tmp_path / f"{stop}"))


def test_documents_of_a_step_do_not_see_each_other(lm: CausalLM, folder: Path) -> None:
    """The loss of a packed step is that of its documents one by one."""
    data = Split("text", (), (), stream=Stream(folder))
    with prepared(Context(lm, data, seed=0), Full(), Lm(max_length=64), TrainingConfig(micro_tokens=10**6)) as ready:
        step = next(ready.loop._steps())
        assert len({e.row for e in step}) > 3
        packed = ready.loop.executor.evaluate(step, ready.loop.objective)
        alone = [ready.loop.executor.evaluate([e], ready.loop.objective) * len(e.where) for e in step]
        assert packed == pytest.approx(sum(alone) / sum(len(e.where) for e in step), rel=1e-5)


def cut(folder: Path) -> None:
    path = folder / "tokens" / "00001.tokens"
    path.write_bytes(path.read_bytes()[:-2])


def gone(folder: Path) -> None:
    (folder / "tokens" / "00001.tokens").unlink()


def other(folder: Path) -> None:
    path = folder / "tokens" / "tokens.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocabulary": 99_999}))


def strange(folder: Path) -> None:
    path = folder / "tokens" / "tokens.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocabulary_key": "0123456789abcdef"}))


def nothing(folder: Path) -> None:
    (folder / "tokens" / "tokens.json").unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut, "00001.tokens: damaged .72 bytes where 74 are told"), (gone, "00001.tokens: damaged .no bytes where 74"),
        (other, "ids up to 99,998, and the model knows 320: it was made with another tokenizer"),
        (strange, "tokens: it was made with another tokenizer than the model's"),
        (nothing, "no tokens: name what `luthier corpus mix` wrote"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_stream_is_said(
    harm: Callable[[Path], None], said: str, lm: CausalLM, folder: Path
) -> None:
    harm(folder)
    with pytest.raises(LuthierError, match=said):
        run(lm, folder)


def test_a_recipe_trains_on_a_stream(lm: CausalLM, folder: Path, tmp_path: Path) -> None:
    held = tmp_path / "held.jsonl"
    held.write_text("".join(json.dumps({"text": f"a held-out text, number {n}"}) + "\n" for n in range(20)))
    recipe = {
        "model": lm.name, "method": "full", "objective": {"name": "lm", "max_length": 16}, "dtype": "float32",
        "data": {"path": str(held), "stream": str(folder)}, "training": {"tokens": 300, "learning_rate": 1e-3},
        "threads": 1,
    }  # fmt: skip
    run_folder = api.train(recipe, tmp_path / "run")
    told = json.loads((run_folder / "eval.json").read_text())
    assert told["rows"] == {"train": 0, "validation": 2, "test": 18} and told["steps"] > 1 and not told["notes"]
    token_files.write_shard(folder / "tokens", 0, np.full(51, 7), np.array([51]), "uint16")
    token_files.finish(folder / "tokens", len(SIZES), "uint16", vocabulary=300)
    with pytest.raises(LuthierError, match="the data changed after it was begun"):
        api.train(recipe, tmp_path / "run")


def test_objectives_of_rows_refuse_a_stream(lm: CausalLM, folder: Path) -> None:
    data = Split("text", (), (), stream=Stream(folder))
    with (
        pytest.raises(Refused, match=r"this objective learns from rows, .*objective\.name=lm"),
        prepared(Context(lm, data, seed=0), Full(), Sft(), TrainingConfig()),
    ):
        pass


def test_patches_that_keep_states_of_what_is_frozen_keep_none_of_a_stream(lm: CausalLM, folder: Path) -> None:
    data = Split("text", (), (), stream=Stream(folder))
    with prepared(Context(lm, data, seed=0), Layers(1), Lm(max_length=16), TrainingConfig(tokens=200)) as ready:
        assert ready.loop.executor.trunk is None and ready.loop.run().steps > 1
