"""The report's sections about single rows: disagreement, quality by label and language, confusions, sample answers.

Tables of numbers are written here; what changes at the reader's choice (a method's confusions, the rows shown) is an
empty place that the page's script fills from the same evidence, as text only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from luthier.core.phrases import Phrase, escape, say
from luthier.evals import formatting

Facts = Mapping[str, Any]
INTRO, HIDDEN = ' class="intro"', ' class="hidden"'


def evidence_sections(evidence: Facts | None, metric: str) -> str:
    """All sections that the evidence has something for; nothing without evidence."""
    if not evidence:
        return ""
    parts = [_differ(evidence), _by_label(evidence, metric), _by_language(evidence, metric), _confusion(evidence)]
    return "\n".join(part for part in [*parts, _answers(evidence)] if part)


def _section(key: str, inside: str) -> str:
    head = say(key).html("h2", f' id="{key}"')
    return f'<section aria-labelledby="{key}">\n{head}\n{inside}\n</section>'


def _table(name: Phrase, kind: str, caption: Phrase, head: str, body: str) -> str:
    return (
        f'<div class="scroll" tabindex="0" role="region" {name.attribute()}><table class="grouped {kind}">'
        f"{caption.html('caption')}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _method_head(name: str, best: object) -> str:
    mark = say("best").html("small", ' class="mark best"') if name == best else ""
    return f'<th scope="col"><code>{escape(name)}</code>{mark}</th>'


def _differ(evidence: Facts) -> str:
    binary, pairs = evidence["binary"], evidence["pairs"]
    names: Sequence[str] = pairs["methods"]
    if len(names) < 2:
        return ""
    totals = {"rows": evidence["rows"], "disagree": evidence["totals"]["disagree"],
              "best_wrong": evidence["totals"]["best"], "all_wrong": evidence["totals"]["none"]}  # fmt: skip
    intro = Phrase("differ_intro" if binary else "differ_intro_score", totals).html("p", INTRO)
    head = say("differ_corner").html("th", ' scope="col"')
    head += "".join(_method_head(name, evidence["best"]) for name in names)
    body = ""
    for i, name in enumerate(names):
        cells = "".join(_pair(pairs, i, j) for j in range(len(names)))
        body += f'<tr><th scope="row"><code>{escape(name)}</code></th>{cells}</tr>'
    cut = say("differ_cut", n=len(names)).html("p", INTRO) if len(names) < len(evidence["methods"]) else ""
    caption = say("differ_caption" if binary else "differ_caption_score")
    return _section("differ", intro + _table(say("differ"), "pairs", caption, head, body) + cut)


def _pair(pairs: Facts, i: int, j: int) -> str:
    if i == j:
        return '<td class="self"><span aria-hidden="true">–</span></td>'
    ahead = say("differ_ahead", n=pairs["ahead"][i][j]).html("small")
    return f"<td><b>{100 * pairs['same'][i][j]:.0f} %</b>{ahead}</td>"


def _score(cell: Sequence[float] | None, factor: float) -> str:
    if cell is None:
        return f"<td>{say('not_measured').html(more=HIDDEN)}–</td>"
    value, low, high = (factor * x for x in cell)
    digits = 0 if factor == 100 else 1
    hidden = say("interval_hidden").html(more=HIDDEN)
    return f"<td><b>{value:.{digits}f}</b><small>{hidden}{low:.{digits}f} – {high:.{digits}f}</small></td>"


def _grouped(evidence: Facts, groups: Sequence[Facts], metric: str, column: str, caption: Phrase, key: str) -> str:
    factor = 100.0 if evidence["binary"] else formatting.scale(metric)
    head = say(column).html("th", ' scope="col"') + say("column_rows").html("th", ' scope="col"')
    head += "".join(_method_head(name, evidence["best"]) for name in evidence["methods"])
    body = ""
    for group in groups:
        named = say(group["name"]).html() if key == "by_language" else escape(group["name"])
        cells = "".join(_score(group["cells"].get(name), factor) for name in evidence["methods"])
        body += f'<tr><th scope="row" dir="auto">{named}</th><td>{group["rows"]}</td>{cells}</tr>'
    return _table(say(key), key, caption, head, body)


def _by_label(evidence: Facts, metric: str) -> str:
    groups = evidence["by_label"]
    if not groups:
        return ""
    caption = say("by_label_caption" if evidence["binary"] else "by_label_caption_score")
    table = _grouped(evidence, groups, metric, "column_label", caption, "by_label")
    every = len(evidence["labels"])
    cut = say("by_label_cut", n=len(groups), all=every).html("p", INTRO) if len(groups) < every else ""
    return _section("by_label", table + cut)


def _by_language(evidence: Facts, metric: str) -> str:
    groups = evidence["by_language"]
    intro = say("by_language_intro").html("p", INTRO)
    if len(groups) == 1:
        only = say("by_language_one", n=groups[0]["rows"], kind=say(groups[0]["name"]))
        return _section("by_language", intro + only.html("p"))
    caption = say("by_language_caption")
    return _section(
        "by_language", intro + _grouped(evidence, groups, metric, "column_language", caption, "by_language")
    )


def _options(pairs: Sequence[tuple[str, object]]) -> str:
    return "".join(
        text.html("option", f' value="{value}"') if isinstance(text, Phrase)
        else f'<option value="{escape(value)}">{escape(text)}</option>'
        for value, text in pairs
    )  # fmt: skip


def _select(key: str, label: str, options: str) -> str:
    named = say(label).html("label", f' for="{key}"')
    return f'<div class="field">{named}<select id="{key}">{options}</select></div>'


def _confusion(evidence: Facts) -> str:
    found = evidence["confusion"]
    if not found:
        return ""
    methods = _options([(name, name) for name in evidence["methods"]])
    cut = say("confusion_cut", n=len(found["labels"])).html("p", INTRO) if found["rest"] else ""
    return _section(
        "confusion",
        f"{say('confusion_intro').html('p', INTRO)}{cut}"
        f'<div class="fields">{_select("confusion-method", "confusion_method", methods)}</div>'
        f'<div class="scroll" tabindex="0" role="region" {say("confusion_region").attribute()}>'
        f'<table class="grouped matrix" id="matrix"></table></div>',
    )


def _answers(evidence: Facts) -> str:
    shown, binary = len(evidence["samples"]), evidence["binary"]
    whole = shown == evidence["rows"]
    intro = say("answers_all", n=shown) if whole else say("answers_sample", n=shown, all=evidence["rows"])
    kinds = [("", "show_all"), ("disagree", "show_disagree"), ("best", "show_best" if binary else "show_best_score")]
    kinds += [("none", "show_none")] if binary else []
    labels = evidence["sample_labels"]
    # values are places, not names: a label may be any text
    own = [("", say("any_label")), *((str(at), name) for at, name in enumerate(labels))]
    languages = [("", say("any_language")), ("han", say("han")), ("no_han", say("no_han"))]
    fields = _select("show-rows", "filter_rows", _options([(value, say(text)) for value, text in kinds]))
    fields += _select("show-label", "filter_label", _options(own)) if labels else ""
    fields += (
        _select("show-language", "filter_language", _options(languages)) if len(evidence["by_language"]) > 1 else ""
    )
    turn = "".join(
        f'<button type="button" class="button" id="{key}">{say(text).html()}</button>'
        for key, text in (("samples-back", "previous"), ("samples-on", "next"))
    )
    return _section(
        "answers",
        f"{intro.html('p', INTRO)}"
        f'<fieldset class="fields">{say("filters").html("legend", HIDDEN)}{fields}</fieldset>'
        f'<p id="samples-shown" class="shown" role="status"></p><ol id="samples" class="samples"></ol>'
        f'<nav class="turn" {say("pages").attribute()}>{turn}</nav>',
    )
