"""A comparison as a whole: methods that fail or kill the process, the test rows, locks, and what a failure leaves."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

import planting
import tiny
from finished import comparison, evaluation
from luthier.comparison import results
from luthier.comparison.execution import faults, pool, worker
from luthier.comparison.execution.supervisor import run, unfinished
from luthier.comparison.plan import STOPPED, Plan, Request, begin
from luthier.comparison.trial import Bench
from luthier.comparison.trial_list import Trial, trials_of
from luthier.core import catalog
from luthier.core.errors import LuthierError, Refused, Unfit
from luthier.core.phrases import Phrase
from luthier.core.records import Labelled
from luthier.data.load import load_split
from luthier.io.config import DataConfig
from luthier.io.files import LOCK, read_json
from luthier.models.causal import CausalLM
from luthier.objectives.sft import Sft
from luthier.reports.comparison.publish import publish
from luthier.runs.inputs import data_key

TRICKY = ("re", "re fund", "refund", "退款 问题", "😀")
PLANTED = (sys.executable, planting.__file__)


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    """Rows whose labels are prefixes of others, have spaces, and are no Latin text; one row is very long."""
    rows = [{"text": f"row {i} 你好 שלום 🎉", "label": TRICKY[i % 5]} for i in range(40)]
    rows[3]["text"] += "word " * 1200
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataConfig(str(path))


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Workers and this process know the planted methods."""
    monkeypatch.setattr(pool, "WORKER", PLANTED)
    monkeypatch.setattr(catalog, "entries", planting.entries)
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PEEKED", str(tmp_path / "peeked.json"))


def request(data: DataConfig, folder: Path, *methods: str) -> Request:
    return Request(data, str(folder), methods, "900-tokens", threads=1)


@pytest.mark.slow
def test_one_kills_its_workers_one_raises_and_the_others_finish(
    planted: None, data: DataConfig, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """Two workers: each may be taken down by the same trial, then one alone tells whose fault it was."""
    out = tmp_path / "out"
    asked = request(data, tiny_folder("llama_tied"), "killer", "raising", "peeking", "zero_shot")
    run(replace(asked, threads=2), out)
    assert read_json(out / "plan.json")["workers"] == 2
    assert not list(out.rglob(".*.claim"))
    rows = {row["method"]: row for row in publish(out)[0]["rows"]}
    assert {m: row["status"] for m, row in rows.items()} == {
        "peeking": "ok", "zero_shot": "ok", "killer": "failed", "raising": "failed",
    }  # fmt: skip
    killed = "the process was ended by signal 9, 2 times; signal 9 mostly means that memory ran out"
    assert rows["killer"]["reason"] == killed
    assert rows["raising"]["reason"] == "ValueError: first line (details in trials/raising/error.log)"
    assert "second line" in (out / "trials/raising/error.log").read_text()
    assert rows["peeking"]["score"] == rows["zero_shot"]["score"]
    split, _ = load_split(data)
    seen = read_json(tmp_path / "peeked.json")
    assert seen["test"] == []
    assert not {r.text for r in split.test if isinstance(r, Labelled)} & {*seen["train"], *seen["validation"]}
    assert len(seen["train"]) == len(split.train) and len(split.test) == 8


def test_no_training_and_no_search_sees_a_test_row(
    lm: CausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    encode = Sft.encode

    def spy(self: Sft, lm: CausalLM, data: Any, records: Any) -> Any:
        given.extend([data.test, *records])
        return encode(self, lm, data, records)

    monkeypatch.setattr(Sft, "encode", spy)
    asked = Request(DataConfig(), lm.name, ("lora",), "900-tokens")
    plan = Plan(asked, 900, None, None, "float32", 1, lm.key, data_key(tiny.LABELLED))
    Bench(lm, tiny.LABELLED, plan, tmp_path, lambda *_: None).run(trials_of(asked)[0])
    assert len(given) > 20
    assert {r for r in given if r != ()} == {*tiny.LABELLED.train, *tiny.LABELLED.validation}
    assert len(read_json(tmp_path / "trials/lora/seed-0/eval.json")["per_row"]) == len(tiny.LABELLED.test)


@pytest.mark.parametrize("path", ["nosuch.jsonl", "", "."])
def test_a_mistake_in_the_data_is_said_before_anything_is_written(path: str, tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match=r"does not exist|is a folder"):
        run(Request(DataConfig(path), "embedded", ("lora",)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_worker_that_cannot_begin_gives_its_reason_and_leaves_nothing(data: DataConfig, tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match=r"no-model: there is no such folder"):
        run(request(data, tmp_path / "no-model", "zero_shot"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_at_a_time_in_one_folder(data: DataConfig, tmp_path: Path) -> None:
    begin(request(data, tmp_path, "zero_shot"), tmp_path / "out")
    with FileLock(tmp_path / "out" / LOCK), pytest.raises(LuthierError, match="another comparison is running there"):
        run(request(data, tmp_path, "zero_shot"), tmp_path / "out")
    assert (tmp_path / "out" / "request.json").exists()


def test_a_worker_whose_parent_is_gone_ends(
    planted: None, data: DataConfig, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    begin(request(data, tiny_folder("llama_tied"), "sleeper"), tmp_path / "out")
    with subprocess.Popen(
        [*PLANTED, str(tmp_path / "out"), "0", "0"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"begin\n")
        process.stdin.flush()
        until = time.monotonic() + 100
        while not (tmp_path / "out/trials/current-0.json").exists() and time.monotonic() < until:
            time.sleep(0.1)
        process.stdin.close()
        assert process.wait(20) == 3
    assert not (tmp_path / "out/trials/sleeper/outcome.json").exists()


def test_a_worker_that_dies_before_any_trial_blames_no_method(
    data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that was at work when the comparison was killed the last time."""
    out = tmp_path / "out"
    begin(request(data, tmp_path, "zero_shot"), out)
    (out / "trials").mkdir()
    (out / "trials" / "current-0.json").write_text('{"method": "zero_shot"}')
    monkeypatch.setattr(pool, "WORKER", (sys.executable, "-c", "import sys; sys.exit(1)"))
    with pytest.raises(LuthierError, match="ended with status 1 before its first trial"):
        run(request(data, tmp_path, "zero_shot"), out)
    assert not (out / "trials" / "zero_shot").exists()


LORA = Trial("embedded", "lora", None, "lora")
FULL = OSError(errno.ENOSPC, "No space left on device", "x/eval.json")
FULL_IN_WORDS = RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
ASKED = Request(methods=("lora",))


def failing(error: BaseException, folder: Path) -> Any:
    return SimpleNamespace(folder=folder, run=lambda _: (_ for _ in ()).throw(error))


@pytest.mark.parametrize("error", [FULL, FULL_IN_WORDS])
def test_a_full_disk_costs_one_trial_while_its_outcome_can_be_written(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the trial left half done makes room. Nothing can be written at all: the comparison stops, and says so."""
    place = tmp_path / "trials/lora"
    for piece, file in (("seed-0", "checkpoint/x"), ("seed-1", "eval.json"), ("search/0.1", "checkpoint/x")):
        (place / piece / file).parent.mkdir(parents=True)
        (place / piece / file).write_text("")
    worker._attempt(failing(error, tmp_path), LORA, ASKED)
    outcome = read_json(place / "outcome.json")
    assert outcome["status"] == "failed"
    assert outcome["reason"].startswith("the disk is full or read-only; make room and give the same command again (")
    kept = results.read_outcome(tmp_path, "lora")["reason"]
    assert isinstance(kept, Phrase) and kept.text("zh").startswith("磁盘已满或只读；请腾出空间")
    assert sorted(str(p.relative_to(place)) for p in place.rglob("*")) == [
        "outcome.json", "search", "seed-1", "seed-1/eval.json",
    ]  # fmt: skip

    def nothing(*_: object) -> None:
        raise FULL

    monkeypatch.setattr(results, "write_json", nothing)
    with pytest.raises(OSError, match="No space left"):
        worker._attempt(failing(error, tmp_path), LORA, ASKED)
    assert "the disk is full or read-only; make room and give the same command" in faults.last_words(tmp_path, FULL)


IN_LOG = " (details in trials/lora/error.log)"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Refused("not for this model"), "skipped", "not for this model"),
        (Unfit("not for this data"), "skipped", "not for this data"),
        (LuthierError("too small\na budget"), "failed", "too small; a budget"),
        (MemoryError(), "failed", "MemoryError: no message" + IN_LOG),
        (KeyError("x"), "failed", "KeyError: 'x'" + IN_LOG),
        (AssertionError("\n\n"), "failed", "AssertionError: no message" + IN_LOG),
        (SystemExit(0), "failed", "SystemExit: 0" + IN_LOG),
    ],
)
def test_what_becomes_of_an_error(error: BaseException, status: str, reason: str, tmp_path: Path) -> None:
    """After one that nobody foresaw this process takes no other trial: the base may not be what it was."""
    foreseen = worker._attempt(failing(error, tmp_path), LORA, ASKED)
    assert read_json(tmp_path / "trials/lora/outcome.json") == {"status": status, "reason": reason}
    assert foreseen == isinstance(error, LuthierError)
    assert (IN_LOG in reason) == (tmp_path / "trials/lora/error.log").exists()


def test_a_method_for_other_data_that_nobody_named_has_no_row(tmp_path: Path) -> None:
    worker._attempt(failing(Unfit("not for this data"), tmp_path), LORA, replace(ASKED, usual=("lora",)))
    assert read_json(tmp_path / "trials/lora/outcome.json")["status"] == "unneeded"


def test_the_wish_to_end_is_no_outcome(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        worker._attempt(failing(KeyboardInterrupt(), tmp_path), LORA, ASKED)
    assert not (tmp_path / "trials").exists()


def test_last_words_reach_the_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: DataConfig) -> None:
    code = f"import pathlib, sys; pathlib.Path(sys.argv[1], {STOPPED!r}).write_text('the reason'); sys.exit(2)"
    monkeypatch.setattr(pool, "WORKER", (sys.executable, "-c", code))
    with pytest.raises(LuthierError, match=r"^the reason$"):
        run(request(data, tmp_path, "zero_shot"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_was_removed_is_made_again(tmp_path: Path) -> None:
    trials = {"zero_shot": [evaluation([1.0, 0.0])], "lora": ("failed", "why")}
    folder = comparison(tmp_path / "out", trials)
    asked = Request(methods=("zero_shot", "lora"))
    assert unfinished(asked, folder) == []
    (folder / "trials/zero_shot/seed-0/eval.json").unlink()
    assert unfinished(asked, folder) == ["zero_shot"]
    (folder / "split.json").unlink()
    assert unfinished(replace(asked), folder) == ["zero_shot", "lora"]
