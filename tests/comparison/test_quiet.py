"""Latency is measured when everything else has ended, of every finished method, and made up for after a kill."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from luthier.comparison.execution import progress as shows
from luthier.comparison.execution import quiet_latency
from luthier.comparison.execution.locks import locked
from luthier.comparison.execution.supervisor import run
from luthier.comparison.plan import read_plan, read_request
from luthier.comparison.results import lacks_latency, read_runs
from luthier.comparison.trial import Bench
from luthier.comparison.trial_list import trials_of
from luthier.core.errors import LuthierError
from luthier.data.load import load_split
from luthier.evals import latency
from luthier.io.config import Recipe
from luthier.models.loading.of_recipe import load_base, trainable

import tiny  # isort: skip


pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def finished_folder(in_this_process: None, data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]) -> Path:
    from luthier.comparison.plan import make_request

    request = make_request({"path": str(data)}, models=[str(tiny_folder("llama_tied"))],
                           methods=["zero_shot", "head", "full"], budget="2k-tokens")  # fmt: skip
    run(request, tmp_path / "out")
    return tmp_path / "out"


def test_every_method_is_timed_last_and_once(finished_folder: Path) -> None:
    """Also a method whose files are a whole model, and one with a head; the base is what it was between them."""
    folder, request = finished_folder, read_request(finished_folder)
    times = {c.method: folder / "trials" / c.place / "seed-0" for c in trials_of(request)}
    for place in times.values():
        found = json.loads((place / "latency.json").read_text(encoding="utf-8"))
        assert found["latency_ms"] > 0 and 0 <= found["waiting"] <= 1, found
        assert json.loads((place / "eval.json").read_text(encoding="utf-8"))["latency_ms"] is None
    last_score = max((place / "eval.json").stat().st_mtime_ns for place in times.values())
    assert all((place / "latency.json").stat().st_mtime_ns > last_score for place in times.values())
    (times["head"] / "latency.json").unlink()  # killed before its turn
    assert lacks_latency(folder, "head") and not lacks_latency(folder, "full")
    before = (times["full"] / "latency.json").read_bytes()
    run(request, folder)
    assert not lacks_latency(folder, "head") and read_runs(folder, "head", 1)[0]["latency_ms"] > 0
    assert (times["full"] / "latency.json").read_bytes() == before


def test_measuring_waits_for_other_workers_and_leaves_the_base_alone(finished_folder: Path) -> None:
    """Seen failing without the wait: the worker that trains beside it doubles what an answer takes."""
    folder, request = finished_folder, read_request(finished_folder)
    plan = read_plan(folder)
    assert plan
    for file in folder.glob("trials/*/seed-0/latency.json"):
        file.unlink()
    lm = trainable(load_base(Recipe(model=request.model, dtype=plan.dtype)))
    split, _ = load_split(request.data)
    bits, shape = tiny.bits(lm.model), tiny.tree(lm.model)
    held, ended = threading.Event(), threading.Event()

    def other() -> None:
        with locked(quiet_latency.at_work(folder, 1)) as mine:
            assert mine
            held.set()
            time.sleep(0.5)
            ended.set()

    threading.Thread(target=other).start()
    held.wait()
    told: list[bool] = []
    bench = Bench(lm, split, plan, folder, lambda title, report: told.append(ended.is_set()))
    quiet_latency.measure(bench, trials_of(request), workers=2)
    assert told == [True] * 3 and not any(lacks_latency(folder, c.place) for c in trials_of(request))
    assert tiny.same(bits, tiny.bits(lm.model)) and tiny.tree(lm.model) == shape


def test_a_latency_that_cannot_be_had_costs_nothing_else(
    finished_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("planted")

    for file in finished_folder.glob("trials/*/seed-0/latency.json"):
        file.unlink()
    monkeypatch.setattr(latency, "answer_one", broken)
    run(read_request(finished_folder), finished_folder)
    found = json.loads((finished_folder / "trials/head/seed-0/latency.json").read_text(encoding="utf-8"))
    assert found["latency_ms"] is None and found["reason"].startswith("RuntimeError: planted (details in ")
    assert read_runs(finished_folder, "head", 1)[0]["latency_ms"] is None


@pytest.mark.parametrize("consent", [True, False])
def test_what_takes_long_is_asked_for_before_it_begins(
    consent: bool, data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from luthier.comparison.plan import make_request

    request = make_request({"path": str(data)}, models=[str(tiny_folder("llama_tied"))], methods=["zero_shot"])
    asked: list[float] = []

    def ask(seconds: float) -> bool:
        asked.append(seconds)
        return consent

    monkeypatch.setattr(shows, "LONG", 1.0)
    if consent:
        run(request, tmp_path / "out", ask=ask)
        run(request, tmp_path / "out", ask=ask)
    else:
        with pytest.raises(LuthierError, match="not begun: --total 10m"):
            run(request, tmp_path / "out", ask=ask)
        assert not (tmp_path / "out").exists(), "free for another request, which would be asked for, too"
    assert len(asked) == 1 and asked[0] > 1.0
