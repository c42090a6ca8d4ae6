"""A corpus on a Ray cluster of two workers of one core each against two processes of this machine.

    make bench NAME=ray_vs_local
    python bench/ray_vs_local.py --size 20      (a try, nothing is written)

Read, language, rules by language, exact and near duplicates, from files to files, on text of `corpus_texts`. Both sides
run two documents first, so that what is compiled is compiled, and workers are up; starting the cluster and joining it
are told apart. What both wrote has to be the same to the byte. The last line is local seconds by Ray's: below 1 where
Ray costs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import corpus_texts
import measure
import peer
from corpus_scale import STAGES, files
from luthier.corpus import cluster
from luthier.corpus.pool import Here, Pool
from luthier.corpus.recipe import Pipeline, run_pipeline, stage_of
from ours_corpus import bar

SIZE, ROUNDS = 240, 3  # MB


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=SIZE, help="MB of text")
    given = corpus_texts.asked(parser)
    with tempfile.TemporaryDirectory(prefix="ray-") as name, started() as (address, starting):
        work = Path(name)
        files(given.data, work / "input", given.size)
        begun = time.perf_counter()
        with cluster.joined(address) as pool:
            joining = time.perf_counter() - begun
            sides: dict[str, Callable[[], peer.Figures]] = {
                "local": lambda: timed(Here(2), work, "local"),
                "ray": lambda: timed(pool, work, "ray"),
            }
            for one, there in (("local", Here(2)), ("ray", pool)):
                run(there, corpus_texts.few(work), work / f"few-{one}")
            found = peer.rounds(sides, ROUNDS if given.size == SIZE else 1, said)
        if len({figures["digest"] for own in found.values() for figures in own}) != 1:
            sys.exit("the shards differ")
    seconds = {one: peer.middle(own, "seconds") for one, own in found.items()}
    print(f"starting the cluster {starting:.1f} s, joining it {joining:.1f} s; the shards are the same")
    if given.size == SIZE:
        peer.save("ray_vs_local", {
            "stages": STAGES, "MB": given.size, "starting": starting, "joining": joining, "seconds": seconds,
            "rounds": {one: [figures["seconds"] for figures in own] for one, own in found.items()},
            "versions": measure.versions("ray", "numba", "pyarrow", "numpy"),
        })  # fmt: skip
    print(f"ratio {seconds['local'] / seconds['ray']:.2f}")


@contextmanager
def started() -> Iterator[tuple[str, float]]:
    """A cluster of this machine, for this machine alone, and how long it took to start."""
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    begun = time.perf_counter()
    found = Cluster()
    for _ in range(2):
        found.add_node(num_cpus=1, object_store_memory=80 * 2**20, include_dashboard=False)
    try:
        yield found.address, time.perf_counter() - begun
    finally:
        found.shutdown()


def run(pool: Pool, source: Path, out: Path) -> None:
    """All stages, from files to files."""
    shutil.rmtree(out, ignore_errors=True)
    run_pipeline(Pipeline((source,), tuple(map(stage_of, STAGES))), out, pool, bar)


def timed(pool: Pool, work: Path, name: str) -> peer.Figures:
    """Seconds of a run, and a hash of all that it kept and dropped."""
    begun = time.perf_counter()
    run(pool, work / "input", work / name)
    seconds = time.perf_counter() - begun
    whole = hashlib.blake2b()
    for path in sorted(path for kind in ("kept", "dropped") for path in (work / name / kind).iterdir()):
        whole.update(path.name.encode() + path.read_bytes())
    return {"seconds": seconds, "digest": whole.hexdigest()}


def said(figures: Any) -> str:
    """What a run is about, in a line."""
    return f"{figures['seconds']:.1f} s"


if __name__ == "__main__":
    main()
