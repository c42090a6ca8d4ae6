"""What of the files is used, in one sentence of both languages, and limits that give less than they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from luthier.core.command import option
from luthier.core.phrases import say
from luthier.core.split import Used

LEFT: Mapping[str, tuple[str, str]] = {  # why rows are left out, in the order of the sentence
    "limit": ("{n} by {limit}", "{limit} 之外 {n} 行"),
    "limit_test": ("{n} by {limit_test}", "{limit_test} 之外 {n} 行"),
    "train_rows": ("{n} by data.train_rows", "data.train_rows 之外 {n} 行"),
    "bad": ("{n} that cannot be used", "无法使用 {n} 行"),
    "alone": ("{n} ratings with no other answer to compare", "没有其他回答可比较的评分 {n} 行"),
    "asked": ("{n} prompts without answers", "没有回答的提示 {n} 行"),
    "ties": ("{n} ties", "平局 {n} 行"),
    "judged": ("{n} answers found bad", "被评为不好的回答 {n} 行"),
    "in_test": ("{n} that also stand in the test file", "也在测试文件中 {n} 行"),
    "held": ("{n} that are held out in another file", "在另一个文件中留作测试 {n} 行"),
}


def said(used: Used) -> tuple[str, str]:
    """The sentence in English and in Chinese: what of the rows is used, in which parts, and why the others are not."""
    whole, own = used.rows, used.train + used.validation
    parts, ours = (
        f"{used.train:,} train, {used.validation:,} validate",
        f"训练 {used.train:,}，验证 {used.validation:,}",
    )
    if used.test_rows is None:
        own += used.test
        en = f"{own:,} of {whole:,} rows; {parts}, {used.test:,} test"
        zh = f"{whole:,} 行中使用 {own:,} 行：{ours}，测试 {used.test:,}"
    else:
        en = f"{own:,} of {whole:,} rows; {parts}; {used.test:,} of {used.test_rows:,} rows of the test file test"
        zh = f"{whole:,} 行中使用 {own:,} 行：{ours}；测试文件 {used.test_rows:,} 行中使用 {used.test:,} 行"
    names = {"limit": option("--limit", "data.limit"), "limit_test": option("--limit-test", "data.limit_test")}
    why = [
        tuple(text.format(n=f"{used.left[key]:,}", **names) for text in LEFT[key]) for key in LEFT if used.left.get(key)
    ]
    if not why:
        return en, zh
    return f"{en}; left out: {', '.join(a for a, _ in why)}", f"{zh}；未使用：{'，'.join(b for _, b in why)}"


def with_left(used: Used, train: Mapping[str, int], test: Mapping[str, int]) -> Used:
    """The same, with rows of the file and of the test file that never came to be split, by reason."""
    left = {key: n for key in LEFT if (n := used.left.get(key, 0) + train.get(key, 0) + test.get(key, 0))}
    tested = None if used.test_rows is None else used.test_rows + sum(test.values())
    return replace(used, rows=used.rows + sum(train.values()), test_rows=tested, left=left)


def with_train(used: Used, rows: int, why: str) -> Used:
    """The same, with fewer training rows, for a reason."""
    left = {**used.left, why: used.left.get(why, 0) + used.train - rows}
    return replace(used, train=rows, left={key: n for key, n in left.items() if n})


def together(several: Sequence[Used]) -> Used:
    """Of several files."""
    tests = [used.test_rows for used in several if used.test_rows is not None]
    left: dict[str, int] = {}
    for used in several:
        for key, rows in used.left.items():
            left[key] = left.get(key, 0) + rows
    return Used(
        sum(used.rows for used in several), sum(tests) if len(tests) == len(several) else None,
        sum(used.train for used in several), sum(used.validation for used in several),
        sum(used.test for used in several), left,
    )  # fmt: skip


def limit_notes(limit: int | None, rows: int, limit_test: int | None, most: int, held_out: bool) -> Iterator[str]:
    """What limits cannot give. rows: that could be taken; most: test rows there are; held_out: of the same file."""
    if limit is not None and limit > rows:
        yield say("said_limit", option=option("--limit", "data.limit"), limit=f"{limit:,}", rows=f"{rows:,}")
    if limit_test is not None and limit_test > most:
        held = "said_limit_test_held" if limit else "said_limit_test_rows"
        name = option("--limit-test", "data.limit_test")
        key = held if held_out else "said_limit_test"
        yield say(key, option=name, limit=f"{limit_test:,}", rows=f"{most:,}")
