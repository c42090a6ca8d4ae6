"""What `make demo` shows, with three seeds: the leaderboard of the embedded messages, kept as a result.

make bench NAME=demo_three_seeds
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import peer

BUDGET, SEEDS = "45s", 3
METHODS = "zero_shot,few_shot,features,full,layers,head,bitfit,lora,soft_prompt"  # those of `make demo`


def main() -> None:
    """Compare and keep the board."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        out = Path(name) / "run"
        command = [sys.executable, "-m", "luthier", "compare", "--budget", BUDGET, "--seeds", str(SEEDS)]
        command += ["--methods", METHODS]
        subprocess.run([*command, "--out", str(out)], check=True)
        board = json.loads((out / "leaderboard.json").read_text(encoding="utf-8"))
        board["recommendation"]["command"] = board["recommendation"]["command"].replace(str(out), "RUN")
        plan = json.loads((out / "plan.json").read_text(encoding="utf-8"))
        environment = json.loads(next(out.glob("trials/*/seed-0/environment.json")).read_text(encoding="utf-8"))
        split = json.loads((out / "split.json").read_text(encoding="utf-8"))
    sizes = {part: split[part] for part in ("train", "validation", "test")}
    peer.save(
        "demo_three_seeds",
        {
            "compare": f"luthier compare --budget {BUDGET} --seeds {SEEDS} --methods {METHODS}",
            "versions": environment,
            "threads": plan["threads"],
            "dtype": plan["dtype"],
            "rows": sizes,
            "leaderboard": board,
        },
    )


if __name__ == "__main__":
    main()
