"""Test rows and answers for the tests of the report's sections about single rows; some of the rows are hostile."""

from __future__ import annotations

import random
from typing import Any

from board_sample import sample_board
from luthier.comparison.per_row import evidence
from luthier.comparison.rows import TestRow

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)> & \"quotes\" 'single' `ticks` {n} ${title}",
    "\u202eright to left override \u2067 and an isolate that is never closed",
    "a\u2028line\u2029separators\x1b[31m and a terminal's red",
    "<!-- a comment, <![CDATA[ and ]]> a \\u003c/script\\u003e",
)
LABELS = ("refund", "delivery", "账户安全", 'a "label" </script>')


def sample_rows(n: int = 60) -> list[TestRow]:
    """Rows of four labels, a third of them Chinese, the hostile texts first."""
    rng = random.Random(3)
    texts = [*HOSTILE, *(f"{'我的包裹在哪里' if i % 3 == 0 else 'where is my parcel'} {i}" for i in range(n))][:n]
    return [TestRow(text, label := rng.choice(LABELS), (label,)) for text in texts]


def sample_runs(rows: list[TestRow], seeds: int = 2, keep: tuple[str, ...] = ()) -> dict[str, list[dict[str, Any]]]:
    """Answers of the sample board's finished methods, right about as often as its scores say."""
    rng = random.Random(5)
    runs: dict[str, list[dict[str, Any]]] = {}
    for row in sample_board()["rows"]:
        if row["status"] != "ok" or (keep and row["method"] not in keep):
            continue
        runs[row["method"]] = []
        for _ in range(seeds):
            answers = [r.wanted if rng.random() < row["score"] else rng.choice(LABELS) for r in rows]
            per_row = [float(a == r.wanted) for a, r in zip(answers, rows, strict=True)]
            runs[row["method"]].append(
                {"per_row": per_row, "answers": answers, "score": sum(per_row) / len(per_row), "metric": "accuracy"}
            )
    return runs


def sample_evidence(n: int = 60) -> dict[str, Any]:
    """What the report gets for the sample board."""
    rows = sample_rows(n)
    found = evidence(rows, sample_runs(rows), "lora")
    assert found
    return found
