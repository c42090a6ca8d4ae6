"""Stages compared by people: questions for the label page, and how often its labels prefer each stage.

DIR/questions.jsonl      luthier label new DIR/questions.jsonl --out labels; luthier label serve labels
labels.jsonl             luthier label export labels --out labels.jsonl
the report               luthier rlhf RECIPE --out DIR --labels labels.jsonl
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.records import Record
from luthier.data.formats import load
from luthier.io.files import write_text
from luthier.objectives.sampling.drawing import words_of
from luthier.rlhf.paired import clustered

QUESTIONS = "questions.jsonl"


def write_questions(folder: Path, rows: Sequence[Record], written: Mapping[str, Sequence[str]], each: int) -> None:
    """A question for each prompt and two stages that follow each other: the first answer of both, where they differ.

    written: answers by stage in their order, `each` to a row.
    """
    names = list(written)
    asked = [
        {"prompt": words_of(row), "answers": [one, other], "sources": [before, name]}
        for before, name in pairwise(names)
        for at, row in enumerate(rows)
        if (one := written[before][at * each].strip()) != (other := written[name][at * each].strip()) and one and other
    ]
    write_text(folder / QUESTIONS, "".join(json.dumps(q, ensure_ascii=False) + "\n" for q in asked))


def add_wins(report: dict[str, Any], folder: Path, labels: Path) -> None:
    """Put what exported labels say into a report: `people` of each stage.

    win_rate, win_rate_se (None of one prompt); labels: how many; machine: those of them that a model gave.
    Pairs, rankings and ratings count alike; a tie is half a win. Labels of one prompt are one cluster.
    Raises LuthierError naming file and line for labels of other questions, and for edits, which prefer nothing.
    """
    asked = {_question(row.columns) for row in load(folder / QUESTIONS).rows}
    wins: dict[tuple[str, str], dict[str, list[float]]] = {}
    machine: Counter[frozenset[str]] = Counter()
    for line in load(labels).rows:
        if line.reason:
            raise LuthierError(f"{labels}:{line.line}: {line.reason}")
        row = line.columns
        if _question(row) not in asked or (won := _won(row)) is None:
            raise LuthierError(
                f"{labels}:{line.line}: does not compare two stages of {folder}: the questions are in "
                f"{folder / QUESTIONS}, for `luthier label new`; the labels come from `luthier label export`"
            )
        first, second = _sources(row)
        machine[frozenset((first, second))] += bool(row.get("machine"))
        wins.setdefault((first, second), {}).setdefault(str(row["prompt"]), []).append(won)
        wins.setdefault((second, first), {}).setdefault(str(row["prompt"]), []).append(1 - won)
    for stage in report["stages"]:
        if found := wins.get((stage["name"], str(stage.get("before")))):
            rate, error = clustered([fmean(x) for x in found.values()])
            stage["people"] = {
                "win_rate": rate, "win_rate_se": error if math.isfinite(error) else None,
                "labels": sum(map(len, found.values())),
                "machine": machine[frozenset((stage["name"], stage["before"]))],
            }  # fmt: skip


def _won(row: Mapping[str, Any]) -> float | None:
    """How far the first of two answers is preferred: 1, 0, or 0.5 for a tie; None where nothing says it."""
    if "chosen" in row:
        return 1.0
    given = row.get("ranks") or row.get("scores")
    if not (isinstance(given, list) and len(given) == 2 and all(type(x) in (int, float) for x in given)):
        return None
    ahead = int(given[0] > given[1]) - int(given[0] < given[1])
    return 0.5 - 0.5 * ahead if "ranks" in row else 0.5 + 0.5 * ahead  # 1 is the best rank


def _sources(row: Mapping[str, Any]) -> tuple[str, str]:
    """Who wrote the two answers, the chosen one first."""
    first, second = row.get("sources") or (row.get("chosen_source"), row.get("rejected_source"))
    return str(first), str(second)


def _question(row: Mapping[str, Any]) -> frozenset[Any] | None:
    """What was asked, whatever the order of the answers; None where that is not two answers."""
    answers = row.get("answers") or (row.get("chosen"), row.get("rejected"))
    try:
        return frozenset({str(row.get("prompt")), *zip(_sources(row), map(str, answers), strict=True)})
    except (TypeError, ValueError):
        return None
