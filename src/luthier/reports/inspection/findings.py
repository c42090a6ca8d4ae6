"""What an inspection found, in sentences of both languages: shared by the terminal and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from luthier.core.phrases import Phrase
from luthier.data.keys import Key
from luthier.data.overlap import ALIKE
from luthier.reports.inspection.inspection import Inspection, Pair
from luthier.reports.plain_page import both

BARS = 12
LOPSIDED = 10  # a label this many times as frequent as another is worth a word


@dataclass(frozen=True)
class Finding:
    """A sentence, whether it needs a look, and the rows it is about, one text each."""

    text: Phrase
    trouble: bool
    rows: tuple[Phrase, ...] = ()


@dataclass(frozen=True)
class Bar:
    """One line of a histogram: what it counts, how many, and their share of the largest, 0 to 1."""

    name: str | Phrase
    count: int
    height: float


def findings(found: Inspection) -> list[Finding]:
    """All that there is to say, rows first."""
    parts = (_rows, _keys, _written, _tokens, _repeats, _overlap, _labels)
    return [finding for part in parts for finding in part(found)]


def _rows(found: Inspection) -> list[Finding]:
    dropped = tuple(place(found, bad.line, f": {bad.reason}", f"：{_chinese(bad.reason)}") for bad in found.bad)
    said = both(
        f"{found.rows:,} rows in the file: {found.kept:,} kept, {len(found.bad):,} dropped",
        f"文件共 {found.rows:,} 行：保留 {found.kept:,} 行，丢弃 {len(found.bad):,} 行",
    )
    out = [Finding(said, bool(found.bad), dropped)]
    if unused := len(found.unused):
        said = both(
            f"{_rows_are(unused)} answers that were found bad: learning by imitation leaves them out",
            f"{unused:,} 行是被评为不好的回答：模仿学习不使用它们",
        )
        out.append(Finding(said, False, tuple(place(found, row.line) for row in found.unused)))
    return out


def _keys(found: Inspection) -> list[Finding]:
    """Keys that are not used, answers without loss, marks, labels: what the notes of a run say too."""
    return [Finding(_translated(note), True) for note in found.notes]


def _translated(note: str) -> Phrase:
    """A note in both languages: the page does not carry the whole catalogue."""
    return both(note, _chinese(note))


def _chinese(text: str) -> str:
    return text.text("zh") if isinstance(text, Phrase) else text


def _written(found: Inspection) -> list[Finding]:
    out = []
    if refused := len(found.refused):
        said = both(
            f"{_rows_are(refused)} not written by the model's chat template as they stand here: no method runs on them",
            f"{refused:,} 行无法由模型的对话模板照原样写出：任何方法都不能使用",
        )
        rows = tuple(place(found, bad.line, f": {bad.reason}", f"：{_chinese(bad.reason)}") for bad in found.refused)
        out.append(Finding(said, True, rows))
    out += [Finding(_translated(note), True) for note in found.losses]
    for token, count in found.special:
        said = both(
            f"{_rows_have(count)} {token} in a text: the model reads it as a special token, not as words",
            f"{count:,} 行的文本中有 {token}：模型把它当作特殊词元，而不是文字",
        )
        out.append(Finding(said, True))
    return out


def effect(key: Key) -> Phrase:
    """What a key does, with the number of rows where it does not do the same in all."""
    said = [
        (key.used, f"read as {key.field}" if key.field and key.field != key.name else "used",
         f"读作 {key.field}" if key.field and key.field != key.name else "已使用"),
        (key.off, "takes the loss off an answer", "使回答不计入损失"),
        (key.usual, "says what holds without it", "与默认相同"),
        (key.unused, "not used", "未使用"),
        (key.empty, "holds nothing", "为空"),
        (key.bad, "of dropped rows", "属于被丢弃的行"),
    ]  # fmt: skip
    parts = [(n, en, zh) for n, en, zh in said if n]
    if len(parts) == 1 and parts[0][0] == key.rows:
        return both(parts[0][1], parts[0][2])
    return both(", ".join(f"{en} ({n:,})" for n, en, _ in parts), "，".join(f"{zh}（{n:,}）" for n, _, zh in parts))


def _tokens(found: Inspection) -> list[Finding]:
    tokens, count = found.tokens, len(found.tokens.lengths)
    if not count:
        return []
    ordered = sorted(tokens.lengths)
    middle, high, most, whole = ordered[count // 2], ordered[count * 95 // 100], ordered[-1], sum(ordered)
    cut, learned = len(tokens.cut), _share(tokens.learned, tokens.total)
    out = [
        Finding(both(
            f"Rows have {middle:,} tokens in the median, {high:,} at the 95th percentile, {most:,} at most; "
            f"{whole:,} in all",
            f"每行词元数：中位数 {middle:,}，第 95 百分位 {high:,}，最多 {most:,}；共 {whole:,}",
        ), False),
        Finding(both(
            f"{cut:,} of {count:,} rows {'is' if cut == 1 else 'are'} shortened to {tokens.limit:,} tokens "
            f"(--max-length sets it): the middle of the longest text gives way ({_share(cut, count)})",
            f"{count:,} 行中有 {cut:,} 行缩短到 {tokens.limit:,} 个词元（由 --max-length 设定）："
            f"省去最长文本的中间（{_share(cut, count)}）",
        ), bool(cut), _places(found, tokens.cut)),
        Finding(both(
            f"{learned} of tokens carry loss ({tokens.learned:,})", f"{learned} 的词元计入损失（{tokens.learned:,} 个）"
        ), not tokens.learned),
    ]  # fmt: skip
    if empty := len(tokens.empty):
        said = both(
            f"{_rows_have(empty)} nothing to learn within {tokens.limit:,} tokens",
            f"{empty:,} 行在 {tokens.limit:,} 个词元之内没有可学习的内容",
        )
        out.append(Finding(said, True, _places(found, tokens.empty)))
    if ends := len(tokens.ends):
        said = both(
            f"{_rows_have(ends)} an answer of more than {tokens.limit:,} tokens: its end is not learned",
            f"{ends:,} 行的回答超过 {tokens.limit:,} 个词元：其结尾不被学习",
        )
        out.append(Finding(said, True, _places(found, tokens.ends)))
    return out


def _repeats(found: Inspection) -> list[Finding]:
    same, other, near = len(found.duplicates), len(found.conflicts), len(found.alike)
    return [
        Finding(both(f"{_rows_repeat(same)} an earlier row", f"{same:,} 行与前面的行重复"),
                bool(same), _pairs(found, found.duplicates)),
        Finding(both(f"{_rows_repeat(other)} an earlier row with another answer",
                     f"{other:,} 行与前面的行相同而答案不同"),
                bool(other), _pairs(found, found.conflicts)),
        Finding(both(f"{_rows_are(near)} nearly an earlier row ({ALIKE:.0%} of n-grams of 8 bytes shared, or more)",
                     f"{near:,} 行与前面的行几乎相同（8 字节 n-gram 至少有 {ALIKE:.0%} 相同）"),
                bool(near), _pairs(found, found.alike, near=True)),
    ]  # fmt: skip


def _overlap(found: Inspection) -> list[Finding]:
    if not found.compared:
        return []
    seen, near = len(found.seen), len(found.near)
    return [
        Finding(both(f"{_rows_are(seen)} in the training file too: comparing leaves them out of training",
                     f"{seen:,} 行也在训练文件中：对比时不用它们训练"),
                bool(seen), _pairs(found, found.seen, True)),
        Finding(both(f"{_rows_are(near)} nearly a training row ({ALIKE:.0%} of its n-grams stand in it, or more)",
                     f"{near:,} 行与某个训练行几乎相同（至少 {ALIKE:.0%} 的 n-gram 在其中）"),
                bool(near), _pairs(found, found.near, True, True)),
    ]  # fmt: skip


def _labels(found: Inspection) -> list[Finding]:
    counts = [count for _, count in found.balance]
    if len(counts) < 2 or found.task == "regression" or max(counts) < LOPSIDED * max(min(counts), 1):
        return []
    most, least = found.balance[0], found.balance[-1]
    said = both(
        f'Labels are unequal: "{most[0]}" has {most[1]:,} rows, "{least[0]}" {least[1]:,}',
        f"标签不均衡：“{most[0]}”有 {most[1]:,} 行，“{least[0]}”有 {least[1]:,} 行",
    )
    return [Finding(said, True)]


def histogram(lengths: Sequence[int]) -> list[Bar]:
    """Rows by length in tokens, in at most BARS ranges of equal round width."""
    if not lengths:
        return []
    width = _round_up(max(lengths) / BARS)
    counts = [0] * (max(lengths) // width + 1)
    for length in lengths:
        counts[length // width] += 1
    ends = [(i * width, (i + 1) * width - 1) for i in range(len(counts))]
    top = max(counts)
    return [Bar(both(f"{a} to {b}", f"{a}–{b}"), n, n / top) for (a, b), n in zip(ends, counts, strict=True)]


def _round_up(value: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50…"""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if value < step * factor:
                return step * factor
        step *= 10


def bars(balance: Sequence[tuple[str, int]], most: int = 40) -> list[Bar]:
    """Labels as bars; what is beyond `most` is one bar."""
    shown: list[tuple[str | Phrase, int]] = list(islice(balance, most))
    if rest := sum(count for _, count in balance[most:]):
        shown.append((both(f"({len(balance) - most} more)", f"（其余 {len(balance) - most} 个）"), rest))
    top = max((count for _, count in shown), default=1) or 1
    return [Bar(name, count, count / top) for name, count in shown]


def place(found: Inspection, line: int, en: str = "", zh: str = "") -> Phrase:
    """A row of the file, and what is said of it."""
    return both(f"{found.unit} {line}{en}", f"第 {line} 行{zh}")


def _places(found: Inspection, lines: Sequence[int]) -> tuple[Phrase, ...]:
    return tuple(place(found, line) for line in lines)


def _pairs(
    found: Inspection, pairs: Sequence[Pair], of_training: bool = False, near: bool = False
) -> tuple[Phrase, ...]:
    """near: only a share of the row is that of the other, even where it is all of it."""
    en, zh = (" like training ", "，与训练文件") if of_training else (" like ", "，与")
    return tuple(
        place(found, p.line, f"{en}{found.unit} {p.like}" + (f", {p.share:.0%}" if near else ""),
              f"{zh}第 {p.like} 行" + (f"有 {p.share:.0%} 相同" if near else "相同"))
        for p in pairs
    )  # fmt: skip


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0 %"


def _rows_are(count: int) -> str:
    return "1 row is" if count == 1 else f"{count:,} rows are"


def _rows_have(count: int) -> str:
    return "1 row has" if count == 1 else f"{count:,} rows have"


def _rows_repeat(count: int) -> str:
    return "1 row repeats" if count == 1 else f"{count:,} rows repeat"
