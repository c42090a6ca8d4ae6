"""A patch of your own stands beside ours: the package `own_package` is installed, listed, compared and loaded.

    python examples/own_patch.py

Nothing is registered: pip installs a package with an entry point, and `luthier methods` lists it. Here it goes into a
folder of its own, so that your environment stays as it is. EXAMPLE_MODEL, EXAMPLE_ROWS and EXAMPLE_TOKENS as elsewhere.
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

listed = subprocess.run([sys.executable, "-m", "luthier", "methods"], check=True, capture_output=True, text=True)
print(next(line for line in listed.stdout.splitlines() if "upper_norms" in line))

board = luthier.compare(
    "mood",
    methods={"biases": {"patch": "bitfit"}, "norms": {"patch": "upper_norms", "options": {"weight_decay": 0.01}}},
    model=os.environ.get("EXAMPLE_MODEL", "embedded-encoder"),
    limit=int(os.environ.get("EXAMPLE_ROWS", "120")),
    budget=os.environ.get("EXAMPLE_TOKENS", "1500") + "-tokens",
    out="runs/own-patch",
)
print()
print(board)
row = board.row("norms")
if row.folder is not None:
    print(f"norms trained {row['trainable']:,} numbers:", luthier.load(row.folder).predict("What a lovely day"))
