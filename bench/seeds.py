"""What a recipe of stages gains on the embedded model with several seeds, kept as a result.

A seed changes what is drawn, the order of rows and what patches begin from, not the rows that are held out. With --work
DIR the runs stay there, and what is finished is not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peer

GOAL, FAR = 3.0, 25.0  # standard errors of the last stage's gain; nats an answer from its start


def main(name: str, recipe: str, seeds: Sequence[int]) -> None:
    """Run what is left, print the gains, keep the reports. The last line is the least gain in its standard errors."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as temporary:
        found = [_seed((given.work or Path(temporary)) / f"seed-{seed}", recipe, seed) for seed in seeds]
    peer.save(name, {"recipe": recipe, "goal": [GOAL, FAR], "seeds": found})
    ratios = []
    for one in found:
        last = one["report"]["stages"][-1]
        ratios.append(last["gain"] / last["gain_se"])
        reached = ratios[-1] > GOAL and 0 < last["kl"] < FAR
        print(
            f"  seed {one['seed']}: {last['name']} {last['gain']:+.3f} ({ratios[-1]:.1f} standard errors), "
            f"{last['kl']:.2f} nats an answer, {one['seconds'] / 60:.1f} minutes: {'as' if reached else 'NOT as'} asked"
        )
    print(f"ratio {min(ratios):.2f}")


def _seed(folder: Path, recipe: str, seed: int) -> peer.Figures:
    """The report of one seed without its samples, how long it took, and what it ran on."""
    took = folder / "took.json"
    if not took.exists():
        begun = time.monotonic()
        command = [sys.executable, "-m", "luthier", "rlhf", str(peer.HERE.parent / recipe), f"seed={seed}"]
        subprocess.run([*command, "--out", str(folder)], check=True)
        took.write_text(json.dumps(time.monotonic() - begun), encoding="utf-8")
    report = _read(folder / "report.json")
    report.pop("samples")
    for stage in report["stages"]:
        stage.pop("audit", None)
    formats = {path.parent.name: _dtype(path) for path in sorted(folder.glob("stages/*/recipe.yaml"))}
    versions = _read(next(iter(sorted(folder.glob("stages/*/environment.json")))))
    return {"seed": seed, "seconds": _read(took), "dtypes": formats, "versions": versions, "report": report}


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _dtype(recipe: Path) -> str:
    """The number format of a stage."""
    lines = recipe.read_text(encoding="utf-8").splitlines()
    return next(line.split(":")[1].strip() for line in lines if line.startswith("dtype:"))
