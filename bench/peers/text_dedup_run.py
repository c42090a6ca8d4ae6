"""text-dedup's MinHash on WORK/input, one process.

    text_dedup_run.py WORK

The same bands, hashes and n-grams as ours; xxh3 and 32 bits, its fastest. Importing and a first run over two
documents are start-up.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

BEGUN = time.perf_counter()
from datasets import disable_caching, load_from_disk  # noqa: E402
from text_dedup import minhash  # noqa: E402
from text_dedup.utils import IOArgs, MetaArgs, MinHashArgs  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))
import measure  # noqa: E402


class Timer(minhash.Timer):  # type: ignore[misc,name-defined]
    """Its own, of which the seconds can be read afterwards."""

    last: dict[str, float]

    def __init__(self) -> None:
        super().__init__()
        Timer.last = self.elapsed_times


minhash.Timer = Timer


def run(source: Path, work: Path) -> None:
    """Its command, called with its own options: that takes no process pool, which a number of processes would."""
    for folder in (work / "theirs2", work / "cache"):
        shutil.rmtree(folder, ignore_errors=True)
    minhash.main.callback(
        io_args=IOArgs(path="json", data_files=str(source), split="train", cache_dir=str(work / "cache"),
                       output=str(work / "theirs2"), num_proc=None),
        meta_args=MetaArgs(column="text"),
        minhash_args=MinHashArgs(ngram=5, min_length=1, num_perm=112, b=14, r=8, hash_func="xxh3", hash_bits=32),
    )  # fmt: skip


def main(work: Path) -> None:
    """Warm up, run, and say what was kept."""
    disable_caching()
    (source,) = (work / "input").glob("*.jsonl")
    figures = measure.warmed(BEGUN, lambda: run(work / "few" / "few.jsonl", work), lambda: run(source, work))
    steps = Timer.last["MinHashing"] + Timer.last["Clustering"]
    kept = list(map(str, load_from_disk(str(work / "theirs2"))["id"]))
    print(json.dumps(figures | {"steps": steps, "kept": kept, "versions": {"text-dedup": version("text-dedup")}}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
