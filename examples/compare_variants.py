"""Compare variants of one method: each entry of a dict names a patch or direct method, an objective and options.

    python examples/compare_variants.py

The same dict as YAML is a file for `luthier compare --methods-file`. EXAMPLE_MODEL, EXAMPLE_ROWS and EXAMPLE_TOKENS
change the base, the rows and the budget.
"""

import os

import luthier

variants = {
    "lora-r2": {"patch": "lora", "options": {"rank": 2}},
    "lora-r16": {"patch": "lora", "options": {"rank": 16}},
    "logistic": {"direct": "features", "options": {"classifier": "logistic"}},
    "svm": {"direct": "features", "options": {"classifier": "svm"}},
}

board = luthier.compare(
    "mood",
    methods=variants,
    model=os.environ.get("EXAMPLE_MODEL", "embedded-encoder"),
    limit=int(os.environ.get("EXAMPLE_ROWS", "120")),
    budget=os.environ.get("EXAMPLE_TOKENS", "1500") + "-tokens",
    prefer="size",  # among those that cannot be told from the best, recommend what is smallest to ship
    out="runs/variants",
)

print()
print(board)
for row in board.rows:
    if row.status == "ok":
        print(f"{row.name}: trains {row['trainable']:,} numbers, ships {row['artifact_bytes'] / 1e6:.1f} MB")
