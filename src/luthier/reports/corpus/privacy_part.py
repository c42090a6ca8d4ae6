"""How much private data of each kind is found, and how much of that is right: measured on sentences of this project."""

from __future__ import annotations

from luthier.comparison.per_row import wilson
from luthier.reports.plain_page import both, text

TITLE = both("What is found of private data", "能找到多少隐私数据")
ABOUT = both(
    "Measured on sentences that were written for this project without having seen the patterns, English and Chinese, "
    "with what is installed here; in brackets 95 % intervals. A span counts as right where it is the same to the "
    "character. Other text may be another matter: look at what stays.",
    "在为本项目编写、且编写时未见过规则的中英文句子上测得，按本机已安装的组件；括号内为 95% 区间。"
    "只有逐字一致才算正确。其他文本可能不同：请查看未被遮盖的内容。",
)
COLUMNS = (
    both("kind", "类型"), both("marked by people", "人工标注"), both("found of them", "召回率"),
    both("right of those found", "精确率"),
)  # fmt: skip


def privacy_part() -> str:
    """The section of a page. Takes some seconds."""
    import pyarrow as pa

    from luthier.corpus.privacy.finding import KINDS, found_in
    from luthier.corpus.privacy.scoring import scores, sentences
    from luthier.corpus.texts import Texts

    rows = list(sentences("b"))
    texts = [said for said, _ in rows]
    found = found_in(Texts(pa.array(texts, pa.large_string())), texts, frozenset(KINDS))
    lines = []
    for one in scores([spans for _, spans in rows], [found.get(number, []) for number in range(len(rows))]):
        cells = [_share(one.right, one.labelled), _share(one.right, one.found)]
        lines.append(f"<tr><td>{text(one.kind)}</td><td>{one.labelled}</td>{''.join(cells)}</tr>")
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in COLUMNS)
    return (
        f"<h2>{text(TITLE)}</h2><p>{text(ABOUT)}</p>"
        f'<table class="keys"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    )


def _share(right: int, of: int) -> str:
    if not of:
        return "<td>—</td>"
    low, high = wilson(right / of, of)
    return f"<td>{100 * right / of:.0f} % ({100 * low:.0f}–{100 * high:.0f})</td>"
