"""What the test rows and every method's answers show: samples, confusions, quality by group, disagreement.

All of it are plain numbers and texts for the report and the model card; nothing here knows HTML. Scores are per row,
as `eval.json` has them, the mean over seeds where there are several; answers are those of the first seed, except in
confusion matrices, which count every seed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from luthier.comparison.rows import TestRow
from luthier.core.metric import weighted
from luthier.evals.bootstrap import wilson

Array = np.ndarray[Any, Any]
Runs = Mapping[str, Sequence[Mapping[str, Any]]]

SAMPLES = 200
TEXT_BUDGET = 1_200_000  # characters of all samples together: what the page grows by at most
LONGEST_INPUT, LONGEST_ANSWER = 700, 400
CONFUSED, GROUPED, COMPARED = 20, 60, 24  # labels in a matrix, labels in the table, methods in the square of pairs
RESAMPLES = 2000


def evidence(rows: Sequence[TestRow], runs: Runs, best: str | None) -> dict[str, Any] | None:
    """Everything below for the finished methods, best first. None without rows, answers, or where they do not fit."""
    order = sorted(runs, key=lambda m: (m != best, -_mean(runs[m])))
    fit = [
        m for m in order if all(len(run.get(k) or ()) == len(rows) for run in runs[m] for k in ("per_row", "answers"))
    ]
    if not rows or not fit:
        return None
    each = {m: np.asarray([_told(run) for run in runs[m]], dtype=float) for m in fit}
    scores, first = {m: found.mean(axis=0) for m, found in each.items()}, {m: found[0] for m, found in each.items()}
    answers = {m: [str(a) for a in runs[m][0]["answers"]] for m in fit}
    binary = all(set(np.unique(found)) <= {0.0, 1.0} for found in each.values())
    labels = [name for name, _ in Counter(name for row in rows for name in row.labels).most_common()]
    codes = np.asarray([_codes(answers[m]) for m in fit])
    found = {
        "methods": fit,
        "best": best if best in fit else None,
        "binary": binary,
        "rows": len(rows),
        "seeds": {m: len(runs[m]) for m in fit},
        "labels": labels,
        "by_label": [_group(n, [n in row.labels for row in rows], scores, binary) for n in labels[:GROUPED]],
        "by_language": [
            group
            for name, han in (("han", True), ("no_han", False))
            if (group := _group(name, [row.han is han for row in rows], scores, binary))["rows"]
        ],
        "confusion": _confusion(rows, {m: runs[m] for m in fit}),
    }
    found |= _disagreement(codes, first, fit, best, binary)
    samples = _samples(rows, answers, first, _flags(codes, first, fit, best, binary))
    return found | {"samples": samples, "sample_labels": sorted({n for s in samples for n in s["labels"]})}


def _told(run: Mapping[str, Any]) -> list[float]:
    """A row's score; of metrics that weigh rows by their labels, whether it is right."""
    weighed = weighted(str(run.get("metric", "")))
    return [float(score > 0) for score in run["per_row"]] if weighed else list(run["per_row"])


def _mean(runs: Sequence[Mapping[str, Any]]) -> float:
    values = [float(run["score"]) for run in runs]
    return sum(values) / len(values)


def _codes(answers: Sequence[str]) -> list[int]:
    """Equal numbers for equal answers; white space makes no difference."""
    return [hash(" ".join(a.split())) for a in answers]


# -- groups ----------------------------------------------------------------------------------------------------------


def _group(name: str, inside: Sequence[bool], scores: Mapping[str, Array], binary: bool) -> dict[str, Any]:
    """A group's rows and every method's mean on them, each with its interval: `[value, low, high]`."""
    mask = np.asarray(inside)
    cells = {}
    for method, values in scores.items():
        own = values[mask]
        if len(own):
            low, high = _score_interval(own) if binary else bootstrap(own)
            cells[method] = [float(own.mean()), low, high]
    return {"name": name, "rows": int(mask.sum()), "cells": cells}


def _score_interval(right: Array) -> tuple[float, float]:
    found = wilson(float(right.mean()), len(right))
    return found.low, found.high


def bootstrap(values: Array, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of a mean over rows that are drawn again."""
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


# -- which label was taken for which ----------------------------------------------------------------------------------


def _confusion(rows: Sequence[TestRow], runs: Runs) -> dict[str, Any] | None:
    """Counts wanted × answered over all seeds for rows of exactly one label; None where the task has no labels.

    The most frequent labels have lines of their own; the last line and column, `rest`, hold all others where there
    are any. right: answers that equal the wanted label, which the counts of `rest` do not tell.
    """
    if any(len(row.labels) != 1 for row in rows):
        return None
    wanted = [row.labels[0] for row in rows]
    total = Counter(wanted)
    for found in runs.values():
        for run in found:
            total.update(dict.fromkeys(map(str, run["answers"]), 0))  # named by a method, wanted by no row
    ranked = sorted(total, key=lambda name: (-total[name], name))
    shown = sorted(ranked[:CONFUSED])
    rest = len(ranked) > len(shown)
    place = {name: at for at, name in enumerate(shown)}
    counts, right = {}, {}
    for method, found in runs.items():
        table = np.zeros((len(shown) + rest, len(shown) + rest), dtype=int)
        for run in found:
            for want, said in zip(wanted, map(str, run["answers"]), strict=True):
                table[place.get(want, -1), place.get(said, -1)] += 1
        counts[method] = table.tolist()
        right[method] = sum(w == str(a) for run in found for w, a in zip(wanted, run["answers"], strict=True))
    return {"labels": shown, "rest": rest, "all": len(ranked), "counts": counts, "right": right}


# -- disagreement ----------------------------------------------------------------------------------------------------


def _flags(
    codes: Array, first: Mapping[str, Array], methods: Sequence[str], best: str | None, binary: bool
) -> dict[str, Array]:
    """For each row: whether methods disagree, whether the best is wrong (or beaten), whether all are wrong."""
    table = np.asarray([first[m] for m in methods])
    lead = table[methods.index(best)] if best in methods else table.max(axis=0)
    return {
        "disagree": (codes != codes[0]).any(axis=0),
        "best": lead < 1 if binary else (table > lead).any(axis=0),
        "none": (table == 0).all(axis=0),
    }


def _disagreement(
    codes: Array, first: Mapping[str, Array], methods: Sequence[str], best: str | None, binary: bool
) -> dict[str, Any]:
    """Totals over all rows, and for each pair the share of equal answers and the rows on which one is ahead."""
    totals = {name: int(flag.sum()) for name, flag in _flags(codes, first, methods, best, binary).items()}
    shown = methods[:COMPARED]
    same = [[float((codes[i] == codes[j]).mean()) for j in range(len(shown))] for i in range(len(shown))]
    ahead = [[int((first[a] > first[b]).sum()) for b in shown] for a in shown]
    return {"totals": totals, "pairs": {"methods": list(shown), "same": same, "ahead": ahead}}


# -- samples ---------------------------------------------------------------------------------------------------------


def fair_sample(rows: Sequence[TestRow], size: int) -> list[int]:
    """Places of `size` rows, or all, drawn at random with each label and language at its share; in their order.

    Rows are put in order by label, language and a random number, and every n-th is taken (systematic sampling).
    """
    if len(rows) <= size:
        return list(range(len(rows)))
    rng = random.Random(0)
    order = sorted(range(len(rows)), key=lambda i: (rows[i].labels, rows[i].han, rng.random()))
    step = len(rows) / size
    start = rng.random() * step
    return sorted(order[int(start + step * k) % len(rows)] for k in range(size))


def shorten(text: str, longest: int) -> str:
    """A text of at most about `longest` characters: its beginning and its end, where a question often stands."""
    if len(text) <= longest:
        return text
    head = longest * 2 // 3
    return f"{text[:head].rstrip()} […] {text[head - longest :].lstrip()}"


def _samples(
    rows: Sequence[TestRow], answers: Mapping[str, Sequence[str]], first: Mapping[str, Array],
    flags: Mapping[str, Array],
) -> list[dict[str, Any]]:  # fmt: skip
    size = SAMPLES
    while True:
        found = [_sample(i, rows[i], answers, first, flags) for i in fair_sample(rows, size)]
        length = sum(len(s["asked"]) + len(s["wanted"]) + sum(map(len, s["answers"])) for s in found)
        if length <= TEXT_BUDGET or size <= 10:
            return found
        size = max(10, int(size * 0.9 * TEXT_BUDGET / length))


def _sample(
    i: int, row: TestRow, answers: Mapping[str, Sequence[str]], first: Mapping[str, Array], flags: Mapping[str, Array]
) -> dict[str, Any]:
    return {
        "row": i + 1,
        "asked": shorten(row.asked, LONGEST_INPUT),
        "wanted": shorten(row.wanted, LONGEST_ANSWER),
        "labels": list(row.labels),
        "han": row.han,
        "answers": [shorten(answers[m][i], LONGEST_ANSWER) for m in answers],
        "scores": [round(float(first[m][i]), 4) for m in answers],
        "is": [name for name, flag in flags.items() if flag[i]],
    }
