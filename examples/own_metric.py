"""A metric of your own decides a comparison: a label next to the right one counts half.

    python examples/own_metric.py

The metric is one file of the package `own_package`, found by its entry point; intervals and verdicts are those of any
other. EXAMPLE_MODEL and EXAMPLE_ROWS as elsewhere.
"""

import os

from own_package.install import install

install()

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
