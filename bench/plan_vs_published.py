"""What `luthier plan` says of machines that are not here against what has been published, with the difference.

    make bench NAME=plan_vs_published        # a minute; needs neither weights nor a GPU

Shapes and figures are in `bench/published_runs.yaml`, each figure with its source. The last line is the largest factor
between a plan's and a published number of time.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RUNS = Path(__file__).with_name("published_runs.yaml")


@dataclass(frozen=True)
class Compared:
    """A published figure and the plan's. measure: what it is a number of."""

    what: str
    source: str
    measure: str
    published: float
    planned: float

    @property
    def difference(self) -> float:
        """A share of what is published."""
        return self.planned / self.published - 1


def compared() -> Iterator[Compared]:
    """Each run of the file, planned."""
    told: dict[str, Any] = yaml.safe_load(RUNS.read_text(encoding="utf-8"))
    for run in told["runs"]:
        planned = _planned(run, told["shapes"][run["shape"]])
        yield Compared(run["what"], run["source"], run["measure"], float(run["published"]), planned)


def _planned(run: dict[str, Any], shape: dict[str, Any]) -> float:
    from luthier.io.config import recipe_from
    from luthier.planning.job import job_of
    from luthier.planning.plan import machine_of, made, settled

    machine = machine_of(run["machine"])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(shape), encoding="utf-8")
        training = {"tokens": int(float(run["tokens"])), "batch": run["rows"], "micro_tokens": run["length"]}
        recipe = recipe_from({
            "method": run["method"], "model": folder, "objective": {"name": "lm", "max_length": run["length"]},
            "training": training,
        })  # fmt: skip
        plan = made(settled(job_of(recipe), machine), machine)
    return {
        "gpu_hours": plan.seconds / 3600 * machine.count,
        "tokens_per_gpu": plan.tokens / plan.seconds / machine.count,
        "base_bytes": float(plan.memory["weights"] + plan.memory["copies"]),
        "peak_bytes": float(plan.peak),
    }[run["measure"]]


def spoken(measure: str, value: float) -> str:
    """A figure with its unit."""
    if measure == "gpu_hours":
        return f"{value:,.0f} GPU hours"
    return f"{value / 1e9:.1f} GB" if measure.endswith("bytes") else f"{value:,.0f} tokens/s a GPU"


def main() -> None:
    """The table, as docs/plan.md has it."""
    worst = 1.0
    for row in compared():
        figures = (spoken(row.measure, value) for value in (row.published, row.planned))
        print(f"| {row.what} | {' | '.join(figures)} | {row.difference:+.0%} | {row.source} |", flush=True)
        if not row.measure.endswith("bytes"):
            worst = max(worst, math.exp(abs(math.log(row.planned / row.published))))
    print(f"ratio {worst:.2f}")


if __name__ == "__main__":
    main()
