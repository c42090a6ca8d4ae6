"""An inspection as one page of HTML that opens offline; everything that comes from a file is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from luthier import plain_page
from luthier.data.findings import Bar, Finding, bars, findings, histogram
from luthier.data.inspect import Inspection, Shown
from luthier.plain_page import text

ROWS = 1000


def write_page(found: Sequence[Inspection], path: Path) -> None:
    """Write the page of one or two files."""
    names = " and ".join(item.path.name for item in found)
    parts = "\n".join(_part(item, "Training file" if i == 0 else "Test file") for i, item in enumerate(found))
    plain_page.write(path, f"{names} inspected", names, parts)


def _part(found: Inspection, title: str) -> str:
    tokens = found.tokens
    labels = "Values" if found.task == "regression" else "Labels"
    return f"""<article>
<h2>{title}: <bdi>{text(str(found.path))}</bdi></h2>
<p class="soft">Read as {text(found.layout)}: {found.task}. Tokens of {text(tokens.model)}, objective
{text(tokens.objective)}.</p>
<ul class="findings">
{"".join(map(_finding, findings(found)))}</ul>
{_bars("Tokens a row", histogram(tokens.lengths))}
{_bars(labels, bars(found.balance))}
{_examples(found)}
</article>"""


def _finding(finding: Finding) -> str:
    mark = '<b class="mark">Look</b> ' if finding.trouble else ""
    head = f"{mark}{text(finding.text)}"
    if not finding.rows:
        return f'<li class="{"trouble" if finding.trouble else "fine"}">{head}</li>\n'
    rows = "".join(f"<li><bdi>{text(row)}</bdi></li>" for row in finding.rows[:ROWS])
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
        f'<tr><th scope="row"><bdi>{text(bar.name)}</bdi></th><td>{bar.count:,}</td>'
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
    runs = "".join(f"<mark>{text(run)}</mark>" if learned else text(run) for run, learned in shown.runs)
    return (
        f"<figure><figcaption>{found.unit} {shown.line} ({shown.tokens:,} tokens{cut})</figcaption>"
        f'<pre dir="auto" tabindex="0">{runs}</pre></figure>\n'
    )
