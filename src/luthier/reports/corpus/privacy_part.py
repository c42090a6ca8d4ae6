"""How much private data of each kind is found, and how much of that is right: measured on sentences of this project."""

from __future__ import annotations

from luthier.corpus.privacy.scoring import Score
from luthier.evals.bootstrap import wilson
from luthier.reports.plain_page import both, text

TITLE = both("What is found of private data", "能找到多少隐私数据")
ABOUT = both(
    "Sentences written for this project, English and Chinese; a span counts as right where it is the same to the "
    "character. First columns: half of the sentences, written without having seen the patterns and scored once, before "
    "anybody looked at them; in brackets 95 % intervals. Last columns: all sentences, with what is installed here. "
    "Other text may be another matter: look at what stays.",
    "句子为本项目编写，中英文各半；只有逐字一致才算正确。前几列：一半句子在编写时未见过规则，且在任何人查看之前只评分一次；"
    "括号内为 95% 区间。后几列：全部句子，按本机已安装的组件。其他文本可能不同：请查看未被遮盖的内容。",
)
COLUMNS = (
    both("kind", "类型"), both("marked, unseen", "标注（未见）"), both("found of them", "召回率"),
    both("right of those found", "精确率"), both("marked, all", "标注（全部）"), both("found of them", "召回率"),
    both("right of those found", "精确率"),
)  # fmt: skip


def privacy_part() -> str:
    """The section of a page. Takes some seconds."""
    import pyarrow as pa

    from luthier.corpus.privacy.finding import KINDS, found_in
    from luthier.corpus.privacy.scoring import at_first, scores, sentences
    from luthier.corpus.texts import Texts

    rows = [*sentences("a"), *sentences("b")]
    texts = [said for said, _ in rows]
    found = found_in(Texts(pa.array(texts, pa.large_string())), texts, frozenset(KINDS))
    now = scores([spans for _, spans in rows], [found.get(number, []) for number in range(len(rows))])
    lines = []
    for first, all_of in ((at_first().get(one.kind, Score(one.kind, 0, 0, 0)), one) for one in now):
        cells = "".join(
            f"<td>{one.labelled}</td>{_share(one.right, one.labelled)}{_share(one.right, one.found)}"
            for one in (first, all_of)
        )
        lines.append(f"<tr><td>{text(all_of.kind)}</td>{cells}</tr>")
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in COLUMNS)
    return (
        f"<h2>{text(TITLE)}</h2><p>{text(ABOUT)}</p>"
        f'<table class="keys"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    )


def _share(right: int, of: int) -> str:
    if not of:
        return "<td>—</td>"
    inside = wilson(right / of, of)
    return f"<td>{100 * inside.value:.0f} % ({100 * inside.low:.0f}–{100 * inside.high:.0f})</td>"
