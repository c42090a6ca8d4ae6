"""Stages of a corpus over WORK/input, one process: our side of the benchmarks of corpora.

    ours_corpus.py WORK '[{"near": {}}]'
    ours_corpus.py WORK '[{"near": {}}]' count      (tells how many documents are kept, and not which)

A first run over two documents compiles what is not compiled yet; the measured one reads, does every stage and writes.
Seconds of `steps` are those of looking at documents and of gathering what was seen: of `near`, the signatures, their
bands and the groups.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import corpus_texts
import measure
from luthier.corpus import documents, stage
from luthier.corpus.pool import Here
from luthier.corpus.recipe import Pipeline, run_pipeline, stage_of
from luthier.corpus.stage import Say
from luthier.version import __version__


@contextmanager
def bar(_: str) -> Iterator[Say]:
    """No progress."""
    yield lambda done, of: None


def run(source: Path, stages: list[Any], out: Path) -> None:
    """All stages, from files to files."""
    shutil.rmtree(out, ignore_errors=True)
    run_pipeline(Pipeline((source,), tuple(map(stage_of, stages))), out, Here(1), bar)


def main(work: Path, stages: list[Any], count: bool = False) -> None:
    """Warm up, run, and say what was kept."""
    few, steps = corpus_texts.few(work), list[float]()
    begun = time.perf_counter()
    run(few, stages, work / "ours")
    measure.clocked(stage, "look_at", steps)
    for one in map(stage_of, stages):
        if isinstance(one, stage.Looking):
            measure.clocked(type(one), "gather", steps)
    figures = measure.warmed(begun, lambda: None, lambda: run(work / "input", stages, work / "ours"))
    paths = sorted((work / "ours" / "kept").glob("*.parquet"))
    names = (name for path in paths for name in documents.read(path, ["id"])["id"].to_pylist())
    kept = sum(map(documents.count, paths)) if count else list(names)
    versions = {"luthier": __version__, **{name: version(name) for name in ("numba", "pyarrow", "numpy")}}
    print(json.dumps(figures | {"steps": sum(steps), "kept": kept, "versions": versions}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), "count" in sys.argv[3:])
