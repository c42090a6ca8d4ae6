"""An index with the quick embedder in the place of every other."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashed import Hashed, hashed


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hashed:
    """What every embedder is while the test runs; the current folder is the test's own."""
    pytest.importorskip("lancedb")
    embedder, model = hashed(tmp_path / "cache")
    monkeypatch.setattr("luthier.index.build.load_embedder", lambda name, cache=None: embedder)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return model
