"""A finished run scored on another labelled file."""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.core.metric import find
from luthier.core.phrases import remember
from luthier.core.records import Labelled, Record, Task
from luthier.core.split import Split
from luthier.io.files import read_json, write_json

if TYPE_CHECKING:
    import numpy as np

    from luthier.data.read import Table
    from luthier.evals.task import Scores
    from luthier.io.config import DataConfig
    from luthier.models.causal import Progress

RESAMPLES = 2000
OUTPUTS: Mapping[Task, tuple[str, ...]] = {
    "classification": ("labels",),
    "multilabel": ("tags",),
    "regression": ("scalar",),
    "generation": ("text",),
    "text": ("text",),
    "preference": ("text", "reward", "verdict"),
}


def evaluate_run(
    run: Path, config: DataConfig, name: str | None, say: Progress | None = None, template: Path | None = None
) -> dict[str, Any]:
    """Score the run on all rows of `config.path` into RUN/evaluations/NAME.json, and give what was written.

    template: a file with another wording than the run's own; its name is part of NAME unless that is given.

    Raises LuthierError when the run is not finished, the file is for another task, or the name is taken by other data.
    """
    from luthier.data.together import spoken_table
    from luthier.evals.task import evaluate
    from luthier.evals.temperature import errors, kept, targets
    from luthier.evals.wording import reworded
    from luthier.io.config import read_recipe
    from luthier.runs.loaded import load_run
    from luthier.runs.run import run_labels

    stem = Path(config.path).stem + (f"-{template.stem}" if template else "")
    target = run / "evaluations" / f"{_checked(name or stem)}.json"
    recipe = read_recipe(run / "recipe.yaml") if (run / "recipe.yaml").is_file() else None
    if recipe is None:
        raise LuthierError(f"{run}: not a run folder (it has no recipe.yaml)")
    table = _table(config, target.with_suffix(".rejected.jsonl"))
    key = _key(table)
    if target.exists() and read_json(target).get("data_key") != key:
        raise LuthierError(f"{target} holds scores on other data: give these another name with --name")
    labels = run_labels(run)
    if recipe.data.also and table.task == "classification":
        table = spoken_table(table, recipe.data)
    rows = _some(table.records, config.limit)
    lm = load_run(run, progress=say)
    lm = reworded(lm, template) if template else lm
    if (gives := lm.output) not in OUTPUTS[table.task]:
        raise LuthierError(f"{config.path}: is for {table.task}, but the run {run} was trained to answer with {gives}")
    own = recipe.data.metric if recipe.data.metric and table.task in find(recipe.data.metric).tasks else ""
    data = Split(table.task, _training_rows(recipe.data) or tuple(rows), (), (), labels, metric=own)
    scores = evaluate(lm, data, rows)
    if scores.label_logprobs is not None and not template and (temperature := kept(run)) is not None:
        scores.secondary |= errors(scores.label_logprobs, targets(rows, labels), temperature)
    result = _result(scores, rows, labels) | {
        "data": Path(config.path).name,
        "data_key": key,
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "left_out": len(table.bad),
        "notes": list(table.notes),
        **scores.kept,
    }
    write_json(target, remember(result, "notes"))
    return result | {"path": str(target)}


def _some(records: Sequence[Record], limit: int | None) -> Sequence[Record]:
    """At most `limit` random records, the same each time, in the file's order."""
    if limit is None or limit >= len(records):
        return records
    return [records[i] for i in sorted(random.Random(0).sample(range(len(records)), limit))]


def _checked(name: str) -> str:
    if not re.fullmatch(r"[^/\\.\0][^/\\\0]*", name):
        raise LuthierError(f"--name {name!r}: a file's name without folders and without a dot in front")
    return name


def _table(config: DataConfig, rejected: Path) -> Table:
    from luthier.data.read import report_bad
    from luthier.data.task import imitates, read_table, supervised

    table = read_table(config, config.path)
    report_bad(table, config.skip_bad, rejected)
    found, unused = supervised(table, imitates(config))
    if not found.records:
        raise LuthierError(f"{config.path}: none of {len(unused)} rows can be used: {unused[0].reason}")
    return found


def _key(table: Table) -> str:
    """A fingerprint of the rows."""
    digest = hashlib.sha256()
    for record in table.records:
        digest.update(repr(record).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def _training_rows(config: DataConfig) -> tuple[Record, ...]:
    """The rows the run learned from, which bound how long an answer may be; none where they are gone."""
    from luthier.data.load import load_split

    try:
        return load_split(replace(config, skip_bad=True))[0].train
    except (LuthierError, OSError):
        return ()


def _result(scores: Scores, rows: Sequence[Record], labels: Sequence[str]) -> dict[str, Any]:
    """Every metric with its 95 % interval over rows, where it is a mean over rows or a count of labels."""
    from luthier.evals.bootstrap import Bootstrap
    from luthier.evals.resampled import score

    interval = score({"metric": scores.metric, **scores.kept})
    secondary: dict[str, Any] = {k: {"value": v, "ci95": None} for k, v in scores.secondary.items()}
    wanted = [r.wanted for r in rows]
    if "macro_f1" in secondary:
        secondary["macro_f1"]["ci95"] = macro_f1_interval(wanted, scores.answers)
    if "exact_match" in secondary:
        same = [float(a.strip() == w.strip()) for a, w in zip(scores.answers, wanted, strict=True)]
        exact = Bootstrap({"run": [same]}).score("run")
        secondary["exact_match"]["ci95"] = [exact.low, exact.high]
    unknown = sorted({r.label for r in rows if isinstance(r, Labelled)} - set(labels))
    return {
        "metric": scores.metric,
        "score": interval.value,
        "ci95": [interval.low, interval.high],
        "rows": len(rows),
        "secondary": secondary,
        "unknown_labels": {u: wanted.count(u) for u in unknown},
    }


def macro_f1_interval(wanted: Sequence[str], chosen: Sequence[str], seed: int = 0) -> list[float]:
    """95 % interval of macro-F1 by the bootstrap over rows; a label that a resample lacks does not count there."""
    import numpy as np

    n = len(wanted)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    a, b = np.array(wanted), np.array(chosen)
    each: list[np.ndarray[Any, Any]] = []
    for label in sorted({*wanted, *chosen}):
        right, said, there = (times @ m.astype(int) for m in ((a == label) & (b == label), b == label, a == label))
        with np.errstate(invalid="ignore"):
            each.append(2 * right / (said + there))
    low, high = np.percentile(np.nanmean(np.stack(each), axis=0), [2.5, 97.5])
    return [float(low), float(high)]


def spoken(result: Mapping[str, Any]) -> list[str]:
    """The result in lines."""
    low, high = result["ci95"]
    lines = [f"{result['metric']} {result['score']:.3f} (95 % {low:.3f} to {high:.3f}) on {result['rows']} rows"]
    for name, found in result["secondary"].items():
        interval = f" (95 % {found['ci95'][0]:.3f} to {found['ci95'][1]:.3f})" if found["ci95"] else ""
        lines.append(f"  {name} {found['value']:.3f}{interval}")
    if result["unknown_labels"]:
        named = ", ".join(f'"{label}"' for label in list(result["unknown_labels"])[:10])
        count = sum(result["unknown_labels"].values())
        lines.append(f"  {count} rows have labels that the run never learned ({named}): it cannot get them right")
    return lines + [f"  {note}" for note in result["notes"]]
