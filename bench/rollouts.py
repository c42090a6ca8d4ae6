"""What benchmarks of learning from drawn answers share: both sides on one job, TRL at its best setting, the ratios."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peer
from peer import THREADS

GOAL, MEMORY = 2.0, 0.6  # what was asked for: times as fast, share of the memory


@dataclass(frozen=True)
class Bench:
    """name: of the result. environment: of the peer. job: what both sides share. tried: the peer's settings."""

    name: str
    environment: str
    job: dict[str, Any]
    tried: dict[str, dict[str, Any]]
    steps: int
    rounds: int = 2

    def main(self) -> None:
        """Measure, print and write the result."""
        parser = argparse.ArgumentParser()
        parser.add_argument("--steps", type=int, default=self.steps)
        parser.add_argument("--rounds", type=int, default=self.rounds)
        given = parser.parse_args()
        from luthier.models.loading.bundled import embedded_model

        python, script = peer.environment(self.environment), peer.HERE / "peers" / f"trl_{self.name.split('_')[0]}.py"
        with tempfile.TemporaryDirectory(prefix=f"{self.name}-") as name:
            work = Path(name)

            def job(steps: int) -> None:
                values = self.job | {"steps": steps, "model": str(embedded_model()), "threads": THREADS}
                (work / "job.json").write_text(json.dumps(values), encoding="utf-8")
                ours("prepare")

            def ours(what: str = "run") -> peer.Figures:
                return peer.side([sys.executable, peer.HERE / "ours_rollouts.py", what, work], THREADS)

            def theirs(settings: dict[str, Any]) -> peer.Figures:
                return peer.side([python, script, work, json.dumps(settings)], THREADS)

            job(1)
            ways = {}
            for title, settings in self.tried.items():
                ways[title] = theirs(settings)
                print(f"  TRL, {title}: {line(ways[title])}", flush=True)
            best = max(ways, key=lambda title: ways[title]["samples_per_second"])
            job(given.steps)
            both = {"luthier": ours, f"TRL at its best ({best})": lambda: theirs(self.tried[best])}
            found = peer.rounds(both, given.rounds, line)
        self.report(found, ways, given.steps, written=(given.steps, given.rounds) == (self.steps, self.rounds))

    def report(
        self, found: dict[str, list[peer.Figures]], ways: dict[str, peer.Figures], steps: int, written: bool
    ) -> None:
        """Print the ratios and write the file."""
        (_, own), (way, other) = found.items()
        speed = {name: peer.middle(runs, "samples_per_second") for name, runs in found.items()}
        peak = {name: peer.middle(runs, "peak_bytes") for name, runs in found.items()}
        tokens = peer.middle(own, "tokens_per_second") / peer.middle(other, "tokens_per_second")
        ratio, memory = speed["luthier"] / speed[way], peak["luthier"] / peak[way]
        result = {
            "settings": self.job | {"steps": steps, "rounds": len(own), "dtype": "float32", "threads": THREADS},
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
            peer.save(self.name, result)
        print(f"peak memory against TRL at its best: {memory:.2f}; {_told(memory <= MEMORY)} (at most {MEMORY})")
        print(f"tokens drawn a second: {tokens:.2f} times TRL's")
        print(f"answers a second: {_told(ratio >= GOAL)} (at least {GOAL})")
        print(f"ratio {ratio:.2f}")


def line(figures: peer.Figures) -> str:
    """What a run is about, in a line."""
    return (
        f"{figures['samples_per_second']:.3f} answers/s of {figures['length']:.0f} tokens ({figures['seconds']:.0f} s)"
        f", peak {figures['peak_bytes'] / 1e9:.2f} GB, products {figures['product_rate'][0]:.0f} GFLOP/s"
    )


def _told(reached: bool) -> str:
    return "as asked" if reached else "NOT as asked"
