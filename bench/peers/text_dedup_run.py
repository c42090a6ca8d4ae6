"""text-dedup's MinHash on WORK/input, one process, by its own command.

    text_dedup_run.py WORK

The same bands, hashes and n-grams as ours; xxh3 and 32 bits, its fastest. Importing is start-up.
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

sys.path.insert(0, str(Path(__file__).parents[1]))
import measure  # noqa: E402


def main(work: Path) -> None:
    """Run it and say what was kept."""
    out = work / "theirs2"
    for folder in (out, work / "cache"):
        shutil.rmtree(folder, ignore_errors=True)
    disable_caching()
    (source,) = (work / "input").glob("*.jsonl")
    start = time.perf_counter() - BEGUN
    watch = measure.Watch()
    watch.start()
    begun = time.perf_counter()
    minhash.main(
        [
            "--path", "json", "--data_files", str(source), "--split", "train", "--cache_dir", str(work / "cache"),
            "--output", str(out), "--column", "text", "--ngram", "5", "--min_length", "1", "--num_perm", "112",
            "--b", "14", "--r", "8", "--hash_func", "xxh3", "--hash_bits", "32", "--num_proc", "1",
        ],
        standalone_mode=False,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    watch.stop()
    kept = list(map(str, load_from_disk(str(out))["id"]))
    figures = {"seconds": seconds, "start": start, "peak_bytes": measure.peak_bytes(), "others": watch.others}
    print(json.dumps(figures | {"kept": kept, "versions": {"text-dedup": version("text-dedup")}}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
