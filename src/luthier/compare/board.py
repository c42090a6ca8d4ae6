"""From finished trials to `leaderboard.json`, verdicts in words, a recommendation, and the report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from luthier import catalog, config
from luthier.compare import units
from luthier.compare.card import write_card
from luthier.compare.evidence import evidence
from luthier.compare.plan import Plan, Request, read_plan
from luthier.compare.report import GO_ON, write_report
from luthier.compare.results import read_outcome, read_runs
from luthier.compare.rows import read_languages, read_rows
from luthier.compare.stats import Bootstrap, Interval
from luthier.errors import LuthierError
from luthier.files import read_json, read_record, write_json
from luthier.metrics import read_metrics

Runs = dict[str, list[dict[str, Any]]]
BASELINE = "zero_shot"
WORTH_SAVING = 10.0  # seconds of training below which a cheaper method is not worth a word


def gather(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The leaderboard and the details of the report, from the files of a finished comparison."""
    plan = read_plan(folder)
    if plan is None:
        raise LuthierError(f"{folder}: no comparison was begun here")
    outcomes = {m: read_outcome(folder, m) for m in plan.request.methods}
    runs = {m: read_runs(folder, m, o["seeds"]) for m, o in outcomes.items() if o["status"] == "ok"}
    bootstrap = Bootstrap({m: [r["per_row"] for r in found] for m, found in runs.items()})
    counts = read_record(folder / "split.json", "task", "metric")
    task, metric = counts["task"], counts["metric"]
    rows = [_row(m, runs[m], bootstrap, plan) if m in runs else _left_out(m, outcomes[m]) for m in plan.request.methods]
    rows.sort(key=lambda row: -row["score"] if row["score"] is not None else 1e9)
    best = next((row["method"] for row in rows if row["status"] == "ok"), None)
    board = {
        "task": task,
        "metric": metric,
        "model": plan.request.model,
        "budget": {"tokens": plan.tokens, "seconds": plan.seconds},
        "rows": rows,
        "best": best,
        "recommendation": recommendation(rows, bootstrap, metric, folder, task) if best else "No method finished.",
    }
    verdict = verdicts(rows, bootstrap, metric) if best else []
    return board, _details(plan, folder, board, runs, verdict)


def _mean(runs: list[dict[str, Any]], key: str) -> float | None:
    """None where it was not measured."""
    values = [r[key] for r in runs]
    return None if None in values else float(sum(values) / len(values))


def _row(method: str, runs: list[dict[str, Any]], bootstrap: Bootstrap, plan: Plan) -> dict[str, Any]:
    interval, first = bootstrap.score(method), runs[0]
    return {
        "method": method,
        "status": "ok",
        "reason": None,
        "score": interval.value,
        "ci95": [interval.low, interval.high],
        "seeds": len(runs),
        "trainable": first["trainable"],
        "trainable_share": first["trainable_share"],
        "train_seconds": _mean(runs, "train_seconds"),
        "peak_memory_bytes": max(r["peak_memory_bytes"] for r in runs),
        "artifact_bytes": first["artifact_bytes"],
        "latency_ms": _mean(runs, "latency_ms"),
        "forgetting": _mean(runs, "forgetting"),
        "mergeable": first["mergeable"],
        "learning_rate": first["learning_rate"],
    }


def _left_out(method: str, outcome: Mapping[str, Any]) -> dict[str, Any]:
    empty = dict.fromkeys(
        ("score", "ci95", "trainable", "trainable_share", "train_seconds", "peak_memory_bytes", "artifact_bytes",
         "latency_ms", "forgetting", "mergeable", "learning_rate")
    )  # fmt: skip
    return {"method": method, "status": outcome["status"], "reason": outcome["reason"], "seeds": 0, **empty}


def points(value: float, metric: str) -> str:
    """A score or a difference in points."""
    return f"{value * units.scale(metric):.1f}"


def _between(interval: Interval, metric: str, sign: int = 1) -> str:
    ends = sorted((sign * interval.low, sign * interval.high))
    low, high = (points(end, metric) for end in ends)
    return f"{points(sign * interval.value, metric)} points (95 % interval {low} to {high})"


def verdicts(rows: list[dict[str, Any]], bootstrap: Bootstrap, metric: str) -> list[str]:
    """For each method in words: against the untuned model, and against the best."""
    ok = [row["method"] for row in rows if row["status"] == "ok"]
    out = []
    for method in ok:
        if BASELINE in ok and method != BASELINE:
            out.append(_against_baseline(method, bootstrap.difference(method, BASELINE), metric))
    for method in ok[1:]:
        lead = bootstrap.difference(ok[0], method)
        if lead.excludes_zero:
            out.append(f"{method} is behind {ok[0]} by {_between(lead, metric)}.")
        else:
            out.append(f"{method}: not distinguishable from the best.")
    return out


def _against_baseline(method: str, interval: Interval, metric: str) -> str:
    if interval.low > 0:
        return f"{method} beats {BASELINE} by {_between(interval, metric)}."
    if interval.high < 0:
        return f"{method} is worse than {BASELINE} by {_between(interval, metric, -1)}."
    return f"{method}: not distinguishable from {BASELINE}, {_between(interval, metric)}."


def recommendation(rows: list[dict[str, Any]], bootstrap: Bootstrap, metric: str, folder: Path, task: str) -> str:
    """One sentence with its reason and the command to go on with."""
    ok = [row for row in rows if row["status"] == "ok"]
    best = ok[0]
    low, high = (points(x, metric) for x in best["ci95"])
    reason = f"the best score measured, {points(best['score'], metric)} {metric} (95 % interval {low} to {high})"
    tied = [row for row in ok[1:] if not bootstrap.difference(best["method"], row["method"]).excludes_zero]
    cheaper = [
        row for row in tied if row["train_seconds"] < 0.5 * best["train_seconds"] < best["train_seconds"] - WORTH_SAVING
    ]
    if cheaper:
        other = min(cheaper, key=lambda row: row["train_seconds"])
        reason += (
            f"; {other['method']} cannot be told from it on these rows and takes "
            f"{other['train_seconds']:.0f} s instead of {best['train_seconds']:.0f} s to make"
        )
    run = folder / "trials" / best["method"] / "seed-0"
    command = f"luthier predict {shlex.quote(str(run))} new.csv --out labelled.csv"
    return f"Use {best['method']}: {reason}.{GO_ON}{command}"


def _details(plan: Plan, folder: Path, board: Mapping[str, Any], runs: Runs, verdict: list[str]) -> dict[str, Any]:
    counts = read_record(folder / "split.json", "created", "train", "validation", "test", "labels")
    request = plan.request
    kinds = catalog.methods()
    best = board["best"]
    recipe = ""
    environment: dict[str, str] = {}
    if best:
        recipe = config.to_yaml(plan.recipe(best, 0, plan.tokens, runs[best][0]["learning_rate"]), complete=False)
        environment = read_record(folder / "trials" / best / "seed-0" / "environment.json")
    return {
        "title": Path(request.data.path).stem,
        "created": counts["created"],
        "quick_look": request.seeds == 1,
        "verdicts": verdict,
        "rows_train": counts["train"],
        "rows_validation": counts["validation"],
        "rows_test": counts["test"],
        "labels": counts["labels"],
        "secondary": {m: _secondary(found) for m, found in runs.items()},
        "command": command_of(request),
        "recipe": recipe,
        "environment": environment | {"threads": str(plan.threads), "dtype": plan.dtype},
        "notes": read_json(folder / "notes.json"),
        "summaries": {m: kinds[m].summary for m in request.methods},
        "tokens_per_second": plan.rate,
        "evidence": evidence(read_rows(folder), runs, best),
        "languages": read_languages(folder),
    }


def _secondary(runs: list[dict[str, Any]]) -> dict[str, float]:
    return {key: sum(r["secondary"][key] for r in runs) / len(runs) for key in runs[0]["secondary"]}


def command_of(request: Request) -> str:
    """The command that makes this comparison."""
    data = request.data
    parts = ["luthier", "compare", *([] if data.path == "tickets" else [data.path])]
    parts += ["--test", data.test] if data.test else []
    for name, table in (("--map", data.map), ("--labels", data.labels)):
        parts += [name, ",".join(f"{k}={v}" for k, v in table.items())] if table else []
    parts += ["--instruction", data.instruction] if data.instruction else []
    parts += ["--docs", data.docs] if data.docs else []
    parts += ["--metric", data.metric] if data.metric else []
    parts += ["--skip-bad"] if data.skip_bad else []
    parts += ["--limit", str(data.limit)] if data.limit else []
    parts += ["--limit-test", str(data.limit_test)] if data.limit_test else []
    parts += ["--model", request.model] if request.model != "embedded" else []
    if set(request.methods) != set(catalog.methods()):
        parts += ["--methods", ",".join(request.methods)]
    parts += ["--budget", request.budget, "--seeds", str(request.seeds)]
    return shlex.join(parts)


def curves(folder: Path, board: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Training loss by tokens of every trained method."""
    out: dict[str, list[dict[str, Any]]] = {}
    for row in board["rows"]:
        for seed in range(row["seeds"]):
            path = folder / "trials" / row["method"] / f"seed-{seed}" / "metrics.jsonl"
            out.setdefault(row["method"], []).extend(
                {"seed": seed, "tokens": m["tokens"], "loss": m["loss"]} for m in read_metrics(path)
            )
    return {m: points for m, points in out.items() if points}


def publish(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write leaderboard.json, report.html and the winner's MODEL_CARD.md; gives the board and the report's details."""
    board, details = gather(folder)
    write_json(folder / "leaderboard.json", board)
    write_report(board, curves(folder, board), details, folder / "report.html")
    write_card(board, details, folder)
    return board, details
