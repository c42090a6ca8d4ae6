"""Stages compared by people: questions for the label page, and how often its labels prefer each stage.

DIR/questions.jsonl      luthier label new DIR/questions.jsonl --out labels; luthier label serve labels
labels.jsonl             luthier label export labels --out labels.jsonl
the report               luthier rlhf RECIPE --out DIR --labels labels.jsonl
"""

from __future__ import annotations

import json
import math
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
    """Put what exported labels say into a report: `people` of each stage, {"win_rate", "win_rate_se", "labels"}.

    A tie is half a win. Labels of one prompt are one cluster. Raises LuthierError for labels of other questions.
    """
    asked = {_question(row) for row in _rows(folder / QUESTIONS)}
    wins: dict[tuple[str, str], dict[str, list[float]]] = {}
    for at, row in enumerate(_rows(labels), 1):
        if _question(row) not in asked:
            raise LuthierError(
                f"{labels}:{at}: does not compare two stages of {folder}: the questions are in {folder / QUESTIONS}, "
                "for `luthier label new`; the labels come from `luthier label export`"
            )
        first, second = _sources(row)
        won = 1.0 if "chosen" in row else 0.5
        wins.setdefault((first, second), {}).setdefault(str(row["prompt"]), []).append(won)
        wins.setdefault((second, first), {}).setdefault(str(row["prompt"]), []).append(1 - won)
    for stage in report["stages"]:
        if found := wins.get((stage["name"], str(stage.get("before")))):
            rate, error = clustered([fmean(x) for x in found.values()])
            stage["people"] = {
                "win_rate": rate, "win_rate_se": error if math.isfinite(error) else None,
                "labels": sum(map(len, found.values())),
            }  # fmt: skip


def _rows(path: Path) -> list[dict[str, Any]]:
    return [row.columns for row in load(path).rows]


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
