"""The report's parts in words: the answer at the top, the verdicts, the figures, how it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from luthier.core import phrases
from luthier.core.phrases import Phrase, both, escape, html, say
from luthier.core.split import Used
from luthier.data.used import said
from luthier.evals import formatting
from luthier.reports.comparison import sentences
from luthier.reports.comparison.answer import told

Facts = Mapping[str, Any]


def facts(board: Facts, details: Facts) -> str:
    """What was compared, on what, at which price."""
    task = board.get("task")
    found = [
        ("fact_model", escape(board.get("model") or "")),
        ("fact_task", html(say(f"task_{task}") if f"task_{task}" in phrases.table()["en"] else task or "")),
        ("fact_budget", html(_budget(board) or "")),
        ("fact_rows", _row_counts(details)),
        ("fact_created", html(_date(details.get("created")))),
    ]
    return "".join(f"<div>{say(name).html('dt')}<dd>{value}</dd></div>" for name, value in found if value)


def used(details: Facts) -> str:
    """What of the data was used: the page's first line."""
    if not (counts := details.get("used")):
        return ""
    return both(*said(Used(**counts))).html("p", ' class="used"')


def _row_counts(details: Facts) -> str:
    keys = ("rows_train", "rows_validation", "rows_test")
    return " · ".join(say(key, n=details[key]).html() for key in keys if details.get(key) is not None)


def _budget(board: Facts) -> Phrase | None:
    budget = board.get("budget") or {}
    tokens, seconds = budget.get("tokens"), budget.get("seconds")
    if tokens and seconds:
        return say("budget_both", tokens=formatting.count(tokens), time=formatting.duration(seconds))
    if tokens:
        return say("budget_tokens", tokens=formatting.count(tokens))
    return say("budget_seconds", time=formatting.duration(seconds)) if seconds else None


def _date(created: object) -> object:
    try:
        moment = datetime.fromisoformat(str(created))
    except ValueError:
        return str(created or "")
    values = {"day": moment.day, "month": moment.month, "name": f"{moment:%B}", "year": moment.year}
    return Phrase("date", {**values, "time": f"{moment:%H:%M} {moment:%Z}".strip()})


def quick_look(board: Facts, details: Facts) -> str:
    """What a comparison of one seed cannot tell."""
    if not details.get("quick_look"):
        return ""
    metric = str(board["metric"])
    width, rows = details.get("resolution"), details.get("rows_test", "?")
    text = say("quick_rows", rows=rows)
    if width is not None:
        points = say("points_of", metric=metric) if metric == "chrF" else say("points")
        text = say("quick_width", rows=rows, width=f"{width * formatting.scale(metric):.1f}", points=points)
    return f'<p class="quick" role="note">{say("quick").html("strong")}{text.html()}</p>'


def notes(details: Facts) -> str:
    """What is to be known of the data and of single runs before anything is read off the board."""
    own = "".join(spoken(note, tag="li") for note in details.get("notes") or [])
    for methods, note in details.get("run_notes") or []:
        own += say("note_of", methods=methods, note=note).html("li")
    return f'<div class="quick" role="note">{say("notes").html("strong")}<ul>{own}</ul></div>' if own else ""


def copyable(key: str, text: object, label: str) -> str:
    """A text with a button that copies it."""
    named = say(label)
    return (
        f'<div class="copyable"><pre id="{key}" tabindex="0" role="region" {named.attribute()}>'
        f"<code>{escape(text)}</code></pre>"
        f'<button type="button" class="copy" data-copy="{key}" {say("copy_what", what=named).attribute()}>'
        f"{say('copy').html()}</button></div>"
    )


def spoken(text: object, tag: str = "span", more: str = "") -> str:
    """A sentence of the leaderboard: in both languages, or as an earlier version left it."""
    if isinstance(text, Phrase):
        return text.html(tag, more)
    return f'<{tag}{more} lang="en">{escape(text)}</{tag}>'


def recommendation(board: Facts, details: Facts) -> str:
    """The answer: which method, its figures, and the commands to go on with."""
    go_on, said = sentences.go_on(board), list(told(board))
    sentence = sentences.recommendation(board) or say("said_none")
    parts = []
    if said:
        parts.append(said[0].html("p", f' class="headline {escape(board["answer"]["kind"])}"'))
    if board.get("best") or not said:  # that nothing finished is the headline
        parts.append(sentence.html("p", ' class="lead"'))
    if said[1:]:
        parts.append(f'<ul class="more-told">{"".join(phrase.html("li") for phrase in said[1:])}</ul>')
    best = formatting.best(board)
    if best:
        parts.append(_tiles(sentences.recommended(board) or best, str(board["metric"])))
    parts += [text.html("p", INTRO) for text in (sentences.winner(board), sentences.lopsided(board)) if text]
    if go_on:
        parts += [say("go_on").html("p", ' class="label"'), copyable("go-on", go_on, "go_on_command")]
    if details.get("command"):
        parts += [say("repeat").html("p", ' class="label"'), copyable("command", details["command"], "repeat_command")]
    if best and details.get("recipe"):
        link = say("recipe_link", method=formatting.name(best)).html("a", ' href="#recipe"')
        parts.append(f'<p class="more">{link}</p>')
    return "\n".join(parts)


def _tiles(best: Facts, metric: str) -> str:
    interval = (
        say("interval", interval=formatting.interval_text(best, metric)) if formatting.bounds(best, metric) else ""
    )
    share = best.get("trainable_share")
    of_model = say("of_model", share=formatting.share(share)) if formatting.known(share) else ""
    figures: list[tuple[object, str, object]] = [
        (formatting.metric(metric), formatting.score(best.get("score"), metric), interval),
        (say("tile_trained"), formatting.count(best.get("trainable")), of_model),
        (say("tile_ship"), formatting.size(best.get("artifact_bytes")), ""),
        (say("tile_training"), formatting.duration(best.get("train_seconds")), say("per_seed")),
        (say("tile_latency"), formatting.latency(best.get("latency_ms")), say("one_example")),
    ]
    tiles = "".join(
        f"<div><dt>{html(name)}</dt><dd>{escape(value)}<small>{html(note)}</small></dd></div>"
        for name, value, note in figures
        if value != formatting.DASH
    )
    return f'<dl class="tiles" {say("in_figures", method=formatting.name(best)).attribute()}>{tiles}</dl>'


def verdicts(board: Facts) -> str:
    """What the paired tests say, a sentence each."""
    items = "".join(spoken(text, tag="li") for text in sentences.verdicts(board))
    together = sentences.at_once(board)
    told = together.html("p", INTRO) if together else ""
    return f'{told}<ul class="verdicts">{items}</ul>' if items else say("no_verdict").html("p")


def figure(index: int, chart: Facts) -> str:
    """A chart's place, with its title and the sentences for who does not see it."""
    summary = "".join(html(part) for part in chart["summary"])
    title = chart["title"]
    named = title.html() if isinstance(title, Phrase) else f"<code>{escape(title)}</code>"
    save = say("save_what", what=title).attribute()
    return (
        f'<figure><h3 id="chart-{index}-title">{named}</h3>'
        f'<button type="button" class="save" data-save="{index}" {save}>{say("save").html()}</button>'
        f'<div class="chart" data-chart="{index}" role="img" aria-labelledby="chart-{index}-title" '
        f'aria-describedby="chart-{index}-text"></div>'
        f'<figcaption id="chart-{index}-text">{summary}</figcaption></figure>'
    )


def curves(first: int, panels: Sequence[Facts]) -> str:
    """The learning curves, a panel a method."""
    if not panels:
        return say("curves_none").html("p")
    figures = "\n".join(figure(first + index, panel) for index, panel in enumerate(panels))
    return f'{say("curves_intro").html("p", INTRO)}\n<div class="panels">{figures}</div>'


INTRO = ' class="intro"'


def measured(board: Facts, details: Facts) -> str:
    """How it was measured: rows, budget, score, intervals."""
    counts = {part: details.get(f"rows_{part}") for part in ("train", "validation", "test")}
    rows = {part: "?" if n is None else n for part, n in counts.items()}
    metric = str(board.get("metric"))
    one = all(row.get("seeds") == 1 for row in formatting.finished(board))
    meaning = f"words_{metric}" if f"words_{metric}" in phrases.table()["en"] else "words_other"
    budget = _budget(board) or say("same_budget")
    items: list[tuple[str, list[Phrase]]] = [
        ("measured_rows", [Phrase("measured_rows_text", rows)]),
        ("measured_test", [say("measured_test_text")]),
        ("measured_budget", [say("measured_budget_text", budget=budget)]),
        ("measured_untuned", [say("measured_untuned_text")]),
        ("measured_score", [say(meaning, metric=metric), say("intervals_one" if one else "intervals_many")]),
        ("measured_differences", [say("measured_differences_text")]),
        *([("measured_groups", [say("measured_groups_text")])] if details.get("evidence") else []),
        ("measured_forgetting", [say("measured_forgetting_text")]),
    ]
    lines = "".join(f"<li>{say(name).html('b')}{''.join(map(html, text))}</li>" for name, text in items)
    parts = [f'<ul class="measured">{lines}</ul>']
    if labels := details.get("labels"):
        chips = "".join(f'<li dir="auto">{escape(label)}</li>' for label in labels)
        parts.append(f'{say("labels_count", n=len(labels)).html("h3")}<ul class="labels">{chips}</ul>')
    return "\n".join(parts)


def recipe(board: Facts, details: Facts) -> str:
    """The recipe that trains the winner again."""
    if not details.get("recipe"):
        return say("recipe_none").html("p")
    text = say("recipe_text_of", method=board["best"]) if board.get("best") else say("recipe_text")
    return text.html("p") + copyable("recipe-text", details["recipe"], "recipe_label")


def environment(details: Facts) -> str:
    """Versions and machine."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in (details.get("environment") or {}).items()
    )
    if not rows:
        return say("environment_none").html("p")
    caption = say("environment_caption").html("caption", ' class="hidden"')
    return f'<table class="plain">{caption}<tbody>{rows}</tbody></table>'
