"""An inspection as one page of HTML that opens offline, in both languages; what comes from a file is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from luthier.core import phrases
from luthier.core.phrases import Phrase
from luthier.data.notes import place as name_of
from luthier.reports import plain_page
from luthier.reports.inspection.findings import Bar, Finding, bars, effect, findings, histogram, place
from luthier.reports.inspection.inspection import Inspection, Shown
from luthier.reports.plain_page import both, text

ROWS = 1000


def write_page(found: Sequence[Inspection], path: Path) -> None:
    """Write the page of one or two files."""
    names = " and ".join(item.path.name for item in found)
    titles = both("Training file", "训练文件"), both("Test file", "测试文件")
    parts = "\n".join(_part(item, title) for item, title in zip(found, titles, strict=False))
    plain_page.write(path, both(f"{names} inspected", f"{names} 的检查"), names, parts)


def _part(found: Inspection, title: Phrase) -> str:
    tokens = found.tokens
    labels = both("Values", "数值") if found.task == "regression" else both("Labels", "标签")
    read = both(
        f"Read as {found.layout}: {found.task}. Tokens of {tokens.model}, objective {tokens.objective}.",
        f"按 {found.layout} 的格式读取，任务：{phrases.table()['zh'].get(f'task_{found.task}', found.task)}。"
        f"词元来自 {tokens.model}，训练目标：{tokens.objective}。",
    )
    return f"""<article>
<h2>{text(title)}: <bdi>{text(str(found.path))}</bdi></h2>
<p class="soft">{text(read)}</p>
<ul class="findings">
{"".join(map(_finding, findings(found)))}</ul>
{_keys(found)}
{_bars(both("Tokens a row", "每行词元数"), histogram(tokens.lengths))}
{_bars(labels, bars(found.balance))}
{_examples(found)}
</article>"""


def _finding(finding: Finding) -> str:
    mark = f'<b class="mark">{text(both("Look", "注意"))}</b> ' if finding.trouble else ""
    head = f"{mark}{text(finding.text)}"
    if not finding.rows:
        return f'<li class="{"trouble" if finding.trouble else "fine"}">{head}</li>\n'
    rows = "".join(f"<li><bdi>{text(row)}</bdi></li>" for row in finding.rows[:ROWS])
    rest = len(finding.rows) - ROWS
    more = f"<li>{text(both(f'and {rest:,} more', f'还有 {rest:,} 个'))}</li>" if rest > 0 else ""
    opened = " open" if finding.trouble and len(finding.rows) <= 10 else ""
    return (
        f'<li class="{"trouble" if finding.trouble else "fine"}"><details{opened}><summary>{head}</summary>'
        f"<ul>{rows}{more}</ul></details></li>\n"
    )


def _bars(title: Phrase, rows: Sequence[Bar]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f'<tr><th scope="row"><bdi>{text(bar.name)}</bdi></th><td>{bar.count:,}</td>'
        f'<td class="track"><span style="width:{100 * bar.height:.1f}%"></span></td></tr>\n'
        for bar in rows
    )
    return f'<h3>{text(title)}</h3>\n<table class="bars"><tbody>\n{lines}</tbody></table>'


def _keys(found: Inspection) -> str:
    if not found.keys:
        return ""
    lines = "".join(
        f'<tr><th scope="row"><bdi>{text(name_of(key))}</bdi></th><td>{key.rows:,}</td>'
        f"<td>{text(effect(key))}</td></tr>\n"
        for key in found.keys
    )
    return f'<h3>{text(both("Keys", "键"))}</h3>\n<table class="keys"><tbody>\n{lines}</tbody></table>'


def _examples(found: Inspection) -> str:
    if not found.tokens.shown:
        return ""
    shown = "".join(_example(found, item) for item in found.tokens.shown)
    told = both("The model learns what is underlined and coloured.", "模型学习的是带下划线和底色的部分。")
    heading = both("Rows as the model reads them", "模型看到的行")
    return f"<h3>{text(heading)}</h3>\n<p>{text(told)}</p>\n{shown}"


def _example(found: Inspection, shown: Shown) -> str:
    cut = (f", {shown.cut:,} more left out", f"，另有 {shown.cut:,} 个被省去") if shown.cut else ("", "")
    head = place(found, shown.line, f" ({shown.tokens:,} tokens{cut[0]})", f"（{shown.tokens:,} 个词元{cut[1]}）")
    runs = "".join(f"<mark>{text(run)}</mark>" if learned else text(run) for run, learned in shown.runs)
    return f'<figure><figcaption>{text(head)}</figcaption><pre dir="auto" tabindex="0">{runs}</pre></figure>\n'
