"""The page of a corpus run: what came in and out of each stage and why, what was dropped and cut, and what is left."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from luthier.core.phrases import Phrase
from luthier.corpus import documents
from luthier.corpus.mixing.makeups import PUBLISHED
from luthier.corpus.stage import shards_in
from luthier.reports.corpus.privacy_part import privacy_part
from luthier.reports.plain_page import both, text, write

PAGE = "report.html"
STYLE = Path(__file__).parents[1] / "assets" / "corpus.css"
TITLE = both("From files to clean text", "从文件到干净的文本")
FUNNEL, SAMPLES = both("Stage by stage", "逐个阶段"), both("What was dropped and cut", "丢弃与删减的内容")
MAKEUP = both("What is left", "留下的内容")
KNOWN = both("What known models were trained on, percent", "已知模型的训练数据构成（%）")
COLUMNS = (
    both("stage", "阶段"), both("documents", "输入文档"), both("kept", "保留"), both("dropped", "丢弃"),
    both("cut", "删减"), both("MB in", "输入 MB"), both("MB kept", "保留 MB"),
    both("tokens, about", "保留 token（约）"), both("perplexity", "困惑度"),
    both("% kept", "保留比例"),
)  # fmt: skip
ABOUT = both(
    "Tokens are the embedded model's, told from a sample of each stage's documents. Perplexity is a word's under the "
    "counts of the reference text, over sampled documents in its language.",
    "token 数按内置模型的分词器，由各阶段文档抽样估计。困惑度由参考文本的词频统计得出，取样本中与其语言相同的文档。",
)
NO_REFERENCE = both(
    "Perplexity before and after is told where the recipe names text as it should be (`reference: FOLDER`) in a "
    "language of the documents.",
    "若配方指定了参考文本（`reference: 文件夹`），且与文档语言相同，这里会给出前后的困惑度。",
)
WHY, HOW_MANY = both("why", "原因"), both("documents", "文档数")
DROPPED, CUT, NONE = both("dropped", "丢弃"), both("cut", "删减"), both("nothing", "无")
BY_SOURCE, BY_LANGUAGE, BY_KIND = both("by source", "按来源"), both("by language", "按语言"), both("by kind", "按类型")
SHARE, SIZE = both("% of bytes", "字节占比（%）"), both("MB", "MB")
FOUND = both("What was sought and found", "查找并发现的内容")
STAGE, DOCUMENT, WHAT, QUOTE = (
    both("stage", "阶段"),
    both("document", "文档"),
    both("what", "内容"),
    both("words", "原文"),
)
QUOTED = 200  # findings on a page; all are in DIR/found
SHOWN, LONG, LARGEST = 3, 900, 12  # samples of a reason; characters of one; rows of a table
LINES = 400  # of a text that was cut


def write_page(folder: Path, funnel: Sequence[Mapping[str, Any]]) -> Path:
    """Write the page of a finished run. Raises OSError."""
    body = f"""<h2>{text(FUNNEL)}</h2>
{_funnel(funnel)}
{"".join(_reasons(at, stage) for at, stage in enumerate(funnel) if stage["reasons"] or stage["changed"])}
<h2>{text(MAKEUP)}</h2>
{_left(folder)}
<h3>{text(KNOWN)}</h3>
{"".join(_known())}
<h2>{text(SAMPLES)}</h2>
{"".join(_samples(folder, funnel)) or f"<p>{text(NONE)}</p>"}
{_found(folder)}
{privacy_part() if any(stage["stage"] == "privacy" for stage in funnel) else ""}"""
    write(folder / PAGE, TITLE, TITLE, body, [STYLE], wide=True)
    return folder / PAGE


def _table(head: Sequence[Phrase], rows: Sequence[Sequence[str]], style: str = "keys") -> str:
    top = "".join(f'<th scope="col">{text(column)}</th>' for column in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="{style}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _funnel(funnel: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for number, stage in enumerate(funnel):
        share = 100 * stage["kept"] / stage["in"] if stage["in"] else 100.0
        bar = f'<div class="track" aria-hidden="true"><span style="width:{share:.1f}%"></span></div>{share:.1f} %'
        numbers = [f"{stage[key]:,}" for key in ("in", "kept", "dropped")] + [f"{sum(stage['changed'].values()):,}"]
        sizes = [f"{stage[key] / 1e6:,.2f}" for key in ("bytes_in", "bytes_kept")]
        seen = "—" if stage["perplexity"] is None else f"{stage['perplexity']:,.4g}"
        rows.append([text(f"{number} {stage['stage']}"), *numbers, *sizes, f"{stage['tokens']:,}", seen, bar])
    told = [ABOUT, *([NO_REFERENCE] if all(stage["perplexity"] is None for stage in funnel) else [])]
    return f'<div class="scroll">{_table(COLUMNS, rows, "funnel")}</div>' + "".join(
        f"<p>{text(line)}</p>" for line in told
    )


def _reasons(number: int, stage: Mapping[str, Any]) -> str:
    parts = []
    for key, word in (("reasons", DROPPED), ("changed", CUT)):
        if found := sorted(stage[key].items(), key=lambda item: (-item[1], item[0])):
            rows = [[text(name), f"{count:,}"] for name, count in found]
            parts.append(f"<h3>{number} {text(stage['stage'])}: {text(word)}</h3>{_table((WHY, HOW_MANY), rows)}")
    return "".join(parts)


def _tables(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[Any]:
    for path in paths:
        yield documents.read(path, list(columns))


def _left(folder: Path) -> str:
    import pyarrow.compute as pc

    sizes = {name: Counter[str]() for name in ("source", "language", "kind")}
    for table in _tables(shards_in(folder / "kept"), ["text", *sizes]):
        of = pc.fill_null(pc.binary_length(table["text"]), 0)
        for name, found in sizes.items():
            grouped = table.select([name]).append_column("size", of).group_by(name).aggregate([("size", "sum")])
            for value, size in zip(grouped[name].to_pylist(), grouped["size_sum"].to_pylist(), strict=True):
                found[value or "—"] += size
    out = []
    for title, found in zip((BY_SOURCE, BY_LANGUAGE, BY_KIND), sizes.values(), strict=True):
        whole = sum(found.values()) or 1
        rows = [[text(n), f"{size / 1e6:,.2f}", f"{100 * size / whole:.1f}"] for n, size in found.most_common(LARGEST)]
        out.append(_table((title, SIZE, SHARE), rows))
    return "".join(out)


def _known() -> Iterator[str]:
    for one in PUBLISHED:
        rows = [[text(name), f"{share:g}"] for name, share in one.shares.items()]
        head = both(f"{one.model} ({one.source})", f"{one.model}（{one.source}）")
        yield _table((head, both("%", "%")), rows)


def _samples(folder: Path, funnel: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A few documents of each reason, by stage: the whole of what was dropped, and what was cut out of others."""
    seen: Counter[tuple[str, str]] = Counter()
    for path in shards_in(folder / "dropped"):
        stage = path.name.split("-")[1]
        for row in _first(path, stage, ["text", "path", "reason", "detail"], seen):
            said = _short(row["text"]) or row["detail"]
            yield _figure(stage, row["reason"], f"{row['path']}: {row['detail']}", text(said))
    for path in (path for stage in funnel for path in shards_in(folder / stage["folder"] / "cut")):
        stage = path.parents[1].name.split("-")[1]
        for row in _first(path, stage, ["reason", "before", "after"], seen):
            yield _figure(stage, row["reason"], "", _marked(row["before"], row["after"]))


def _found(folder: Path) -> str:
    """What was sought and found, by what it is and word for word, as far as a page can hold it."""
    rows: list[list[str]] = []
    for path in shards_in(folder / "found"):
        if len(rows) < QUOTED:
            found = next(_tables([path], ["path", "what", "quote"])).slice(0, QUOTED - len(rows)).to_pylist()
            rows += [[text(path.name.split("-")[1]), *(text(_short(row[key])) for key in row)] for row in found]
    if not rows:
        return ""
    return f'<h2>{text(FOUND)}</h2><div class="scroll">{_table((STAGE, DOCUMENT, WHAT, QUOTE), rows)}</div>'


def _first(path: Path, stage: str, columns: Sequence[str], seen: Counter[tuple[str, str]]) -> list[dict[str, Any]]:
    """Rows of a file for reasons that have few samples so far; texts of no others are read into Python."""
    places = []
    for at, reason in enumerate(next(_tables([path], ["reason"]))["reason"].to_pylist()):
        if seen[stage, reason] < SHOWN:
            seen[stage, reason] += 1
            places.append(at)
    return list(next(_tables([path], columns)).take(places).to_pylist()) if places else []


def _short(value: str) -> str:
    return value if len(value) <= LONG else f"{value[:LONG]} …"


def _marked(before: str, after: str) -> str:
    """The text before with what was cut marked, line by line, and what stands in its place."""
    old, new = before.splitlines()[:LINES], after.splitlines()[:LINES]  # comparing takes their product
    out: list[str] = []
    for kind, low, high, first, last in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        part = old[low:high]
        if kind == "equal":  # what stays is shown as far as it stands beside what goes
            part = part if len(part) <= 4 else [*part[:2], "…", *part[-2:]]
            out += [text(_short(line)) for line in part]
        else:
            out += [f"<del>{text(_short(line))}</del>" for line in part]
            out += [f"<ins>{text(_short(line))}</ins>" for line in new[first:last]]
    return "\n".join(out[:60])


def _figure(stage: str, reason: str, caption: str, markup: str) -> str:
    return (
        f"<figure><figcaption>{text(stage)} · {text(reason)}{text('; ' + caption if caption else '')}</figcaption>"
        f"<pre>{markup}</pre></figure>"
    )
