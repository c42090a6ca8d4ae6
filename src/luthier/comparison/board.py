"""From finished trials to `leaderboard.json` and the report."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from luthier.comparison import curve
from luthier.comparison.answer import answer
from luthier.comparison.cost import TIMES, busy, explained, spent
from luthier.comparison.leaderboard import CONSTANT, SCHEMA, Lopsided, Row, as_json
from luthier.comparison.per_row import evidence
from luthier.comparison.plan import Plan, Request, check_methods, read_plans, read_request
from luthier.comparison.results import log_error, read_notes, read_outcome, read_runs
from luthier.comparison.rows import TestRow, read_languages, read_rows
from luthier.comparison.trial_list import Trial, name_of, short_names, trials_of
from luthier.comparison.verdicts import KEY, below, judge, read_floor, recommend, resolution, tied, unsure, winner
from luthier.core import catalog
from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase, remember, say
from luthier.evals import formatting
from luthier.evals.bootstrap import Bootstrap
from luthier.evals.resampled import bootstrap as bootstrap_of
from luthier.io import config
from luthier.io.config import EndpointConfig
from luthier.io.files import read_record

Runs = dict[str, list[dict[str, Any]]]
MOSTLY = 0.8  # share of the test rows beyond which always answering one label looks good
DRAWN = ("wins", "wins_ci95", "kl", "kl_ci95", "reply_tokens")  # of the first seed: answers are dear


def gather(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The leaderboard and the details of the report, from the files of a finished comparison."""
    if not (folder / "request.json").exists():
        raise LuthierError(f"{folder}: no comparison was begun here")
    request = read_request(folder)
    plans = read_plans(request, folder)
    outcomes = {c: read_outcome(folder, c.place) for c in trials_of(request) if c.rows is None}
    trials = {name_of(request, c): c for c, outcome in outcomes.items() if outcome["status"] != "unneeded"}
    done = {n: outcomes[c]["seeds"] for n, c in trials.items() if outcomes[c]["status"] == "ok"}
    runs = {n: read_runs(folder, trials[n].place, seeds) for n, seeds in done.items()}
    counts = read_record(folder / "split.json", "task", "metric", "train")
    task, metric = counts["task"], counts["metric"]
    floor = read_floor(folder, task, len(next(iter(runs.values()))[0]["per_row"])) if runs else None
    bootstrap = bootstrap_of({**runs, **({KEY: [floor.run]} if floor else {})}, metric)
    made = [
        _row(n, c, runs[n], bootstrap, plans[c.model].request.batch)
        if n in runs
        else Row(n, c.method, c.model, outcomes[c]["status"], outcomes[c]["reason"])
        for n, c in trials.items()
    ]
    rows = [remember(as_json(row), "reason") for row in made]
    rows.sort(key=lambda row: -row["score"] if row["score"] is not None else 1e9)
    best = next((row for row in rows if row["status"] == "ok"), None)
    found, won = judge(rows, bootstrap, floor), winner(rows, bootstrap)
    board = {
        "schema": SCHEMA,
        "task": task,
        "metric": metric,
        "model": ", ".join(request.models),
        "models": _models(request, plans),
        "budget": _budget(plans),
        "rows": rows,
        "best": best["name"] if best else None,
        "constant": as_json(floor.constant) if floor else None,
        "verdicts": list(map(as_json, found)),
        "recommendation": as_json(
            recommend(rows, found, floor, lambda name: trials[name].folder(folder) / "seed-0", request.prefer)
        ),
        "winner": as_json(won) if won else None,
        "lopsided": as_json(uneven) if (uneven := lopsided(request, metric, read_rows(folder))) else None,
        "answer": explained(answer(rows, found, floor, bootstrap, metric), rows, request, counts, folder, trials),
        "spent": spent(folder, runs),
    }
    if request.curve:
        by_rows = curve.lines(request, folder, runs, int(counts["train"]))
        board["curve"] = curve.table(by_rows, best["name"] if best else None)
    details = _details(request, plans, folder, trials, board, runs)
    notes = [*busy(runs), *_elsewhere(outcomes), *details["notes"]]
    clear = [[a, b] for a in runs for b in runs if bootstrap.together(a, b).low > 0]
    return board, details | {
        "notes": notes,
        "below": below(found),
        "tied": tied(found),
        "unsure": unsure(found),
        "clear": clear,
        "resolution": resolution(found),
    }


def lopsided(request: Request, metric: str, rows: Sequence[TestRow]) -> Lopsided | None:
    """Where accuracy decides and one label has over 80 % of the test rows: which, and the command that weighs labels
    alike."""
    if metric != "accuracy" or not rows or any(len(row.labels) != 1 for row in rows):
        return None
    label, most = Counter(row.labels[0] for row in rows).most_common(1)[0]
    if most <= MOSTLY * len(rows):
        return None
    by_label = replace(request, data=replace(request.data, metric="macro_f1"))
    return Lopsided(label, most / len(rows), command_of(by_label))


def _elsewhere(outcomes: Mapping[Trial, Mapping[str, Any]]) -> list[str]:
    """Which methods have no row, since they are for other data."""
    needed = {c.method for c, outcome in outcomes.items() if outcome["status"] != "unneeded"}
    names = [c.method for c in outcomes if c.method not in needed]
    return [say("said_elsewhere", methods=", ".join(dict.fromkeys(names)))] if names else []


def _budget(plans: Mapping[str, Plan]) -> dict[str, Any]:
    """Of the first model that is trained: one behind an address spends no tokens."""
    plan = next((p for p in plans.values() if p.tokens), next(iter(plans.values())))
    return {"tokens": plan.tokens, "seconds": plan.seconds}


def _models(request: Request, plans: Mapping[str, Plan]) -> list[dict[str, Any]]:
    """Each model with its own count of the same budget: its tokenizer's tokens, at its own speed."""
    short = short_names(request.models)
    return [
        {"model": m, "name": short[m], "tokens": p.tokens, "tokens_per_second": p.rate, "dtype": p.dtype}
        for m, p in plans.items()
    ]


def _mean(runs: list[dict[str, Any]], key: str) -> float | None:
    """None where it was not measured."""
    values = [r[key] for r in runs if r.get(key) is not None]
    return float(sum(values) / len(values)) if len(values) == len(runs) else None


def _row(name: str, trial: Trial, runs: list[dict[str, Any]], bootstrap: Bootstrap, batch: int) -> Row:
    interval, first = bootstrap.score(name), runs[0]
    same = ("trainable", "trainable_share", "artifact_bytes", "mergeable", "learning_rate")
    means = ("train_seconds", *TIMES, "latency_ms", "forgetting")
    measured: dict[str, Any] = {key: first[key] for key in same} | {key: _mean(runs, key) for key in means}
    return Row(
        name, trial.method, trial.model, "ok",
        score=interval.value, ci95=(interval.low, interval.high), seeds=len(runs),
        tuned=bool(first.get("tuned", first["trainable"])), steps=first.get("steps"), batch=batch,
        peak_memory_bytes=max(r["peak_memory_bytes"] for r in runs), base_bytes=first.get("base_bytes"),
        **measured, **{key: _plain(first[key]) for key in DRAWN if key in first},
    )  # fmt: skip


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _details(
    request: Request, plans: Mapping[str, Plan], folder: Path, trials: Mapping[str, Trial], board: Mapping[str, Any],
    runs: Runs,
) -> dict[str, Any]:  # fmt: skip
    counts = read_record(folder / "split.json", "created", "train", "validation", "test", "labels")
    kinds = catalog.methods()
    row = formatting.best(board)
    best = formatting.name(row) if row else None
    shown, said = _evidence(folder, runs, best)
    told = {n: [*made, {"notes": _same(made)}] for n, made in runs.items() if trials[n].method != CONSTANT}
    plan = plans[row["model"]] if row else next(iter(plans.values()))
    recipe, place = "", ""
    environment: dict[str, str] = {}
    if row and best:
        chosen = plan.recipe(row["method"], 0, plan.tokens, runs[best][0]["learning_rate"])
        recipe, place = config.to_yaml(chosen, complete=False), f"trials/{trials[best].place}/seed-0"
        environment = read_record(folder / place / "environment.json")
    return {
        "title": Path(request.data.path).stem,
        "created": counts["created"],
        "quick_look": request.seeds == 1,
        "rows_train": counts["train"],
        "rows_validation": counts["validation"],
        "rows_test": counts["test"],
        "labels": counts["labels"],
        "secondary": {name: _secondary(found) for name, found in runs.items()},
        "command": command_of(request),
        "recipe": recipe,
        "place": place,
        "environment": environment | {"workers": str(plan.workers), "threads": str(plan.threads), "dtype": plan.dtype},
        "notes": [*said, *_unseen(plan, counts["train"], board), *read_notes(folder)],
        "used": counts.get("used"),
        "run_notes": _run_notes(told),
        "summaries": {name: kinds[request.spec(trial.method).method].summary for name, trial in trials.items()},
        "tokens_per_second": plan.rate,
        "evidence": shown,
        "languages": read_languages(folder),
    }


def _unseen(plan: Plan, rows: int, board: Mapping[str, Any]) -> list[str]:
    """That the budget ended before the training rows did: what trains had not seen them all (docs/LOG.md)."""
    seen = int(plan.tokens / plan.row_tokens) if plan.row_tokens else rows
    trained = any(row.get("steps") for row in board["rows"])
    return (
        [say("said_budget_unseen", tokens=f"{plan.tokens:,}", seen=seen, rows=rows)] if trained and seen < rows else []
    )


def _run_notes(runs: Mapping[str, list[dict[str, Any]]]) -> list[list[str]]:
    """What runs noted that the page can say in every language: the methods and the sentence, each sentence once."""
    found: dict[str, list[str]] = {}
    for name, made in runs.items():
        for note in dict.fromkeys(note for run in made for note in run.get("notes", ())):
            if isinstance(note, Phrase) and not note.key.startswith("said_tried_"):  # the log of a choice, for the run
                found.setdefault(note, []).append(name)
    return [[", ".join(names), note] for note, names in found.items()]


def _same(runs: list[dict[str, Any]]) -> list[str]:
    """That every test row got one and the same answer, in every run."""
    answers, rows = {str(answer) for run in runs for answer in run["answers"]}, len(runs[0]["answers"])
    return [say("said_same_answer", rows=rows, answer=answers.pop())] if len(answers) == 1 and rows > 1 else []


def _evidence(folder: Path, runs: Runs, best: str | None) -> tuple[dict[str, Any] | None, list[str]]:
    """What single rows show, or that it could not be computed."""
    try:
        return evidence(read_rows(folder), runs, best), []
    except Exception as error:
        return None, [say("said_broken_rows", reason=log_error(folder / "report.log", folder, error))]


def _secondary(runs: list[dict[str, Any]]) -> dict[str, float]:
    in_all = [key for key in runs[0]["secondary"] if all(key in r["secondary"] for r in runs)]
    return {key: sum(r["secondary"][key] for r in runs) / len(runs) for key in in_all}


def command_of(request: Request) -> str:
    """The command that makes this comparison."""
    data = request.data
    path = [] if data.path == "tickets" else ["--pair", ",".join(data.pair)] if data.pair else [data.path]
    parts = ["luthier", "compare", *path]
    parts += ["--test", data.test] if data.test else []
    for name, table in (("--map", data.map), ("--labels", data.labels), ("--fill", data.fill)):
        parts += [name, ",".join(f"{k}={v}" for k, v in table.items())] if table else []
    parts += ["--instruction", data.instruction] if data.instruction else []
    parts += ["--encoding", data.encoding] if data.encoding else []
    parts += ["--docs", data.docs] if data.docs else []
    parts += ["--metric", data.metric] if data.metric else []
    parts += ["--skip-bad"] if data.skip_bad else []
    parts += ["--anyway"] if data.anyway else []
    parts += ["--limit", str(data.limit)] if data.limit else []
    parts += ["--limit-test", str(data.limit_test)] if data.limit_test else []
    if request.models != ("embedded",):
        parts += [part for model in request.models for part in ("--model", model)]
    named = [name for name in request.methods if name not in request.grid]
    if request.grid or set(named) != set(check_methods((), request.data)):
        parts += ["--methods", ",".join(named)] if named else []
    parts += ["--methods-file", request.methods_file or "methods.yaml"] if request.grid else []
    parts += ["--total", request.total] if request.total else ["--budget", request.budget]
    parts += ["--seeds", str(request.seeds)]
    parts += ["--max-length", str(request.max_length)] if request.max_length else []
    parts += ["--batch", str(request.batch)] if request.held else []
    parts += ["--judge", request.judge] if request.judge else []
    parts += ["--class-weights", data.class_weights] if data.class_weights else []
    parts += ["--answer-tokens", str(data.answer_tokens)] if data.answer_tokens else []
    parts += ["--curve", ",".join(map(str, request.curve))] if request.curve else []
    limits = [f"{k}={v}" for k, v in vars(request.endpoint).items() if v != getattr(EndpointConfig(), k)]
    parts += ["--endpoint", ",".join(limits)] if limits else []
    parts += ["--prefer", request.prefer] if request.prefer != Request.prefer else []
    return shlex.join(parts)
