"""The leaderboard as an HTML table: one sortable row a method, the interval drawn beside the score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.core import phrases
from luthier.core.phrases import Phrase, escape, recall, say
from luthier.evals import formatting
from luthier.evals.formatting import Row

_WIDE = ' class="wide"'
LONG_REASON = 320  # characters: more is a traceback, and is folded away

BELOW = {"constant": "below_constant", "untuned": "below_untuned", "collapsed": "below_collapsed"}

# How the metrics beside the main one are named and scaled; others are shown as they come.
_SECONDARY: dict[str, tuple[object, float, int]] = {
    "macro_f1": (say("column_macro_f1"), 100, 1), "balanced_accuracy": (say("column_balanced_accuracy"), 100, 1),
    "exact_match": (say("column_exact_match"), 100, 1),
    "accuracy": (say("column_accuracy"), 100, 1), "bleu": ("BLEU", 1, 1), "chrf": ("chrF", 1, 1),
    "loss": (say("column_loss"), 1, 2), "held_out_loss": (say("column_loss"), 1, 2),
    "micro_f1": (say("column_micro_f1"), 100, 1), "all_labels_right": (say("column_all_right"), 100, 1),
    "all_fields_right": (say("column_all_right"), 100, 1), "broken_json": (say("column_broken_json"), 100, 1),
    "mae": ("MAE", 1, 3), "rmse": ("RMSE", 1, 3), "pearson": ("Pearson", 1, 2), "spearman": ("Spearman", 1, 2),
    "pair_accuracy_by_sums": (say("column_pair_accuracy_by_sums"), 100, 1),
    "pair_margin": (say("column_pair_margin"), 1, 2),
    "token_f1": (say("column_token_f1"), 100, 1), "rouge1": ("ROUGE\u20111", 100, 1),
    "rouge2": ("ROUGE\u20112", 100, 1), "bits_per_byte": (say("column_bits_per_byte"), 1, 3),
    "ece": (say("column_ece"), 100, 1),
}  # fmt: skip
_UNSHOWN = ("ece_untempered",)  # in the run's eval.json for whoever compares


@dataclass(frozen=True)
class Column:
    """A sortable column: `value` gives what is sorted by (None: last), `cell` the HTML, `up` the first direction.

    `ends` is the scale of what is drawn in its cells.
    """

    title: object
    value: Callable[[Row], object]
    cell: Callable[[Row], str]
    hint: object = ""
    up: bool = True
    kind: str = "number"
    ends: tuple[float, float] | None = None


def _around(key: str, factor: float, digits: int, title: Phrase, hint: Phrase) -> Column:
    """A figure of written answers with its interval."""

    def cell(row: Row) -> str:
        value, ends = row.get(key), row.get(f"{key}_ci95")
        if not formatting.known(value):
            return _cell(formatting.DASH)
        text = _cell(f"{factor * value:.{digits}f}")
        low, high = ends or (value, value)
        around = f"{factor * low:.{digits}f} – {factor * high:.{digits}f}"
        return f"{text}<small>{_hidden(say('interval_hidden'))}{around}</small>"

    return Column(title, lambda row: row.get(key), cell, hint, up=key == "kl")


def _number(key: str, show: Callable[[Any], str], title: str, hint: str = "", up: bool = True) -> Column:
    return Column(
        say(title), lambda row: row.get(key), lambda row: _cell(show(row.get(key))), say(hint) if hint else "", up
    )


def _cell(text: object, nothing: str = "not_measured") -> str:
    if text == formatting.DASH:
        why = say(nothing)
        return f'<span class="none" {why.attribute("title")}><span aria-hidden="true">–</span>{_hidden(why)}</span>'
    return phrases.html(text)


def _hidden(text: Phrase) -> str:
    return text.html(more=' class="hidden"')


def about(summary: object) -> str:
    """A method's summary, in Chinese too where the dictionary has it."""
    chinese = phrases.table()["summaries"].get(str(summary))
    more = f' data-zh="{escape(chinese)}"' if chinese else ' lang="en"'
    return f'<span class="about"{more}>{escape(summary)}</span>' if summary else ""


def _method(row: Row, board: Mapping[str, Any], details: Mapping[str, Any], tied: frozenset[str]) -> str:
    name = formatting.name(row)
    mark = ""
    if name == board.get("best"):
        mark = say("best").html(more=' class="mark best"')
    elif name in tied:
        mark = say("tied").html(more=' class="mark tied"')
    elif name in (details.get("unsure") or ()):
        mark = say("seems").html(more=' class="mark tied"')
    worse = (details.get("below") or {}).get(name) or []
    mark += "".join(say(BELOW[what]).html(more=' class="mark below"') for what in worse)
    return f"<code>{escape(name)}</code>{mark}" + about((details.get("summaries") or {}).get(name))


def _score(row: Row, metric: str, low: float, high: float) -> str:
    """The score, and its interval as a whisker on a scale that all rows share."""
    if not formatting.known(row.get("score")):
        return _cell(formatting.DASH)
    value = row["score"] * formatting.scale(metric)
    ends = formatting.bounds(row, metric)
    at = [100 * (x - low) / (high - low) for x in (ends or (value, value))]
    middle = 100 * (value - low) / (high - low)
    drawing = (
        f'<svg class="whisker" aria-hidden="true"><line class="rail" x1="0" x2="100%" y1="50%" y2="50%"/>'
        f'<line class="range" x1="{at[0]:.2f}%" x2="{at[1]:.2f}%" y1="50%" y2="50%"/>'
        f'<line class="middle" x1="{middle:.2f}%" x2="{middle:.2f}%" y1="1" y2="15"/></svg>'
    )
    text = formatting.interval_text(row, metric)
    interval = "" if text == formatting.DASH else f"<small>{_hidden(say('interval_hidden'))}{text}</small>"
    return f'<span class="score"><b>{formatting.score(row["score"], metric)}</b>{drawing}{interval}</span>'


def _bar_scale(rows: Sequence[Row], metric: str) -> tuple[float, float]:
    """The ends of the scale that all whiskers share: round numbers around the intervals."""
    ends = [
        x
        for row in rows
        if formatting.known(row.get("score"))
        for x in (row["score"] * formatting.scale(metric), *(formatting.bounds(row, metric) or ()))
    ]
    if not ends:
        return 0.0, 100.0
    low, high = 5 * (min(ends) // 5), -5 * (-max(ends) // 5)
    return low, max(high, low + 5)


def _trained(row: Row) -> str:
    text = _cell(formatting.count(row.get("trainable")))
    if row.get("trainable") and formatting.known(row.get("trainable_share")):
        text += f"<small>{escape(formatting.share(row['trainable_share']))}</small>"
    return text


def _training(row: Row) -> str:
    """By the wall's clock, and what it took of the processor."""
    text = _cell(formatting.duration(row.get("train_seconds")))
    if formatting.known(row.get("train_cpu_seconds")):
        text += f"<small>{say('cpu', time=formatting.duration(row['train_cpu_seconds'])).html()}</small>"
    return text


def _merges(row: Row) -> str:
    found = row.get("mergeable")
    return _cell(say("yes" if found else "no") if isinstance(found, bool) else formatting.DASH, "no_application")


def _secondary(details: Mapping[str, Any]) -> list[Column]:
    given: Mapping[str, Mapping[str, Any]] = details.get("secondary") or {}
    columns = []
    for key in dict.fromkeys(key for values in given.values() for key in values if key not in _UNSHOWN):
        title, factor, digits = _SECONDARY.get(key, (key.replace("_", " "), 1, 3))

        def value(row: Row, key: str = key, factor: float = factor) -> float | None:
            found = given.get(formatting.name(row), {}).get(key)
            return found * factor if formatting.known(found) else None

        def cell(row: Row, value: Callable[[Row], float | None] = value, digits: int = digits) -> str:
            found = value(row)
            return _cell(formatting.DASH if found is None else f"{found:.{digits}f}")

        columns.append(Column(title, value, cell, "%" if factor == 100 else "", up="loss" in key or key == "ece"))
    return columns


def _columns(board: Mapping[str, Any], details: Mapping[str, Any], rows: Sequence[Row]) -> list[Column]:
    metric = str(board["metric"])
    low, high = _bar_scale(rows, metric)
    tied = frozenset(details.get("tied") or ())
    columns = [
        Column(say("column_method"), formatting.name, lambda row: _method(row, board, details, tied),
               kind="text"),
        *_models(rows),
        Column(formatting.metric(metric), lambda row: row.get("score"), lambda row: _score(row, metric, low, high),
               up=False, ends=(low, high)),
        *_secondary(details),
        _around("wins", 100, 1, say("column_wins"), say("hint_wins")),
        _around("kl", 1, 2, say("column_kl"), say("hint_kl")),
        _number("reply_tokens", lambda x: formatting.DASH if x is None else f"{x:.0f}", "column_reply_tokens"),
        Column(say("column_trained"), lambda row: row.get("trainable"), _trained, say("hint_parameters")),
        Column(say("column_training"), lambda row: row.get("train_seconds"), _training, say("per_seed")),
        _number("search_cpu_seconds", formatting.duration, "column_search", "hint_cpu"),
        _number("answer_cpu_seconds", formatting.duration, "column_answers", "hint_cpu"),
        _number("artifact_bytes", formatting.size, "column_ship"),
        _number("peak_memory_bytes", formatting.size, "column_memory", "hint_peak"),
        _number("latency_ms", formatting.latency, "column_latency", "one_example"),
        _number("forgetting", formatting.signed, "column_forgetting", "hint_nats"),
        _number("learning_rate", formatting.rate, "column_rate"),
        Column(say("column_merges"), lambda row: row.get("mergeable"), _merges, say("hint_weights"), up=False),
    ]  # fmt: skip
    if len({row.get("base_bytes") for row in rows} - {None}) > 1:
        columns.append(_number("base_bytes", formatting.size, "column_base", "hint_base"))
    if len({row.get("seeds") for row in rows}) > 1:
        columns.append(_number("seeds", formatting.count, "column_seeds", up=False))
    # A column in which nothing was measured says nothing.
    return [column for column in columns if any(column.value(row) is not None for row in rows)]


def _models(rows: Sequence[Row]) -> list[Column]:
    """A column for the base model where a comparison has several."""
    if len({row.get("model") for row in rows}) < 2:
        return []
    return [
        Column(say("column_model"), lambda row: row.get("model"), lambda row: escape(row.get("model")), kind="text")
    ]


def _head(column: Column, main: object) -> str:
    sort = ' aria-sort="descending"' if column.title == main else ' aria-sort="none"'
    hint = f"<small>{phrases.html(column.hint)}</small>" if column.hint else ""
    if column.ends:
        low, high = column.ends
        hint = f'<small class="ends" aria-hidden="true"><span>{low:.0f}</span><span>{high:.0f}</span></small>'
    first, wide = "up" if column.up else "down", " wide" if column.ends else ""
    button = f'<button type="button" data-first="{first}">{phrases.html(column.title)}</button>'
    return f'<th scope="col"{sort} class="{column.kind}{wide}">{button}{hint}</th>'


def _key(column: Column, row: Row) -> str:
    value = column.value(row)
    if column.kind == "text":
        return f' data-key="{escape(value)}"'
    return f' data-key="{float(value)!r}"' if formatting.known(value) or isinstance(value, bool) else ""


def _left_out(row: Row, span: int) -> str:
    reason = recall(row, "reason") if row.get("reason") else ""
    text = phrases.html(reason) if reason else say("no_reason").html()
    if len(reason) > LONG_REASON:
        summary = escape(formatting.first_line(reason, LONG_REASON))
        text = f"<details><summary>{summary}</summary>{text}</details>"
    status = str(row["status"])
    named = phrases.html(say(status) if status in ("failed", "skipped") else status)
    return (
        f'<tr><th scope="row"><code>{escape(formatting.name(row))}</code></th><td colspan="{span}">'
        f'<div class="reason"><b class="{escape(status)}">{named}</b> {text}</div></td></tr>'
    )


def leaderboard(board: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """The whole table: finished methods by score, then the failed and skipped ones with their reasons."""
    rows = formatting.finished(board)
    columns = _columns(board, details, rows) if rows else []
    body = []
    for row in rows:
        first, *others = columns
        cells = "".join(f"<td{_key(c, row)}{_WIDE if c.ends else ''}>{c.cell(row)}</td>" for c in others)
        winner = ' class="winner"' if formatting.name(row) == board.get("best") else ""
        body.append(f'<tr{winner}><th scope="row"{_key(first, row)}>{first.cell(row)}</th>{cells}</tr>')
    main = formatting.metric(str(board["metric"]))
    heads = "".join(_head(column, main) for column in columns)
    rest = "".join(_left_out(row, max(1, len(columns) - 1)) for row in formatting.unfinished(board))
    seeds = {row.get("seeds") for row in rows}
    each = say("nothing")
    if len(seeds) == 1:
        each = say("each_one") if seeds == {1} else say("each_many", n=next(iter(seeds)))
    caption = say("board_one" if len(rows) == 1 else "board_many", n=len(rows), each=each)
    if not rows:
        caption = say("none_finished")
    head = f"<thead><tr>{heads}</tr></thead>" if heads else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" {say("leaderboard").attribute()}><table class="board">'
        f"{caption.html('caption')}{head}<tbody>{''.join(body)}</tbody>"
        f'<tbody class="out">{rest}</tbody></table></div>'
    )
