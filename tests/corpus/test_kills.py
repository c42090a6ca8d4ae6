"""SIGKILL at ten random moments of a run with two workers, and the same command again: the same shards to the byte."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stories import jsonl, story

pytest.importorskip("pyarrow")
pytest.importorskip("numba")

RECIPE = """input: data
stages:
  - filter: {rules: [{name: few_words, signal: words, least: 20}]}
  - exact
  - near
  - sentences
"""


def runs_in(link: Path, folder: Path) -> bool:
    """Whether a process runs in a folder. link: its /proc/…/cwd."""
    try:
        return link.readlink() == folder
    except OSError:
        return False


@pytest.mark.slow
def test_ten_kills_change_no_byte(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for k in range(6):
        jsonl(tmp_path / "data" / f"{k}.jsonl", [*(story(1000 * k + j, 40) for j in range(1500)), story(7, 40)])
    (tmp_path / "r.yaml").write_text(RECIPE)

    def command(out: str) -> list[str]:
        given = ["-m", "luthier", "corpus", "run", str(tmp_path / "r.yaml"), "--out", str(tmp_path / out)]
        return [sys.executable, *given, "--workers", "2"]

    def told(out: str) -> dict[str, bytes]:
        paths = [
            tmp_path / out / "funnel.json",
            *(tmp_path / out / "kept").iterdir(),
            *(tmp_path / out / "dropped").iterdir(),
        ]
        return {path.name: path.read_bytes() for path in paths}

    subprocess.run(command("warm"), check=True, capture_output=True, cwd=tmp_path)  # compiles what is not compiled yet
    begun = time.monotonic()
    subprocess.run(command("whole"), check=True, capture_output=True, cwd=tmp_path)
    took, own, killed = time.monotonic() - begun, random.Random(0), 0
    for trial in range(10):
        process = subprocess.Popen(
            command(f"{trial}"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path
        )
        time.sleep(own.uniform(0.2, 0.95) * took)
        killed += process.poll() is None
        process.kill()
        process.wait()
        subprocess.run(command(f"{trial}"), check=True, capture_output=True, cwd=tmp_path)
        assert told(f"{trial}") == told("whole"), trial
    time.sleep(3)
    assert not [path for path in Path("/proc").glob("[0-9]*/cwd") if runs_in(path, tmp_path)], "workers outlive a run"
    assert killed >= 7, "the runs were over before they were killed"
