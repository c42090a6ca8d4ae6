"""A build that is killed leaves whole files, and the next one ends where an unbroken build ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from luthier.index.store import Store

BUILD = """
import sys
from pathlib import Path
from hashed import hashed
import luthier.index.build as room
from luthier.index.chunks import Chunking
room.GROUP = 8
room.load_embedder = lambda name, cache=None: hashed(Path(sys.argv[2]), 0.002)[0]
print("ready", flush=True)
room.build([Path("docs")], sys.argv[1], Chunking(20, 5))
"""
FILES = 60


def start(at: str, work: Path) -> subprocess.Popen[str]:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", BUILD, at, str(work / f"cache-{at}")]
    run = subprocess.Popen(command, cwd=work, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stdout is not None and run.stdout.readline() == "ready\n"
    return run


def content(at: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Store.open(str(at)).table.to_arrow().to_pylist()
    return sorted(rows, key=lambda row: row["id"])


def write(work: Path, version: str) -> None:
    (work / "docs").mkdir(exist_ok=True)
    for i in range(FILES):
        text = "".join(f"第{i}号文件，{version}的第{j}句话。" for j in range(3 + i % 5))
        (work / "docs" / f"{i:02}.txt").write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_killed_at_any_time(tmp_path: Path) -> None:
    """All or nothing of each file, no chunk twice, and afterwards the same rows as an unbroken build: first on an empty
    index, then over an older version of every file. Seen failing with chunks that are deleted and added in two commits.
    """
    pytest.importorskip("lancedb")
    kills = 0
    for version in ("旧", "新"):
        write(tmp_path, version)
        begin = time.monotonic()
        assert start("whole", tmp_path).wait() == 0
        whole, seconds = content(tmp_path / "whole"), time.monotonic() - begin
        size = Counter(row["file"] for row in whole)
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            run = start("killed", tmp_path)
            time.sleep(share * seconds)
            os.killpg(run.pid, signal.SIGKILL)
            kills += run.wait() == -signal.SIGKILL
            if not (tmp_path / "killed" / "chunks.lance").exists():
                continue
            rows = content(tmp_path / "killed")
            assert len({row["id"] for row in rows}) == len(rows)
            for file, count in Counter(row["file"] for row in rows).items():
                texts = {row["text"] for row in rows if row["file"] == file}
                assert count == size[file] and len({v for v in "旧新" if any(v in t for t in texts)}) == 1
        assert start("killed", tmp_path).wait() == 0
        assert content(tmp_path / "killed") == whole
    assert kills >= 3, "the builds were over before they were killed"
