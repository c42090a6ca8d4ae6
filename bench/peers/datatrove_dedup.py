"""datatrove's MinHash on WORK/input: signatures, buckets, clusters, filter, one task.

    datatrove_dedup.py WORK

The same bands, hashes (32 bits) and n-grams as ours; words cut by spaCy, as it comes. Importing and a first run over
two documents are start-up.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

BEGUN = time.perf_counter()
from datatrove.executor import LocalPipelineExecutor  # noqa: E402
from datatrove.pipeline.dedup import (  # noqa: E402
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.readers import JsonlReader  # noqa: E402
from datatrove.pipeline.writers import JsonlWriter  # noqa: E402
from datatrove.utils.hashing import HashConfig  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))
import measure  # noqa: E402


def run(source: Path, out: Path) -> list[float]:
    """The four steps one after another, as its documentation has them; seconds of each."""
    shutil.rmtree(out, ignore_errors=True)
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=32))
    writer = JsonlWriter(f"{out}/kept", compression=None)
    steps = [
        ([JsonlReader(str(source)), MinhashDedupSignature(output_folder=f"{out}/signatures", config=config)], 1),
        ([MinhashDedupBuckets(f"{out}/signatures", f"{out}/buckets", config=config)], 14),
        ([MinhashDedupCluster(f"{out}/buckets", f"{out}/remove", config=config)], 1),
        (
            [
                JsonlReader(str(source)),
                MinhashDedupFilter(f"{out}/remove"),
                writer,
            ],
            1,
        ),
    ]
    spent = []
    for number, (pipeline, tasks) in enumerate(steps):
        begin = time.perf_counter()
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=f"{out}/logs/{number}").run()
        spent.append(time.perf_counter() - begin)
    return spent


def main(work: Path) -> None:
    """Warm up, run, and say what was kept."""
    out, spent = work / "theirs", list[float]()
    figures = measure.warmed(BEGUN, lambda: run(work / "few", out), lambda: spent.extend(run(work / "input", out)))
    kept = [json.loads(line)["id"] for path in sorted((out / "kept").glob("*.jsonl")) for line in path.open()]
    versions = {name: version(name) for name in ("datatrove", "spacy")}
    print(json.dumps(figures | {"steps": sum(spent[:3]), "kept": kept, "versions": versions}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
