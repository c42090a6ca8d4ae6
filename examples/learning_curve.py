"""How many labelled rows do I need? The same methods on 16, 32 and all of the rows, with intervals.

    python examples/learning_curve.py

EXAMPLE_MODEL names another base than the embedded encoder, EXAMPLE_ROWS how many rows there are in all.
"""

import os

import luthier

rows = int(os.environ.get("EXAMPLE_ROWS", "150"))
board = luthier.compare(
    "mood",
    methods="majority,features",
    model=os.environ.get("EXAMPLE_MODEL", "embedded-encoder"),
    limit=rows,
    curve=[8, 16, 32],  # besides all rows of the training part, which are three fifths
    budget="1000-tokens",
    out="runs/curve",
)

print()
print(board)
for curve in board["curve"]["methods"]:
    print(curve["name"])
    for point in curve["points"]:
        low, high = point["ci95"]
        print(f"  {point['rows']:>4} rows: {point['score']:.2f} ({low:.2f} to {high:.2f})")
    print(f"  from {curve['enough']} rows on no size can be told from the largest; more help: {curve['more_helps']}")
