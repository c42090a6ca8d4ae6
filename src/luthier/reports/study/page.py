"""Write a study as one page that opens anywhere, offline, in both languages, light and dark, and can be printed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from luthier.core import phrases
from luthier.core.phrases import Phrase, both, escape, html, say
from luthier.evals import formatting
from luthier.io.config import DataConfig
from luthier.io.files import write_text
from luthier.reports.comparison import sections
from luthier.reports.page_frame import colours, framed, read
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
    out += [data.path] if data.path != DataConfig().path else []
    for name, value in (
        ("--test", data.test),
        ("--instruction", data.instruction),
        ("--encoding", data.encoding or None),
        ("--limit", data.limit),
        ("--limit-test", data.limit_test),
        ("--budget", request.budget or None),
        ("--seeds", request.seeds),
    ):
        out += [name, str(value)] if value is not None else []
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
    request = result.request
    seconds_or_tokens = request.budget or request.made().budget
    budget = both(
        f"{seconds_or_tokens} in all, {formatting.count(result.models[0].tokens)} tokens a run",
        f"共 {seconds_or_tokens}，每次 {formatting.count(result.models[0].tokens)} 个词元",
    )
    task = f"task_{result.task}"
    found: list[tuple[Phrase, Any]] = [
        (say("fact_model"), ", ".join(f"{on.name} ({on.width})" for on in result.models)),
        (both("Data", "数据"), Path(request.data.path).name),
        (say("fact_task"), say(task)),
        (say("fact_budget"), budget),
        (say("column_seeds"), str(request.seeds)),
        (say("fact_rows"), [say(f"rows_{part}", n=n) for part, n in result.rows.items()]),
    ]
    return "".join(
        f"<div>{name.html('dt')}<dd>{' · '.join(map(html, value if isinstance(value, list) else [value]))}</dd></div>"
        for name, value in found
    )


def _quick(result: Result) -> str:
    if result.request.seeds > 1:
        return ""
    text = both(
        "one seed: how much a run varies from another of the same kind was not measured.",
        "只有一个种子：同样设置的两次训练会差多少，没有测量。",
    )
    return f'<p class="quick" role="note">{say("quick").html("strong")}{text.html()}</p>'


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
    rules: Mapping[str, Phrase] = {
        "budget": both(
            "Every run gets the same number of training tokens, the same rows in the same order for a seed, and "
            "starts from the same random state.",
            "每次训练的词元数相同，同一种子下数据顺序相同，随机状态也相同。",
        ),
        "score": both(
            "Loss is taken on the test rows, which no run learns from: −log p of the right label among the labels, "
            "or nats a token of the answer. Lower is better.",
            "损失在任何训练都没见过的测试数据上计算：正确标签在各标签中的 −log p，或答案每词元的 nat。越低越好。",
        ),
        "interval": both(
            "Intervals are 95 %, by a bootstrap over test rows and seeds, paired between arms. Where the interval of "
            "a difference includes zero, the page says so and claims nothing. Each is 95 % by itself: of many "
            "arms, one in twenty may seem different by chance.",
            "区间为 95 %，对测试数据和种子做自助法，各设置之间配对。差的区间含零时，本页如实说明，不下结论。"
            "每个区间各自为 95 %：设置很多时，二十个中可能有一个只是碰巧显得不同。",
        ),
    }
    lines = [*rules.values(), *found.notes, *failures(result.models)]
    return f'<ul class="measured">{"".join(line.html("li") for line in lines)}</ul>'
