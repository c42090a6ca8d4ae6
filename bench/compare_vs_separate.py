"""One comparison of 8 methods against the same methods as 8 separate comparisons of one: same scores, less time.

    make bench NAME=compare_vs_separate
    python bench/compare_vs_separate.py --budget 300-tokens --limit 40 --rounds 1        (a try)

What one process saves is what the separate ones do again: starting, loading the base, its loss on general text, and
the states of the frozen part, which several methods share. A budget in tokens leaves the measuring of a rate out of
both sides. Separate runs share the cache on disk as a user's would; both sides begin a round with an empty one. The
last line is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measure
import peer
from peer import THREADS

METHODS = ("zero_shot", "few_shot", "features", "full", "layers", "head", "lora", "soft_prompt")
GOAL = 1.5
SAME = ("method", "status", "score", "ci95", "seeds", "trainable", "learning_rate", "forgetting")


def arguments() -> argparse.Namespace:
    """The settings of the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="tickets")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--budget", default="3k-tokens")
    parser.add_argument("--limit", default="160")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def command(given: argparse.Namespace, methods: str, out: Path) -> list[str]:
    """The comparison of these methods."""
    return [
        sys.executable, "-m", "luthier", "compare", given.data, "--model", given.model, "--budget", given.budget,
        "--limit", given.limit, "--methods", methods, "--out", str(out),
    ]  # fmt: skip


def timed(commands: list[list[str]], env: dict[str, str]) -> peer.Figures:
    """Wall seconds of the commands one after the other, and the share of the cores that others took meanwhile."""
    watch = measure.Watch()
    watch.start()
    children = os.times()
    for each in commands:
        done = subprocess.run(each, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(each)} failed:\n{done.stderr[-3000:]}")
    watch.stop()
    after = os.times()
    used = after.children_user + after.children_system - children.children_user - children.children_system
    others = max(0.0, watch.others - used / (watch.seconds * len(measure.cores())))
    return {"seconds": watch.seconds, "cpu_seconds": used, "others": others}


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    """What of a leaderboard is no measured time or size, by method."""
    board = json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"))
    return {row["method"]: {key: row[key] for key in SAME} for row in board["rows"]}


def one_round(given: argparse.Namespace, work: Path) -> tuple[peer.Figures, peer.Figures]:
    """Both sides once, each with an empty cache of features; their scores must be equal."""
    methods, found = given.methods.split(","), []
    whole, parts = work / "together", {m: work / "separate" / m for m in methods}
    sides = [[command(given, given.methods, whole)], [command(given, m, out) for m, out in parts.items()]]
    for number, commands in enumerate(sides):
        cache = work / f"cache-{number}"
        env = os.environ | {
            "LUTHIER_CACHE": str(cache),
            "OMP_NUM_THREADS": str(THREADS),
            "HF_HUB_OFFLINE": "1",
        }
        _imported_model(cache)
        found.append(timed(commands, env))
    together, separate = rows_of(whole), {m: rows_of(out)[m] for m, out in parts.items()}
    assert together == separate, f"the scores differ:\n{together}\n{separate}"
    return found[0], found[1]


def _imported_model(cache: Path) -> None:
    """The imported base without what runs have kept: its import is no part of either side."""
    from luthier.models.loading.bundled import cache_dir

    cache.mkdir(parents=True)
    for name in ("models", "gguf"):
        if (cache_dir() / name).exists():
            (cache / name).symlink_to(cache_dir() / name)


def main() -> None:
    """Measure and write the result."""
    given, rounds = arguments(), []
    for number in range(given.rounds):
        work = Path(tempfile.mkdtemp(prefix="compare-"))
        try:
            rounds.append(one_round(given, work))
        finally:
            shutil.rmtree(work, ignore_errors=True)
        for name, side in zip(("together", "separate"), rounds[-1], strict=True):
            noisy = f", others took {side['others']:.0%} of the cores" if side["others"] > peer.QUIET else ""
            print(f"  round {number + 1}: {name}: {side['seconds']:.1f} s{noisy}", flush=True)
    report(given, rounds)


def report(given: argparse.Namespace, rounds: list[tuple[peer.Figures, peer.Figures]]) -> None:
    """Print the ratio and write the file."""
    together, separate = (peer.middle([r[i] for r in rounds], "seconds") for i in (0, 1))
    count = len(given.methods.split(","))
    peer.save(
        "compare_vs_separate",
        {
            "settings": vars(given) | {"threads": THREADS},
            "versions": measure.versions("luthier", "torch", "transformers"),
            "seconds": {"together": together, "separate": separate},
            "scores": "equal",
            "goal": GOAL,
            "ratio": separate / together,
            "disturbed": any(side["others"] > peer.QUIET for pair in rounds for side in pair),
            "rounds": [{"together": a, "separate": b} for a, b in rounds],
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        },
    )
    print(f"{count} methods in one comparison: {together:.1f} s; as {count} comparisons: {separate:.1f} s; same scores")
    print(f"ratio {separate / together:.2f}")


if __name__ == "__main__":
    main()
