"""datatrove's MinHash on WORK/input: signatures, buckets, clusters, filter, one task.

    datatrove_dedup.py WORK

The same bands, hashes and n-grams as ours; words cut by spaCy, as it comes. Importing and loading are start-up.
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
from datatrove.utils.word_tokenizers import load_word_tokenizer  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))
import measure  # noqa: E402


def main(work: Path) -> None:
    """Run the four steps one after another, as its documentation has them."""
    shutil.rmtree(work / "theirs", ignore_errors=True)
    out, source = work / "theirs", str(work / "input")
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    load_word_tokenizer("eng_Latn").word_tokenize("Loaded before it is measured.")
    start = time.perf_counter() - BEGUN
    watch = measure.Watch()
    watch.start()
    begun = time.perf_counter()
    steps = [
        ([JsonlReader(source), MinhashDedupSignature(output_folder=f"{out}/signatures", config=config)], 1),
        ([MinhashDedupBuckets(f"{out}/signatures", f"{out}/buckets", config=config)], 14),
        ([MinhashDedupCluster(f"{out}/buckets", f"{out}/remove", config=config)], 1),
        ([JsonlReader(source), MinhashDedupFilter(f"{out}/remove"), JsonlWriter(f"{out}/kept", compression=None)], 1),
    ]
    for number, (pipeline, tasks) in enumerate(steps):
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=f"{out}/logs/{number}").run()
    seconds = time.perf_counter() - begun
    watch.stop()
    kept = [json.loads(line)["id"] for path in sorted((out / "kept").glob("*.jsonl")) for line in path.open()]
    figures = {"seconds": seconds, "start": start, "peak_bytes": measure.peak_bytes(), "others": watch.others}
    versions = {name: version(name) for name in ("datatrove", "spacy")}
    print(json.dumps(figures | {"kept": kept, "versions": versions}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
