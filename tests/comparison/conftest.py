"""Fixtures of comparisons that run in the test's own process, and a file of rows for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tiny
from kinds import labelled_rows
from luthier.comparison.execution import pool, worker


@pytest.fixture
def in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker of a model runs here instead of in a process of its own; the cache is this test's."""
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))

    def run(self: pool.WorkerPool) -> dict[int, int]:
        worker.work(self.folder, self.model, 0, lambda message: self.show.heard(0, message))
        return {0: 0}

    monkeypatch.setattr(pool.WorkerPool, "run", run)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file of labelled rows."""
    rows = [{"text": f"{r.text} ({i})", "label": r.label} for i in range(5) for r in labelled_rows(tiny.LABELLED.train)]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
