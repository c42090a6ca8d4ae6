"""Scores of a comparison stay what they were: a leaderboard kept in `before.json`, of tiny models, tokens as budget.

Where a change of scores is meant, docs/LOG.md says which, and LUTHIER_KEEP=1 writes the file anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import luthier
from luthier.io.files import read_json

KEPT = Path(__file__).parent / "before.json"
LABELS = ["zero_shot", "majority", "few_shot", "features", "lora", "full", "head", "layers", "soft_prompt", "prefix",
          "bitfit", "ia3"]  # fmt: skip
WRITTEN = ["zero_shot", "few_shot", "lora", "soft_prompt"]
SAME = ("score", "learning_rate", "seeds", "trainable", "steps", "tuned", "mergeable")
pytestmark = pytest.mark.usefixtures("in_this_process")


def questions(folder: Path) -> Path:
    """Rows whose answers are written, in two languages."""
    pairs = [(f"What is {a} and {b}?", f"It is {a + b}.") for a in range(5) for b in range(4)]
    pairs += [(f"{a}加{b}是多少？", f"是{a + b}。") for a in range(4) for b in range(4)]
    path = folder / "questions.jsonl"
    rows = [json.dumps({"prompt": q, "completion": a}, ensure_ascii=False) for q, a in pairs]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def found(board: Any) -> dict[str, Any]:
    """What of a comparison must not change; answers by their hash."""
    out = {}
    for row in board["rows"]:
        name = row.get("name") or row["method"]
        kept: dict[str, Any] = {key: row[key] for key in SAME} | {"status": row["status"]}
        if row["status"] == "ok":
            run = read_json(board.folder / "trials" / row["method"] / "seed-0" / "eval.json")
            text = json.dumps([run["answers"], run["per_row"]], ensure_ascii=False)
            kept["answers"] = hashlib.sha256(text.encode()).hexdigest()[:16]
            kept["tokens"] = run["tokens"]
        out[name] = kept
    return out


def compared(what: str, methods: list[str], data: Path, folder: Path, model: Path) -> dict[str, Any]:
    path = data if what == "labels" else questions(folder)
    asked: dict[str, Any] = {"model": str(model), "threads": 1, "budget": "1500-tokens", "out": folder / what}
    return found(luthier.compare(path, methods=methods, **asked))


@pytest.mark.parametrize(
    ("what", "methods"),
    [
        ("labels", ["zero_shot", "features", "lora", "full"]),
        ("written", ["zero_shot", "lora"]),
        pytest.param("labels", LABELS, marks=pytest.mark.slow),
        pytest.param("written", WRITTEN, marks=pytest.mark.slow),
    ],
)
def test_scores_are_what_they_were(
    what: str, methods: list[str], data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    now, before = compared(what, methods, data, tmp_path, tiny_folder("llama_tied")), read_json(KEPT)
    if os.environ.get("LUTHIER_KEEP"):
        KEPT.write_text(json.dumps({**before, what: {**before[what], **now}}, indent=1) + "\n", encoding="utf-8")
    kept = {name: {k: v for k, v in before[what][name].items() if k != "ci95"} for name in now}
    assert list(now) and kept == now, "intervals were made wider since: docs/LOG.md"
