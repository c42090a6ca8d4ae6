"""Write a study as one page that opens anywhere, offline, in both languages, light and dark, and can be printed."""

from __future__ import annotations

import shlex
from pathlib import Path
from string import Template
from typing import Any

from luthier.core import phrases
from luthier.core.phrases import Phrase, both, escape, html, say
from luthier.io.files import write_text
from luthier.reports.comparison import sections
from luthier.reports.page_frame import colours, framed, read
from luthier.study import catalog
from luthier.study.finding import VERDICTS, Finding, Table
from luthier.study.runner import Request, Result, failures

ASSETS = Path(__file__).parent / "assets"
TEXTS = {
    "brand": both("study", "实验"),
    "pictures": both("Pictures", "图"),
    "tables": both("Tables", "表"),
    "answer": both("What came out", "结论"),
    "skip": both("Skip to the tables", "跳到表格"),
    "no_script": both("Pictures need JavaScript; everything else is here.", "图需要 JavaScript，其余内容都在本页。"),
    "claims": both("Does it agree with the papers?", "是否与论文一致？"),
    "command": both("Repeat this study", "重复这个实验"),
}
OPTIONS = {"map": "--map", "labels": "--labels"}


def command(request: Request) -> str:
    """The command that makes this study."""
    data, out = request.data, ["luthier", "study", request.study]
    takes = next((entry.takes for entry in catalog.listed() if entry.name == request.study), ())
    out += [data.path] if data.path != request.made().about else []
    for name, value in (
        ("--test", data.test),
        ("--instruction", data.instruction),
        ("--encoding", data.encoding or None),
        ("--limit", data.limit),
        ("--limit-test", data.limit_test),
        ("--budget", request.budget or None),
        ("--seeds", request.seeds),
    ):
        taken = not takes or name[2:].replace("-", "_") in takes
        out += [name, str(value)] if taken and value is not None else []
    for key, option in OPTIONS.items():
        if pairs := getattr(data, key):
            out += [option, ",".join(f"{a}={b}" for a, b in pairs.items())]
    for model in request.models:
        out += ["--model", model] if request.models != Request(request.study).models else []
    for key, value in request.options.items():
        out += ["--set", f"{key}={','.join(map(str, value)) if isinstance(value, list | tuple) else value}"]
    return shlex.join(out)


def write_page(result: Result, found: Finding, out: Path) -> None:
    """Write the page to `out`, whole or not at all. Raises OSError where it cannot be written."""
    write_text(out, render(result, found).encode("utf-8", "replace").decode("utf-8"))


def render(result: Result, found: Finding) -> str:
    """The page as a string."""
    texts = {lang: {**phrases.table()[lang], "page_title": "{title} · Luthier"} for lang in ("en", "zh")}
    title = result.request.made().title
    data = {"charts": list(found.charts), "words": texts, "evidence": None, "title": title}
    style = colours() + read("style.css") + read("evidence.css") + (ASSETS / "study.css").read_text("utf-8")
    fields = {
        "a_answer": TEXTS["answer"].attribute(),
        "t_pictures": TEXTS["pictures"].html(),
        "t_tables": TEXTS["tables"].html(),
        "t_measured": say("measured").html(),
        "t_environment": say("environment").html(),
        "answer": _answer(result, found),
        "figures": "\n".join(sections.figure(i, chart) for i, chart in enumerate(found.charts)),
        "tables": "\n".join(map(_table, found.tables)),
        "measured": _measured(result, found),
        "environment": sections.environment({"environment": result.environment}),
    }
    parts = {
        "style": style,
        "title_text": f"{escape(title)} · Luthier",
        "heading": f"<h1>{title.html()}</h1>",
        "brand": TEXTS["brand"].html(),
        "skip": TEXTS["skip"].html(),
        "start": "tables",
        "facts": _facts(result),
        "quick": _quick(result),
    }
    return framed(Template((ASSETS / "study.html").read_text("utf-8")).substitute(fields), parts, data)


def _facts(result: Result) -> str:
    request, study = result.request, result.request.made()
    found: list[tuple[Phrase, Any]] = [
        (say("fact_model"), ", ".join(f"{on.name} ({on.width})" for on in result.models)),
        (both("Data", "数据"), Path(request.data.path).name),
        *study.facts(request, result.models),
        *result.material.facts,
    ]
    return "".join(
        f"<div>{name.html('dt')}<dd>{' · '.join(map(html, value if isinstance(value, list) else [value]))}</dd></div>"
        for name, value in found
    )


def _quick(result: Result) -> str:
    text = result.request.made().warning(result.request)
    return f'<p class="quick" role="note">{say("quick").html("strong")}{text.html()}</p>' if text else ""


def _answer(result: Result, found: Finding) -> str:
    claims = "".join(
        f"<li>{VERDICTS[c.verdict].html('b', f' class={chr(34)}{c.verdict}{chr(34)}')}"
        f"<div>{c.says.html()}<small>{html(c.source)}</small></div></li>"
        for c in found.claims
    )
    parts = [found.sentence.html("p", ' class="lead"')]
    if claims:
        parts.append(f'{TEXTS["claims"].html("h2", SMALL)}<ul class="claims">{claims}</ul>')
    parts.append(TEXTS["command"].html("p", ' class="label"'))
    parts.append(sections.copyable("command", command(result.request), "repeat_command"))
    return f"{''.join(parts)}<noscript>{TEXTS['no_script'].html()}</noscript>"


SMALL = ' class="claims-title"'
NUMBER, NAME = ' scope="col"', ' scope="row"'


def _table(table: Table) -> str:
    heads = "".join(column.html("th", NUMBER) for column in table.columns)
    body = []
    for at, (first, *rest) in enumerate(table.rows):
        winner = ' class="winner"' if at == table.best else ""
        cells = "".join(f"<td>{html(cell)}</td>" for cell in rest)
        body.append(f"<tr{winner}><th{NAME}>{html(first)}</th>{cells}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" {table.title.attribute()}><table class="results">'
        f"{table.title.html('caption')}<thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _measured(result: Result, found: Finding) -> str:
    lines = [*result.request.made().rules, *found.notes, *failures(result.models)]
    return f'<ul class="measured">{"".join(line.html("li") for line in lines)}</ul>'
