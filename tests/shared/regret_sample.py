"""Boards and files of sets as `bench/regret.py` reads and writes them, made by hand."""

from __future__ import annotations

from typing import Any

ROWS = 40


def right(share: float) -> list[float]:
    """Scores of ROWS rows, the first ones right."""
    return [float(at < share * ROWS) for at in range(ROWS)]


def board(best: str, kind: str = "use", **scores: float) -> dict[str, Any]:
    """A leaderboard with what the bench reads of it."""
    rows = [{"name": name, "status": "ok", "score": score} for name, score in scores.items()]
    top = scores[best]
    return {
        "model": "embedded",
        "best": best,
        "rows": rows,
        "winner": {
            "name": best,
            "score": top,
            "corrected": top - 0.02,
            "ci95": [top - 0.1, top + 0.1],
            "of": len(rows),
        },
        "recommendation": {"kind": kind, "name": best, "score": top},
        "spent": {"cpu": 120.0},
    }


def record(small: dict[str, Any], large: dict[str, Any], at_small: float, **more: float) -> dict[str, Any]:
    """A finished set's file. at_small: the small winner's run on the large test set. more: scored, not on the board."""
    scores = {row["name"]: right(row["score"]) for row in large["rows"] if row["status"] == "ok"}
    return {
        "set": "mood", "task": "classification", "known": True, "points": 100.0, "commit": "abc", "date": "day",
        "versions": {"luthier": "1"}, "machine": {"cores": 2, "vector instructions": "AVX2"},
        "settings": {"budget": "4k-tokens", "truth": 10, "rows": 9, "few": 20, "test": ROWS, "methods": "lora,full"},
        "rows": {"train": 9, "few": 20, "truth": ROWS}, "small": small, "large": large,
        "scores": {
            "small": {small["best"]: right(at_small)},
            "large": scores | {name: right(share) for name, share in more.items()},
        },
    }  # fmt: skip
