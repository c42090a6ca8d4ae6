"""What stands in a folder of runs: one entry a run or comparison, read from its files without loading any model."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from luthier.comparison.leaderboard import read_board
from luthier.core.errors import LuthierError
from luthier.core.phrases import SAID
from luthier.evals import formatting
from luthier.io.files import LOCK, from_yaml, held, read_json

Kind = Literal["run", "comparison"]
STAMPS = ("eval.json", "leaderboard.json", "plan.json", "recipe.yaml", "request.json")  # what dates a folder


@dataclass(frozen=True)
class Entry:
    """A run or comparison. score: of the best method for a comparison, None where there is none yet. size: bytes."""

    path: Path
    kind: Kind
    method: str
    data: str
    model: str
    metric: str
    score: float | None
    date: str
    size: int
    state: str


def kind_of(folder: Path) -> Kind | None:
    """What a folder holds; None where it is neither a run nor a comparison."""
    if (folder / "recipe.yaml").is_file() and _is_recipe(folder / "recipe.yaml"):
        return "run"
    if (folder / "request.json").is_file() and {"data", "methods"} <= _object(folder / "request.json").keys():
        return "comparison"
    return None


def find(root: Path, inside: bool = False) -> list[Entry]:
    """Entries of a folder of runs, newest first; inside: a comparison's own runs, too. Links are not followed."""
    if not root.is_dir():
        raise LuthierError(f"{root}: there is no such folder of runs")
    return sorted((entry(p) for p in _folders(root, inside)), key=lambda e: (e.date, str(e.path)), reverse=True)


def _folders(root: Path, inside: bool) -> Iterator[Path]:
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.is_symlink() or not path.is_dir():
            continue
        kind = kind_of(path)
        if kind:
            yield path
        if kind is None or (kind == "comparison" and inside):
            yield from _folders(path, inside)


def entry(folder: Path) -> Entry:
    """A run or comparison as its files have it; what is damaged is said in `state`. Raises LuthierError for others."""
    kind = kind_of(folder)
    if kind is None:
        raise LuthierError(f"{folder}: holds neither a run (recipe.yaml) nor a comparison (request.json)")
    stamps = [folder / name for name in STAMPS if (folder / name).is_file()]
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(max(p.stat().st_mtime for p in stamps)))
    read = _run if kind == "run" else _comparison
    return Entry(path=folder, kind=kind, date=date, size=size_of(folder), **read(folder))


def _run(folder: Path) -> dict[str, Any]:
    recipe, scores = recipe_values(folder), _object(folder / "eval.json")
    objective = str((recipe.get("objective") or {}).get("name", ""))
    state = "begun"
    if held(folder / LOCK):
        state = "running"
    elif scores:
        state = "complete"
    elif (folder / "eval.json").exists():
        state = "damaged: eval.json"
    elif (folder / "mix.json").is_file():
        state = "mixed"
    elif (folder / "checkpoint").is_dir() or any((folder / n / "luthier.json").exists() for n in ("adapter", "model")):
        state = "resumable"
    return {
        "method": "/".join(filter(None, [str(recipe.get("method", "")), objective])),
        "data": str((recipe.get("data") or {}).get("path", "")),
        "model": str(recipe.get("model", "")),
        "metric": str(scores.get("metric", "")),
        "score": scores.get("score"),
        "state": state,
    }


def _comparison(folder: Path) -> dict[str, Any]:
    request, board = _object(folder / "request.json"), _board(folder)
    methods, models = request.get("methods") or [], [request.get("model", ""), *(request.get("others") or [])]
    trials, asked = folder / "trials", len(methods) * len(models)
    outcomes = [*trials.glob("*/outcome.json"), *trials.glob("*/*/outcome.json")]  # on one base, on one of several
    done = sum(p.parent.name in methods for p in outcomes)
    best = (formatting.best(board) if board else None) or {}
    named = f", best {formatting.name(best)}" if best else ""
    return {
        "method": f"{len(methods)} methods{named}",
        "data": str(request["data"].get("path", "")),
        "model": ", ".join(map(str, models)),
        "metric": str(board.get("metric", "")),
        "score": best.get("score"),
        "state": _state(folder, board, f"{done} of {asked} {'trials' if models[1:] else 'methods'}"),
    }


def _state(folder: Path, board: Mapping[str, Any], done: str) -> str:
    """Of a comparison. One of which nothing finished is no complete one: it is tried again by its own command."""
    if held(folder / LOCK):
        return f"running ({done})"
    if not board:
        return f"resumable ({done})"
    return "complete" if board.get("best") else "failed (no method finished)"


def recipe_values(folder: Path) -> dict[str, Any]:
    """The recipe of a run as plain values, unchecked: one of an older version is shown, too."""
    try:
        values = from_yaml((folder / "recipe.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _is_recipe(path: Path) -> bool:
    return "method" in recipe_values(path.parent)


def _object(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where it is absent or damaged."""
    try:
        value = read_json(path)
    except (OSError, ValueError, LuthierError):
        return {}
    return value if isinstance(value, dict) else {}


def _board(folder: Path) -> dict[str, Any]:
    """The leaderboard of a comparison; an empty one where there is none that can be read."""
    try:
        return read_board(folder)
    except (OSError, ValueError, LuthierError):
        return {}


def facts(folder: Path) -> dict[str, Mapping[str, Any]]:
    """All that is known of a run or comparison, by part: settings, scores, evaluations, environment; dotted keys."""
    if entry(folder).kind == "comparison":
        board = _board(folder)
        scores = {formatting.name(row): row["score"] for row in board.get("rows", [])}
        return {"settings": flat(_object(folder / "request.json")), "scores": scores}
    scores = _object(folder / "eval.json")
    parts: dict[str, Mapping[str, Any]] = {
        "settings": flat(recipe_values(folder)),
        "scores": flat({k: v for k, v in scores.items() if k not in ("per_row", "answers", "blocks", SAID)}),
    }
    for path in sorted((folder / "evaluations").glob("*.json")):
        found = _object(path)
        parts[f"evaluation {path.stem}"] = {k: found.get(k) for k in ("metric", "score", "ci95", "rows", "data")}
    parts["environment"] = _object(folder / "environment.json")
    return {name: part for name, part in parts.items() if part}


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested tables as one with dotted keys; an empty table has none."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            out |= flat(value, f"{before}{key}.")
        else:
            out[f"{before}{key}"] = value
    return out


def size_of(folder: Path) -> int:
    """Bytes of all files below, links counted as links."""
    total = 0
    for place, _, files in os.walk(folder):
        total += sum((Path(place) / name).lstat().st_size for name in files)
    return total


def removable(path: Path, root: Path) -> Entry:
    """The entry at `path`, which stands below `root` by its real place. Raises LuthierError for anything else."""
    place = path if path.exists() or path.is_symlink() else root / path
    if not place.exists() and not place.is_symlink():
        raise LuthierError(f"{path}: there is no such run in {root}")
    if stat.S_ISLNK(place.lstat().st_mode):
        raise LuthierError(f"{place}: a link, which is not followed: remove what it points to by its own name")
    real, home = place.resolve(), root.resolve()
    if home not in real.parents:
        raise LuthierError(f"{place}: stands outside {root}: name its own folder of runs with --runs")
    if held(place / LOCK):
        raise LuthierError(f"{place}: a command is at work there: end it first")
    return entry(place)


def remove(found: Entry) -> None:
    """Delete the folder; links in it are deleted as links."""
    shutil.rmtree(found.path)
