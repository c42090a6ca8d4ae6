"""A patch of your own stands beside ours: the package `own_package` is installed, listed, compared and loaded.

    python examples/own_patch.py

Nothing is registered: pip installs a package with an entry point, and `luthier methods` lists it. Here it goes into a
folder of its own, so that your environment stays as it is. EXAMPLE_MODEL, EXAMPLE_ROWS and EXAMPLE_TOKENS as elsewhere.
"""

import os
import subprocess
import sys

from own_package.install import install

install()

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
