"""Files that are whole or absent, lines of metrics, and what is measured of the machine."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.core.errors import LuthierError
from luthier.core.progress import Report
from luthier.io.files import LOCK, alone, read_json, replacing, write_json, write_tensors, write_text
from luthier.io.metrics_file import MetricsFile, read_metrics
from luthier.models import machine
from watching import watched


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path, error: type[BaseException]) -> None:
    """Seen failing with the temporary file kept, and with a file that is written in place."""
    path = tmp_path / "new" / "a.txt"
    for old in (None, "old"):
        if old:
            write_text(path, old)
        with pytest.raises(error), replacing(path) as temporary:
            temporary.write_text("half")
            assert names(path.parent) == sorted([temporary.name] + (["a.txt"] if old else []))
            assert not old or path.read_text() == old
            raise error
        assert names(path.parent) == (["a.txt"] if old else [])
    assert path.read_text() == "old"


def test_a_file_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is on the disk before it has its name. Seen failing without the sync."""
    path = tmp_path / "a.txt"
    seen: list[str] = []
    write_text(path, "old")
    monkeypatch.setattr(os, "fsync", watched(os.fsync, lambda handle: seen.append(path.read_text())))
    write_text(path, "new\nüö 中")
    assert seen[0] == "old" and path.read_bytes() == "new\nüö 中".encode() and names(tmp_path) == ["a.txt"]


def test_json_refuses_nan(tmp_path: Path) -> None:
    """Seen failing with json's own default."""
    path = tmp_path / "a.json"
    write_json(path, {"score": 1.5, "name": "中"})
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(path, {"score": [bad]})
    assert read_json(path) == {"score": 1.5, "name": "中"} and names(tmp_path) == ["a.json"]


def test_tensors_that_do_not_fit_on_the_disk(tmp_path: Path) -> None:
    """An error of the system, as from other writers. Seen failing with what safetensors raises."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.ones(3)})
    kept, limit = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        with pytest.raises(OSError, match="too large") as error:
            write_tensors(path, {"a": torch.ones(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert error.value.filename == str(path) and path.read_bytes() == kept and names(tmp_path) == [path.name]


@pytest.mark.parametrize(("bfloat16", "picked"), [(100.0, "float32"), (149.0, "float32"), (151.0, "bfloat16")])
def test_the_number_format_is_the_one_measured(bfloat16: float, picked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16 where it is half as fast again. Seen failing with any gain at all for enough."""
    rates = {torch.float32: 100.0, torch.bfloat16: bfloat16, torch.float16: 90.0}
    monkeypatch.undo()  # of what holds for all other tests
    monkeypatch.setattr(machine, "_rate", lambda dtype, where, product: rates[dtype])
    assert machine.pick_dtype() == machine.pick_dtype("auto") == picked
    assert machine.pick_dtype("float16") == "float16"


def report(step: int, **values: float) -> Report:
    return Report(**({"step": step, "tokens": 10 * step, "loss": 1.0, "learning_rate": 0.1, "grad_norm": 2.0,
                      "tokens_per_second": 3.0, "progress": 0.5} | values))  # type: ignore[arg-type]  # fmt: skip


def steps(path: Path) -> list[Any]:
    return [m["step"] for m in read_metrics(path)]


def test_metrics(tmp_path: Path) -> None:
    """A last line that was cut short is left out and written anew. Seen failing with lines beyond the step kept."""
    path = tmp_path / "run" / "metrics.jsonl"
    assert read_metrics(path) == []
    file = MetricsFile(path, 0)
    for step in range(1, 5):
        file.add(report(step, grad_norm=math.inf if step == 2 else 2.0))
        assert steps(path) == list(range(1, step + 1))  # a reader sees it at once
    file.close()
    assert read_metrics(path)[1]["grad_norm"] is None and read_metrics(path)[0] == {
        k: v for k, v in vars(report(1)).items() if v is not None
    }
    whole = path.read_text()
    for cut in (1, 2, 30):
        path.write_text(whole[:-cut])
        assert steps(path) == ([1, 2, 3, 4] if cut == 1 else [1, 2, 3])
    file = MetricsFile(path, 2)
    file.add(report(3, loss=0.5))
    file.close()
    assert steps(path) == [1, 2, 3] and read_metrics(path)[2]["loss"] == 0.5


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path, tiny_folder: Any) -> None:
    """The second is told, and what it was told leaves nothing behind. Seen failing without the lock: both went on."""
    import luthier
    import tiny
    from luthier.io.config import DataConfig

    recipe = tiny.recipe(tiny_folder("llama_tied"), "zero_shot", data=DataConfig("mood", limit=40))
    with alone(tmp_path / "run" / LOCK, ""), pytest.raises(LuthierError, match=r"run: another command is training"):
        luthier.train(recipe, tmp_path / "run")
    assert names(tmp_path / "run") == [LOCK]
    luthier.train(recipe, tmp_path / "run")
    with alone(tmp_path / "run" / LOCK, ""):  # a finished run is only looked at
        assert luthier.train(recipe, tmp_path / "run") == tmp_path / "run"
    wrong = tiny.recipe(tiny_folder("llama_tied"), "zero_shot", data=DataConfig(str(tmp_path / "none.jsonl")))
    with pytest.raises(LuthierError, match=r"none\.jsonl"):
        luthier.train(wrong, tmp_path / "runs" / "deep" / "run")
    assert names(tmp_path) == ["run"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LuthierError, match=r"nothing can be written there"), alone(tmp_path / "file" / LOCK, ""):
        pass
