"""The leaderboard as an HTML table: one sortable row a method, the interval drawn beside the score."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape as html_escape
from typing import Any

from luthier.compare import charts, units
from luthier.compare.units import Row

LONG_REASON = 320  # characters: more is a traceback, and is folded away

# How the metrics beside the main one are named and scaled; others are shown as they come.
_SECONDARY: dict[str, tuple[str, float, int]] = {
    "macro_f1": ("Macro\u00a0F1", 100, 1), "exact_match": ("Exact", 100, 1), "accuracy": ("Accuracy", 100, 1),
    "micro_f1": ("Micro\u00a0F1", 100, 1), "all_labels_right": ("All right", 100, 1), "mae": ("MAE", 1, 3),
    "rmse": ("RMSE", 1, 3), "pearson": ("Pearson", 1, 2), "spearman": ("Spearman", 1, 2),
    "token_f1": ("Token\u00a0F1", 100, 1), "rouge1": ("ROUGE\u20111", 100, 1), "rouge2": ("ROUGE\u20112", 100, 1),
    "broken_json": ("Broken JSON", 100, 1), "all_fields_right": ("All right", 100, 1),
    "bleu": ("BLEU", 1, 1), "chrf": ("chrF", 1, 1), "loss": ("Loss", 1, 2), "heldout_loss": ("Loss", 1, 2),
}  # fmt: skip


def escape(value: object) -> str:
    """`value` as HTML text or a quoted attribute; control characters (a terminal's colours, say) are dropped."""
    return html_escape(units.plain(value), quote=True)


def emphasised(text: object, names: Iterable[str], best: object = None) -> str:
    """`text` escaped, with the method names in it marked as code, and `best` among them singled out."""
    known = sorted((escape(name) for name in names), key=len, reverse=True)
    if not known:
        return escape(text)
    # Not after & or #: a method called "lt" must not be found inside an escaped <.
    pattern = rf"(?<![\w&#-])({'|'.join(map(re.escape, known))})(?![\w-])"
    marked = re.sub(pattern, r"<code>\1</code>", escape(text))
    return marked.replace(f"<code>{escape(best)}</code>", f'<code class="best">{escape(best)}</code>')


@dataclass(frozen=True)
class Column:
    """A sortable column: `value` gives what is sorted by (None: last), `cell` the HTML, `up` the first direction.

    `ends` is the scale of what is drawn in its cells.
    """

    title: str
    value: Callable[[Row], object]
    cell: Callable[[Row], str]
    hint: str = ""
    up: bool = True
    kind: str = "number"
    ends: tuple[float, float] | None = None


def _number(title: str, key: str, show: Callable[[Any], str], hint: str = "", up: bool = True) -> Column:
    return Column(title, lambda row: row.get(key), lambda row: _cell(show(row.get(key))), hint, up)


def _cell(text: str, nothing: str = "not measured") -> str:
    if text == units.DASH:
        return f'<span class="none" title="{nothing}"><span aria-hidden="true">–</span>{_hidden(nothing)}</span>'
    return escape(text)


def _hidden(text: str) -> str:
    return f'<span class="hidden">{text}</span>'


def _method(row: Row, board: Mapping[str, Any], details: Mapping[str, Any], tied: frozenset[str]) -> str:
    name = str(row["method"])
    mark = ""
    if name == board.get("best"):
        mark = '<span class="mark best">best</span>'
    elif name in tied:
        mark = '<span class="mark tied">not distinguishable from the best</span>'
    summary = (details.get("summaries") or {}).get(name)
    return f"<code>{escape(name)}</code>{mark}" + (f'<span class="about">{escape(summary)}</span>' if summary else "")


def _score(row: Row, metric: str, low: float, high: float) -> str:
    """The score, and its interval as a whisker on a scale that all rows share."""
    if not units.known(row.get("score")):
        return _cell(units.DASH)
    value = row["score"] * units.scale(metric)
    ends = units.bounds(row, metric)
    at = [100 * (x - low) / (high - low) for x in (ends or (value, value))]
    middle = 100 * (value - low) / (high - low)
    drawing = (
        f'<svg class="whisker" aria-hidden="true"><line class="rail" x1="0" x2="100%" y1="50%" y2="50%"/>'
        f'<line class="range" x1="{at[0]:.2f}%" x2="{at[1]:.2f}%" y1="50%" y2="50%"/>'
        f'<line class="middle" x1="{middle:.2f}%" x2="{middle:.2f}%" y1="1" y2="15"/></svg>'
    )
    words = units.interval_text(row, metric)
    interval = "" if words == units.DASH else f"<small>{_hidden('95 % interval ')}{words}</small>"
    return f'<span class="score"><b>{units.score(row["score"], metric)}</b>{drawing}{interval}</span>'


def _bar_scale(rows: Sequence[Row], metric: str) -> tuple[float, float]:
    """The ends of the scale that all whiskers share: round numbers around the intervals."""
    ends = [
        x
        for row in rows
        if units.known(row.get("score"))
        for x in (row["score"] * units.scale(metric), *(units.bounds(row, metric) or ()))
    ]
    if not ends:
        return 0.0, 100.0
    low, high = 5 * (min(ends) // 5), -5 * (-max(ends) // 5)
    return low, max(high, low + 5)


def _trained(row: Row) -> str:
    text = _cell(units.count(row.get("trainable")))
    if row.get("trainable") and units.known(row.get("trainable_share")):
        text += f"<small>{escape(units.share(row['trainable_share']))}</small>"
    return text


def _merges(row: Row) -> str:
    words = {True: "yes", False: "no"}.get(row.get("mergeable"), units.DASH)  # type: ignore[arg-type]
    return _cell(words, "does not apply")


def _secondary(details: Mapping[str, Any]) -> list[Column]:
    given: Mapping[str, Mapping[str, Any]] = details.get("secondary") or {}
    columns = []
    for key in dict.fromkeys(key for values in given.values() for key in values):
        title, factor, digits = _SECONDARY.get(key, (key.replace("_", " "), 1, 3))

        def value(row: Row, key: str = key, factor: float = factor) -> float | None:
            found = given.get(row["method"], {}).get(key)
            return found * factor if units.known(found) else None

        def cell(row: Row, value: Callable[[Row], float | None] = value, digits: int = digits) -> str:
            found = value(row)
            return _cell(units.DASH if found is None else f"{found:.{digits}f}")

        columns.append(Column(title, value, cell, "%" if factor == 100 else "", up="loss" in key))
    return columns


def _columns(board: Mapping[str, Any], details: Mapping[str, Any], rows: Sequence[Row]) -> list[Column]:
    metric = str(board["metric"])
    low, high = _bar_scale(rows, metric)
    tied = units.tied_with_best(board, details.get("verdicts") or [])
    columns = [
        Column("Method", lambda row: row["method"], lambda row: _method(row, board, details, tied), kind="text"),
        Column(
            charts.metric_title(metric),
            lambda row: row.get("score"),
            lambda row: _score(row, metric, low, high),
            up=False,
            ends=(low, high),
        ),
        *_secondary(details),
        Column("Trained", lambda row: row.get("trainable"), _trained, "parameters"),
        _number("Training", "train_seconds", units.duration, "per seed"),
        _number("To\u00a0ship", "artifact_bytes", units.size),
        _number("Memory", "peak_memory_bytes", units.size, "peak"),
        _number("Latency", "latency_ms", units.latency, "one example"),
        _number("Forgetting", "forgetting", units.signed, "nats a token"),
        _number("Learning rate", "learning_rate", units.rate),
        Column("Merges", lambda row: row.get("mergeable"), _merges, "into weights", up=False),
    ]
    if len({row.get("seeds") for row in rows}) > 1:
        columns.append(_number("Seeds", "seeds", units.count, up=False))
    # A column in which nothing was measured says nothing.
    return [column for column in columns if any(column.value(row) is not None for row in rows)]


def _head(column: Column, main: str) -> str:
    sort = ' aria-sort="descending"' if column.title == main else ' aria-sort="none"'
    hint = f"<small>{escape(column.hint)}</small>" if column.hint else ""
    if column.ends:
        low, high = column.ends
        hint = f'<small class="ends" aria-hidden="true"><span>{low:.0f}</span><span>{high:.0f}</span></small>'
    first = "up" if column.up else "down"
    button = f'<button type="button" data-first="{first}">{escape(column.title)}</button>'
    return f'<th scope="col"{sort} class="{column.kind}">{button}{hint}</th>'


def _key(column: Column, row: Row) -> str:
    value = column.value(row)
    if column.kind == "text":
        return f' data-key="{escape(value)}"'
    return f' data-key="{float(value)!r}"' if units.known(value) or isinstance(value, bool) else ""


def _left_out(row: Row, span: int) -> str:
    reason = str(row.get("reason") or "no reason was recorded")
    text = escape(reason)
    if len(reason) > LONG_REASON:
        summary = escape(units.first_line(reason, LONG_REASON))
        text = f"<details><summary>{summary}</summary>{text}</details>"
    status = escape(row["status"])
    return (
        f'<tr><th scope="row"><code>{escape(row["method"])}</code></th><td colspan="{span}">'
        f'<div class="reason"><b class="{status}">{status}</b> {text}</div></td></tr>'
    )


def leaderboard(board: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """The whole table: finished methods by score, then the failed and skipped ones with their reasons."""
    rows = units.finished(board)
    columns = _columns(board, details, rows) if rows else []
    body = []
    for row in rows:
        first, *others = columns
        cells = "".join(f"<td{_key(column, row)}>{column.cell(row)}</td>" for column in others)
        winner = ' class="winner"' if row["method"] == board.get("best") else ""
        body.append(f'<tr{winner}><th scope="row"{_key(first, row)}>{first.cell(row)}</th>{cells}</tr>')
    main = charts.metric_title(str(board["metric"]))
    heads = "".join(_head(column, main) for column in columns)
    rest = "".join(_left_out(row, max(1, len(columns) - 1)) for row in units.unfinished(board))
    seeds = {row.get("seeds") for row in rows}
    each = f", {escape(next(iter(seeds)))} seed{'' if seeds == {1} else 's'} each" if len(seeds) == 1 else ""
    caption = f"{len(rows)} method{'' if len(rows) == 1 else 's'}{each}. Bars beside the score are 95 % intervals."
    if not rows:
        caption = "No method finished."
    head = f"<thead><tr>{heads}</tr></thead>" if heads else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Leaderboard"><table class="board">'
        f"<caption>{caption}</caption>{head}<tbody>{''.join(body)}</tbody>"
        f'<tbody class="out">{rest}</tbody></table></div>'
    )
