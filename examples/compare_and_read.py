"""Compare methods under an equal budget, and read the board: scores, intervals, verdicts, the recommendation.

    python examples/compare_and_read.py

On 120 rows of the embedded set `mood` (English and Chinese), with the embedded encoder. EXAMPLE_ROWS, EXAMPLE_MODEL
and EXAMPLE_TOKENS change that; with your own file it is `luthier.compare("mine.csv", total="15m")`.
"""

import os

import luthier

board = luthier.compare(
    "mood",
    limit=int(os.environ.get("EXAMPLE_ROWS", "120")),
    model=os.environ.get("EXAMPLE_MODEL", "embedded-encoder"),
    methods="majority,features,head,lora",
    budget=os.environ.get("EXAMPLE_TOKENS", "1500") + "-tokens",  # for each method; as many again to choose its rate
    out="runs/mood",
)

print()
print(board)  # a table, the recommendation and where the report is
print()
for row in board.rows:
    if row.interval:
        low, high = row.interval
        print(f"{row.name}: {row.score:.2f}, surely between {low:.2f} and {high:.2f}; {row['train_seconds']:.0f} s")
    else:
        print(f"{row.name}: {row.status}, {row.reason}")
for sentence in board.verdicts:  # what the test rows can tell, and what they cannot
    print("-", sentence)

again = luthier.open("runs/mood")  # later, or after `luthier compare --out runs/mood`
best = again.best
if best is not None and best.folder is not None:
    print(best.name, "says:", luthier.load(best.folder).predict(["what a lovely day", "今天真倒霉"]))
