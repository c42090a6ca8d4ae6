"""Eight worked examples before every question: few_shot with its shared prefix against lm-evaluation-harness.

    make bench NAME=few_shot_vs_lm_eval                        # SST-2 from ../shared/data/sst2_test.tsv
    python bench/few_shot_vs_lm_eval.py sst2.tsv --rows 24     # a quick look

The same eight examples, prompts, label words, model, float32, threads and normalisation on both sides, so both must
predict the same; the peer at the fastest batch size of those tried. The examples come from the rows behind those that
are asked. One run each. The last line is the ratio of rows a second.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import peer
from likelihood_vs_lm_eval import given, job_of, measured, prepared, told
from peer import THREADS

K, ROWS, GOAL = 8, 128, 5.0
TASK = "sst2"


def job(sst2: Path, rows: int) -> dict[str, object]:
    """The texts of SST-2 that are asked, and K labelled ones that stand before each, labels in turn."""
    found = job_of(sst2, None, labelled=True)
    task = found["tasks"][TASK]
    by_label = [[p for p in task["pairs"][rows:] if p[1] == label] for label in task["labels"]]
    shots = [by_label[i % len(by_label)][i // len(by_label)] for i in range(K)]
    found["tasks"] = {TASK: {"texts": task["texts"][:rows], "labels": task["labels"], "shots": shots}}
    return found


def main() -> None:
    """Measure and write the result."""
    options = given(str(__doc__).splitlines()[0])
    python = peer.environment("lm_eval")
    with tempfile.TemporaryDirectory(prefix="few-shot-") as name:
        work = Path(name)
        prepared(work, job(options.sst2, options.rows or ROWS))
        found = measured(work, python, TASK, 1)
    if not options.rows:
        about = {"dtype": "float32", "threads": THREADS, "k": K, "goals": {TASK: GOAL}, "tasks": {TASK: found}}
        peer.save("few_shot_vs_lm_eval", about)
    told(f"{TASK}, k = {K}", found, GOAL)
    print(f"ratio {found['ratio']:.2f}")


if __name__ == "__main__":
    main()
