"""A metric of your own decides a comparison: a label next to the right one counts half.

    python examples/own_metric.py

The metric is one file of the package `own_package`, found by its entry point; intervals and verdicts are those of any
other. EXAMPLE_MODEL and EXAMPLE_ROWS as elsewhere.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE, SITE = Path(__file__).parent / "own_package", Path("site").resolve()
if not SITE.exists():
    shutil.copytree(SOURCE, "own_package", dirs_exist_ok=True)  # pip builds where the source is
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(SITE), "./own_package"], check=True)
sys.path.insert(0, str(SITE))  # `pip install ./examples/own_package` needs neither of these lines
os.environ["PYTHONPATH"] = os.pathsep.join([str(SITE), os.environ.get("PYTHONPATH", "")])  # for the workers

import luthier  # noqa: E402

for metric in ("accuracy", "graded"):
    board = luthier.compare(
        "mood",
        metric=metric,
        methods="majority,features",
        model=os.environ.get("EXAMPLE_MODEL", "embedded-encoder"),
        limit=int(os.environ.get("EXAMPLE_ROWS", "150")),
        budget="1000-tokens",
        out=f"runs/by-{metric}",
    )
    for row in board.rows:
        print(f"{metric}: {row.name} {row.score}", row.interval or row.reason)
