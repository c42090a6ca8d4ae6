"""Recipes that are run by a test, and what they kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow")
pytest.importorskip("numba")
import pyarrow.parquet as pq  # noqa: E402

from luthier.corpus.pool import Here  # noqa: E402
from luthier.corpus.recipe import Pipeline, run_pipeline, stage_of  # noqa: E402
from luthier.corpus.stage import Say  # noqa: E402


@contextmanager
def bar(title: str) -> Iterator[Say]:
    yield lambda done, of: None


def run(folder: Path, inputs: list[Path], *stages: Any, workers: int = 1) -> dict[str, dict[str, Any]]:
    made = Pipeline(tuple(inputs), tuple(map(stage_of, stages)))
    return {told["stage"]: told for told in run_pipeline(made, folder, Here(workers), bar)}


def tell_threads(path: Path) -> None:
    """Write how many threads the tokenizers' library is to take in this process."""
    path.write_text(os.environ.get("RAYON_NUM_THREADS", "all"))


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
