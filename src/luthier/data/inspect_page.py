"""An inspection as one page of HTML that opens offline; everything that comes from a file is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from luthier.data.findings import Bar, Finding, bars, findings, histogram
from luthier.data.inspect import Inspection, Shown
from luthier.data.inspect_terminal import visible
from luthier.files import write_text

STYLE = Path(__file__).parent / "page" / "inspect.css"
ROWS = 1000


def write_page(found: Sequence[Inspection], path: Path) -> None:
    """Write the page of one or two files."""
    names = " and ".join(item.path.name for item in found)
    parts = "\n".join(_part(item, "Training file" if i == 0 else "Test file") for i, item in enumerate(found))
    write_text(
        path,
        f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{_text(names)} inspected</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
<header><p class="brand">Luthier</p><h1>{_text(names)}</h1></header>
<main>
{parts}
</main>
</html>
""",
    )


def _text(text: str) -> str:
    return escape(visible(text))


def _part(found: Inspection, title: str) -> str:
    tokens = found.tokens
    labels = "Values" if found.task == "regression" else "Labels"
    return f"""<article>
<h2>{title}: <bdi>{_text(str(found.path))}</bdi></h2>
<p class="soft">Read as {_text(found.layout)}: {found.task}. Tokens of {_text(tokens.model)}, objective
{_text(tokens.objective)}.</p>
<ul class="findings">
{"".join(map(_finding, findings(found)))}</ul>
{_bars("Tokens a row", histogram(tokens.lengths))}
{_bars(labels, bars(found.balance))}
{_examples(found)}
</article>"""


def _finding(finding: Finding) -> str:
    mark = '<b class="mark">Look</b> ' if finding.trouble else ""
    head = f"{mark}{_text(finding.text)}"
    if not finding.rows:
        return f'<li class="{"trouble" if finding.trouble else "fine"}">{head}</li>\n'
    rows = "".join(f"<li><bdi>{_text(row)}</bdi></li>" for row in finding.rows[:ROWS])
    more = f"<li>and {len(finding.rows) - ROWS:,} more</li>" if len(finding.rows) > ROWS else ""
    opened = " open" if finding.trouble and len(finding.rows) <= 10 else ""
    return (
        f'<li class="{"trouble" if finding.trouble else "fine"}"><details{opened}><summary>{head}</summary>'
        f"<ul>{rows}{more}</ul></details></li>\n"
    )


def _bars(title: str, rows: Sequence[Bar]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f'<tr><th scope="row"><bdi>{_text(bar.name)}</bdi></th><td>{bar.count:,}</td>'
        f'<td class="track"><span style="width:{100 * bar.height:.1f}%"></span></td></tr>\n'
        for bar in rows
    )
    return f'<h3>{title}</h3>\n<table class="bars"><tbody>\n{lines}</tbody></table>'


def _examples(found: Inspection) -> str:
    if not found.tokens.shown:
        return ""
    shown = "".join(_example(found, item) for item in found.tokens.shown)
    told = "<p>It learns what is <mark>underlined and coloured</mark>.</p>"
    return f"<h3>Rows as the model reads them</h3>\n{told}\n{shown}"


def _example(found: Inspection, shown: Shown) -> str:
    cut = f", {shown.cut:,} more cut off" if shown.cut else ""
    runs = "".join(f"<mark>{_text(text)}</mark>" if learned else _text(text) for text, learned in shown.runs)
    return (
        f"<figure><figcaption>{found.unit} {shown.line} ({shown.tokens:,} tokens{cut})</figcaption>"
        f'<pre dir="auto" tabindex="0">{runs}</pre></figure>\n'
    )
