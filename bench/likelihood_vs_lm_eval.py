"""Likelihood of label words: Luthier against lm-evaluation-harness's Hugging Face model, prompt for prompt.

    make bench NAME=likelihood_vs_lm_eval                        # SST-2 from ../shared/data/sst2_test.tsv
    python bench/likelihood_vs_lm_eval.py sst2.tsv --rows 24     # a quick look

Two tasks: `tickets` (12 labels of several tokens; every eighth of the 528 rows, since the peer needs minutes for them)
and SST-2 (2 labels of one token; the first 400 rows). Same model, float32, threads, prompts, label words and
normalisation (log-likelihood a byte), so both must predict the same. The peer runs at the fastest of the batch sizes
that are tried first, each once. Ratios are of rows a second, medians over rounds in which both run in turn. The last
line is the ratio on `tickets`.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peer
from peer import THREADS

ROUNDS, TRIED_ROWS = 3, 24
BATCHES = ("auto", "1", "8", "16", "32", "64")
GOALS = {"tickets": 4.0, "sst2": 1.4}
TIE = 1e-4  # nats a byte: labels that are closer may change places with the order of a sum


def job_of(sst2: Path, rows: int | None, labelled: bool = False) -> dict[str, Any]:
    """The model's folder, and texts and label names of both tasks. labelled: SST-2's rows with their labels, too."""
    from luthier.core.records import Labelled
    from luthier.data.embedded import tickets
    from luthier.models.loading.bundled import embedded_model

    records = [r for r in tickets().records if isinstance(r, Labelled)]
    with sst2.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[:400]
    tasks: dict[str, Any] = {
        "tickets": {"texts": [r.text for r in records][::8], "labels": sorted({r.label for r in records})},
        "sst2": {"texts": [line[0] for line in lines], "labels": (names := ["negative", "positive"])},
    }
    if labelled:
        tasks["sst2"]["pairs"] = [[line[0], names[int(line[1])]] for line in lines]
    for task in tasks.values():
        task["texts"] = task["texts"][:rows]
    return {"model": str(embedded_model()), "threads": THREADS, "tasks": tasks}


def line(figures: peer.Figures) -> str:
    """What a run is about, in a line."""
    return (
        f"{figures['rows_per_second']:.2f} rows/s, peak {figures['peak_bytes'] / 1e9:.2f} GB, "
        f"matrix products {figures['product_rate'][0]:.0f} GFLOP/s"
    )


def measured(work: Path, python: str, name: str, rounds: int) -> dict[str, Any]:
    """One task: the peer's best batch size, then both in turn."""
    ours: list[str | Path] = [sys.executable, peer.HERE / "ours_likelihood.py", name, work]
    theirs: list[str | Path] = [python, peer.HERE / "peers" / "lm_eval_likelihood.py", name, work]
    speeds: dict[str, float] = {}
    for batch in BATCHES:
        tried = peer.side([*theirs, batch, str(TRIED_ROWS)], THREADS)
        speeds[batch] = tried["rows_per_second"]
        print(f"  {name}: lm_eval, batch {batch}, {tried['rows']} rows: {line(tried)}", flush=True)
    best = max(speeds, key=lambda batch: speeds[batch])
    sides: dict[str, Callable[[], peer.Figures]] = {
        f"{name}: luthier": lambda: peer.side(ours, THREADS),
        f"{name}: lm_eval, batch {best}": lambda: peer.side([*theirs, best], THREADS),
    }
    own, other = peer.rounds(sides, rounds, line).values()
    return compared(own, other) | {"batch": best, "tried": speeds}


def compared(own: list[peer.Figures], other: list[peer.Figures]) -> dict[str, Any]:
    """Speeds, the ratio, and how many predictions differ: those beyond a tie are an error."""
    differ = [i for i, (a, b) in enumerate(zip(own[0]["chosen"], other[0]["chosen"], strict=True)) if a != b]
    apart = [i for i in differ if own[0]["margins"][i] > TIE]
    assert not apart, f"{len(apart)} predictions differ, rows {apart[:10]}"
    one, two = peer.middle(own, "rows_per_second"), peer.middle(other, "rows_per_second")
    return {
        "rows": own[0]["rows"],
        "luthier_rows_per_second": one,
        "lm_eval_rows_per_second": two,
        "ratio": one / two,
        "predictions_that_differ": len(differ),
        "peak_bytes": [peer.middle(own, "peak_bytes"), peer.middle(other, "peak_bytes")],
        "product_rates": [[f["product_rate"] for f in own], [f["product_rate"] for f in other]],
        "others": [[f["others"] for f in own], [f["others"] for f in other]],
        "versions": [own[0]["versions"], other[0]["versions"]],
    }


def given(about: str) -> argparse.Namespace:
    """SST-2's file and --rows."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("sst2", nargs="?", type=Path, default=Path("../shared/data/sst2_test.tsv"))
    parser.add_argument("--rows", type=int, help="this many rows of a task, one round, nothing written: a quick look")
    options = parser.parse_args()
    if not options.sst2.exists():
        sys.exit(f"{options.sst2}: not here; give SST-2's test file (sentence, tab, label) as the argument")
    return options


def prepared(work: Path, job: dict[str, Any]) -> None:
    """Write what both sides are asked into `work`."""
    (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
    peer.side([sys.executable, peer.HERE / "ours_likelihood.py", "prepare", work], THREADS)


def told(name: str, figures: dict[str, Any], goal: float) -> None:
    """Print a task's figures."""
    print(
        f"{name}: luthier {figures['luthier_rows_per_second']:.2f} rows/s, lm_eval at batch {figures['batch']} "
        f"{figures['lm_eval_rows_per_second']:.2f}; {figures['predictions_that_differ']} of {figures['rows']} "
        f"predictions differ; goal {goal}, ratio {figures['ratio']:.2f}"
    )


def main() -> None:
    """Measure and write the result."""
    options = given(str(__doc__).splitlines()[0])
    python = peer.environment("lm_eval")
    with tempfile.TemporaryDirectory(prefix="likelihood-") as name:
        work = Path(name)
        prepared(work, job_of(options.sst2, options.rows))
        rounds = 1 if options.rows else ROUNDS
        found = {task: measured(work, python, task, rounds) for task in ("sst2", "tickets")}
    if not options.rows:
        peer.save("likelihood_vs_lm_eval", {"dtype": "float32", "threads": THREADS, "goals": GOALS, "tasks": found})
    for task, figures in found.items():
        told(task, figures, GOALS[task])
    print(f"ratio {found['tickets']['ratio']:.2f}")


if __name__ == "__main__":
    main()
