"""LoRA GRPO: Luthier against TRL's GRPOTrainer with PEFT, on the same prompts, reward, threads and number format.

    make bench NAME=grpo_vs_trl
    python bench/grpo_vs_trl.py --steps 1 --rounds 1           (a try, nothing is written)

Each step answers four prompts of the embedded help desk eight times, 48 tokens at most, judges the answers by a
function that costs nothing, and learns from them once, held to the reference. What is counted is the whole work:
drawing, what policy and reference say, and the step. Each side draws its own answers, so that losses cannot be
compared; how long the answers are is said. TRL's side is the fastest of how many answers go through the model at once,
each tried once.
The last line is our answers a second over TRL's.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import peer
from peer import THREADS

STEPS, ROUNDS = 3, 3
GOAL, MEMORY = 2.0, 0.6  # what was asked for: times as fast, share of the memory
SETTINGS: dict[str, Any] = {
    "prompts": 4, "answers": 8, "new_tokens": 48, "temperature": 1.0, "beta": 0.04, "lr": 2e-4, "rank": 8,
    "alpha": 16.0, "max_length": 1024, "clip": 1.0, "seed": 0, "threads": THREADS,
}  # fmt: skip
TRIED = {f"{n} answers at once": {"answers_at_once": n} for n in (8, 16, 32)}


def line(figures: peer.Figures) -> str:
    """What a run is about, in a line."""
    return (
        f"{figures['samples_per_second']:.3f} answers/s of {figures['length']:.0f} tokens ({figures['seconds']:.0f} s)"
        f", peak {figures['peak_bytes'] / 1e9:.2f} GB, products {figures['product_rate'][0]:.0f} GFLOP/s"
    )


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    from luthier.models.loading.bundled import embedded_model

    python, script = peer.environment("trl"), peer.HERE / "peers" / "trl_grpo.py"
    with tempfile.TemporaryDirectory(prefix="grpo-") as name:
        work = Path(name)

        def job(steps: int) -> None:
            values = SETTINGS | {"steps": steps, "model": str(embedded_model())}
            (work / "job.json").write_text(json.dumps(values), encoding="utf-8")
            peer.side([sys.executable, peer.HERE / "ours_grpo.py", "prepare", work], THREADS)

        def theirs(settings: dict[str, Any]) -> peer.Figures:
            return peer.side([python, script, work, json.dumps(settings)], THREADS)

        job(1)
        ways = {}
        for title, settings in TRIED.items():
            ways[title] = theirs(settings)
            print(f"  TRL, {title}: {line(ways[title])}", flush=True)
        best = max(ways, key=lambda title: ways[title]["samples_per_second"])
        job(given.steps)
        way = f"TRL at its best ({best})"
        both = {
            "luthier": lambda: peer.side([sys.executable, peer.HERE / "ours_grpo.py", "run", work], THREADS),
            way: lambda: theirs(TRIED[best]),
        }
        found = peer.rounds(both, given.rounds, line)
    report(found, ways, given.steps, written=(given.steps, given.rounds) == (STEPS, ROUNDS))


def report(found: dict[str, list[peer.Figures]], ways: dict[str, peer.Figures], steps: int, written: bool) -> None:
    """Print the ratios and write the file."""
    (_, own), (way, other) = found.items()
    speed = {name: peer.middle(runs, "samples_per_second") for name, runs in found.items()}
    peak = {name: peer.middle(runs, "peak_bytes") for name, runs in found.items()}
    tokens = peer.middle(own, "tokens_per_second") / peer.middle(other, "tokens_per_second")
    ratio, memory = speed["luthier"] / speed[way], peak["luthier"] / peak[way]
    result = {
        "settings": SETTINGS | {"steps": steps, "rounds": len(own), "dtype": "float32"},
        "versions": own[0]["versions"] | other[0]["versions"],
        "samples_per_second": speed,
        "peak_bytes": peak,
        "tried": {n: {k: f[k] for k in ("samples_per_second", "peak_bytes", "length")} for n, f in ways.items()},
        "ratio": ratio,
        "ratio of tokens drawn a second": tokens,
        "memory_to_best": memory,
        "runs": found,
    }
    if written:
        peer.save("grpo_vs_trl", result)
    print(f"peak memory against TRL at its best: {memory:.2f}; {_told(memory <= MEMORY)} (at most {MEMORY})")
    print(f"tokens drawn a second: {tokens:.2f} times TRL's")
    print(f"answers a second: {_told(ratio >= GOAL)} (at least {GOAL})")
    print(f"ratio {ratio:.2f}")


def _told(reached: bool) -> str:
    return "as asked" if reached else "NOT as asked"


if __name__ == "__main__":
    main()
