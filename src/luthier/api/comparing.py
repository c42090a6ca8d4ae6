"""`luthier.compare` from Python: arguments as Python has them, made into the request that the command makes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from luthier.api.board import Board
from luthier.api.board import open as open_board
from luthier.api.spelling import spoken
from luthier.api.tables import as_path, is_kept
from luthier.api.texts import kind, place_of
from luthier.core.errors import LuthierError

EXTRA = ("also", "split_seed", "train_rows")  # of the data's settings, besides those that are arguments


def compare(
    data: Any = "tickets", *, test: Any = None, model: Any = "embedded",
    methods: str | Sequence[str] | Mapping[str, Any] = (),
    budget: str = "", total: str = "", seeds: int = 1, out: str | Path | None = None, threads: int | None = None,
    curve: int | str | Sequence[int] = (), endpoint: Mapping[str, Any] | None = None, track: str | Sequence[str] = (),
    again: bool = False, map: Mapping[Any, str] | None = None, labels: Mapping[Any, str] | None = None,
    instruction: str | None = None, encoding: str = "", docs: str | Path | None = None, metric: str = "",
    skip_bad: bool = False, limit: int | None = None, limit_test: int | None = None,
    fill: Mapping[str, str] | None = None, anyway: bool = False, pair: str | Sequence[str | Path] = (),
    max_length: int | None = None, batch: int | None = None, answer_tokens: int | None = None,
    class_weights: str = "", prefer: str = "quality", judge: str = "", reward: str = "", **more: Any,
) -> Board:  # fmt: skip
    """Try the methods on the data under an equal budget. The same call goes on where an interrupted one was.

    >>> board = luthier.compare("mine.jsonl", budget="3m", methods="zero_shot,features,lora")     # doctest: +SKIP
    >>> board = luthier.compare(frame, test=held_out, map={"body": "text", "topic": "label"})     # doctest: +SKIP
    >>> board.recommendation                                                                      # doctest: +SKIP

    data, test: a path or an embedded name, a pandas DataFrame, a list of dicts, or a `datasets.Dataset`; rows that are
    in memory are kept in the cache, by content. model: one, or several. methods: names, or names by comma, such as
    "lora" and "lora/lm"; one of each kind without it; or a dict of named entries, such as
    {"r64": {"patch": "lora", "options": {"rank": 64}}}. total: how long the whole may take, ten minutes without it and
    without a budget. budget: training per method and seed ("90s", "3m", "20k-tokens"). seeds: final runs of each
    method. curve: numbers of training rows to try besides all. endpoint: limits for a model behind a URL (see
    `luthier.io.config.EndpointConfig`). track: names of trackers. again: begin anew, what stands there is set aside.
    map: column to field. labels: raw value to name. pair: two files of lines in place of data. max_length: tokens of a
    prompt with its answer. batch: rows of a training step. prefer: "quality", "cost", "size" or "latency": which of the
    rows that cannot be told from the best is recommended. judge: who compares written answers with the untuned model's
    (`luthier.runs.judges.comparer`). reward: what `best_of_n`, `ppo` and
    `grpo` go by (`luthier.runs.rewards`). The others
    are as in `luthier.io.config.DataConfig`.

    Raises LuthierError, which names the argument or the row.
    """
    check_known(more)
    path, held_out = as_path(data, "data"), None if test is None else as_path(test, "test")
    section = {
        "path": path, "test": held_out, "map": _keyed(map, "map"), "labels": _keyed(labels, "labels"),
        "instruction": instruction, "encoding": encoding, "docs": None if docs is None else str(place_of(docs, "docs")),
        "metric": metric, "skip_bad": skip_bad, "limit": limit, "limit_test": limit_test,
        "fill": _keyed(fill, "fill"), "anyway": anyway, "pair": names(pair, "pair"),
        "answer_tokens": answer_tokens, "class_weights": class_weights, **more,
    }  # fmt: skip
    asked = {
        "models": names(model, "model"), "budget": budget,
        "methods": [] if isinstance(methods, Mapping) else names(methods, "methods"),
        "total": total, "seeds": seeds, "threads": threads, "curve": _numbers(curve), "endpoint": endpoint,
        "track": names(track, "track"), "max_length": max_length, "batch": batch, "prefer": prefer,
        "judge": judge, "reward": reward,
        "grid": methods if isinstance(methods, Mapping) else None,
    }  # fmt: skip
    kept = {p: name for p, name in ((path, "data"), (held_out, "test")) if p and is_kept(p)}
    with spoken(kept, arguments=True):
        return _compared(section, asked, None if out is None else place_of(out, "out"), again)


def _compared(section: Mapping[str, Any], asked: Mapping[str, Any], out: Path | None, again: bool) -> Board:
    from luthier.comparison.execution.supervisor import run
    from luthier.comparison.plan import make_request
    from luthier.reports.comparison.publish import publish

    for name, wanted in (("budget", 'a time ("90s", "3m") or tokens ("20k-tokens")'), ("total", 'a time ("15m")')):
        if not isinstance(asked[name], str):
            raise LuthierError(f"{name}={asked[name]!r}: must be a text, {wanted}")
    if not isinstance(section["metric"], str):
        raise LuthierError(f"metric={section['metric']!r}: must be the name of a score")
    request = make_request(section, **asked)
    folder = out or request.folder
    run(request, folder, again)
    publish(folder)
    return open_board(folder)


def check_known(given: Mapping[str, Any]) -> None:
    """Raise LuthierError for an argument that there is not, suggesting the right one."""
    import inspect

    from luthier.core.catalog import suggest

    known = [*(name for name in inspect.signature(compare).parameters if name != "more"), *EXTRA]
    for name in given:
        if name not in EXTRA:
            raise LuthierError(f"compare() has no argument {name}={suggest(name, known)}")


def names(given: Any, name: str) -> list[str]:
    """Names from one text with commas, a path, or several. Raises LuthierError.

    >>> names("zero_shot, lora", "methods")
    ['zero_shot', 'lora']
    """
    if given is None:
        return []
    if isinstance(given, str) and name != "model":
        given = [part.strip() for part in given.split(",") if part.strip()]
    values = [given] if isinstance(given, str | os.PathLike) else given
    if isinstance(values, Mapping | bytes) or not isinstance(values, Iterable):
        raise LuthierError(f"{name}: must be a name or a list of names, not {kind(values)}")
    found = []
    for i, value in enumerate(values):
        if not isinstance(value, str | os.PathLike):
            raise LuthierError(f"{name}[{i}]: must be a name, not {kind(value)}")
        found.append(os.fspath(value))
    return found


def _numbers(given: Any) -> list[int]:
    """Numbers of rows from one number, a text with commas, or several."""
    if given is None:
        return []
    values = given.split(",") if isinstance(given, str) else [given] if isinstance(given, int) else given
    try:
        return [int(value) for value in values]
    except (TypeError, ValueError):
        raise LuthierError(f"curve={given!r}: must be numbers of training rows, such as [32, 64, 128]") from None


def _keyed(given: Any, name: str) -> dict[str, Any]:
    """A table whose keys may be numbers, as columns without a header and raw labels are."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise LuthierError(f"{name}: must be a dict, such as {_SUCH[name]}, not {kind(given)}")
    return {str(key): value for key, value in given.items()}


_SUCH = {"map": '{"review": "text", "stars": "label"}', "labels": '{0: "negative", 1: "positive"}',
         "fill": '{"name": "Ada"}'}  # fmt: skip
