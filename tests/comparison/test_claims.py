"""Pieces of work shared by processes: each done once, by someone, whatever dies."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from luthier.comparison.execution.locks import forget_claims, locked, share

HOLD = """
import sys
from pathlib import Path
from luthier.comparison.execution.locks import locked
with locked(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""
WORK = """
import os, sys, time
from functools import partial
from pathlib import Path
from luthier.comparison.execution.locks import share
def do(path):
    time.sleep(0.02)
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write(f"{os.getpid()} ")
root = Path(sys.argv[1])
print(share({p: partial(do, p) for p in (root / str(i) / "result" for i in range(20))}, wait=True))
"""


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("done")


def test_a_claim_is_one_process_s_until_it_dies(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "piece")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "True\n"
        with locked(tmp_path / "piece") as mine:
            assert not mine
        result = tmp_path / "piece" / "result"
        free = tmp_path / "free" / "result"
        assert not share({result: partial(write, result), free: partial(write, free)}, wait=False)
        assert free.exists() and not result.exists(), "what another is at is left to it"
        other.kill()
        other.wait()
    assert share({result: partial(write, result)}, wait=True) and result.exists()
    forget_claims(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["free", "piece"]


def test_three_processes_do_every_piece_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORK, str(tmp_path)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) for _ in range(3)]
    assert [worker.communicate()[0] for worker in workers] == ["True\n"] * 3
    done = [(tmp_path / str(i) / "result").read_text().split() for i in range(20)]
    assert all(len(by) == 1 for by in done), "none is done twice"


def test_an_error_gives_the_piece_back(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("no")

    result = tmp_path / "piece" / "result"
    with pytest.raises(ValueError, match="no"):
        share({result: fail}, wait=True)
    assert share({result: partial(write, result)}, wait=False)
