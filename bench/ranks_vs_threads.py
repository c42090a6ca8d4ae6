"""Two processes of one thread against one process of two: tokens a second of the same steps, by kind of parallelism.

    python bench/ranks_vs_threads.py --data ../shared/data
    python bench/ranks_vs_threads.py --rounds 1        (a try, nothing is written)

A Llama of 33 million parameters, full training by AdamW in float32, eight rows of 512 tokens a step; every side makes
its passes of as many rows as serve it best (the pipeline of one: eight passes). Losses of all sides must agree. Medians
over rounds in which all sides run in turn. The last line is the smallest ratio.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import corpus_texts
import peer

ROUNDS, APART = 3, 1e-3  # nats that the losses of a step may differ by
JOB: dict[str, Any] = {
    "depth": 8, "vocabulary": 16384, "length": 512, "batch": 8, "warm": 1, "steps": 4, "lr": 1e-3, "clip": 1.0,
    "seed": 0,
}  # fmt: skip
ALONE = "one process, two threads"
SIDES: dict[str, dict[str, Any]] = {  # degrees, rows at once
    ALONE: {"parallel": {}, "micro": 4},
    "data 2, replicate 2": {"parallel": {"data": 2, "replicate": 2}, "micro": 4},
    "data 2": {"parallel": {"data": 2}, "micro": 4},
    "tensor 2": {"parallel": {"tensor": 2}, "micro": 4},
    "pipeline 2": {"parallel": {"pipeline": 2}, "micro": 1},
}
ASKED = {"data 2": 0.9, "data 2, replicate 2": 0.9, "tensor 2": 0.75, "pipeline 2": 0.8}


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = corpus_texts.asked(parser)
    with tempfile.TemporaryDirectory(prefix="ranks-") as name:
        found = measured(Path(name), given.data, given.rounds)
    alone = peer.middle(found[ALONE], "tokens_per_second")
    table: dict[str, dict[str, Any]] = {}
    for side, figures in found.items():
        speed = peer.middle(figures, "tokens_per_second")
        table[side] = {
            "tokens_per_second": speed, "ratio": speed / alone, "asked": ASKED.get(side),
            "peak_bytes_of_all": peer.middle(figures, "peak_bytes_of_all"),
        }  # fmt: skip
        asked = f", asked {ASKED[side]}" if side in ASKED else ""
        print(f"{side}: {speed:,.0f} tokens/s, {speed / alone:.2f} of {ALONE}{asked}")
        apart = max(abs(a - b) for a, b in zip(figures[0]["losses"], found[ALONE][0]["losses"], strict=True))
        if apart > APART:
            sys.exit(f"{side}: losses are {apart:.1e} nats apart")
    ratio = min(one["ratio"] for side, one in table.items() if side != ALONE)
    if given.rounds == ROUNDS:
        one = found[ALONE][0]
        peer.save("ranks_vs_threads", {
            "settings": JOB, "rounds": ROUNDS, "ratio": ratio, "sides": table, "parameters": one["parameters"],
            "versions": one["versions"],
        })  # fmt: skip
    print(f"ratio {ratio:.2f}")


def measured(work: Path, data: Path, rounds: int) -> dict[str, list[peer.Figures]]:
    """All sides in turn."""
    program = peer.HERE / "ours_ranks.py"
    sides: dict[str, Callable[[], peer.Figures]] = {}
    for side, own in SIDES.items():
        size = 2 if own["parallel"] else 1
        place = work / side.replace(" ", "-").replace(",", "")
        place.mkdir()
        job = JOB | own | {"threads": 2 // size, "data": str(data.resolve())}
        (place / "job.json").write_text(json.dumps(job), encoding="utf-8")
        peer.side([sys.executable, program, "prepare", place], 2)
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"] if size > 1 else []
        sides[side] = partial(peer.side, [sys.executable, *torchrun, program, "train", place], 2 // size)
    return peer.rounds(sides, rounds, lambda f: f"{f['tokens_per_second']:,.0f} tokens/s")


if __name__ == "__main__":
    main()
