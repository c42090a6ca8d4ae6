"""Texts to learn a language from: RedPajama, by subsets. The whole (3 TB packed, 5 TB unpacked) is never fetched."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from luthier.core.phrases import Phrase, both
from luthier.data.opensets.spec import Convert, OpenSet, Part, Place, Record, column, columns, text_of

_META = {"url": "url", "source": "source", "language": "lang", "license": "license"}  # what is kept of it, as what
LONGEST = 100_000  # of what is said of a text; more is no such thing
HOLDS = both("text, and where it is from", "文本及其出处")


def texts(file: str, language: str = "") -> Convert:
    """A converter of rows with a text and what is said of it. language: of all rows, where they do not say."""

    def convert(row: Any, left: Counter[Phrase]) -> Iterator[tuple[str, Record]]:
        found = columns(row)
        told = _told(found)
        more = {name: text for key, kept in _META.items() for name, text in column(told, key, kept).items()}
        yield file, {"text": text_of(found, "text"), **({"lang": language} if language else {}), **more}

    return convert


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """What is said of a text: an object, the same as JSON or as Python writes it, or the columns beside the text."""
    meta = row.get("meta", row)
    if isinstance(meta, str) and len(meta) < LONGEST:
        for read in (json.loads, ast.literal_eval):
            try:
                meta = read(meta)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                continue
    return meta if isinstance(meta, dict) else {}


WIKIPEDIA = (
    *("en", "bg", "ca", "cs", "da", "de", "es", "fr", "hr", "hu"),
    *("it", "nl", "pl", "pt", "ro", "ru", "sl", "sr", "sv", "uk"),
)


def _sample(name: str, size: int, languages: tuple[str, ...] = ("en",)) -> Part:
    file = f"{name}.jsonl"
    place = Place((f"{name}_sample.jsonl",), "togethercomputer/RedPajama-Data-1T-Sample")
    return Part(name, place, texts(file), {file: HOLDS}, 0, size, languages, usual=False)


def _whole(name: str, languages: tuple[str, ...] = ("en",)) -> Part:
    file = f"full-{name}.jsonl"
    place = Place((f"urls/{name}.txt",), "togethercomputer/RedPajama-Data-1T", listed=True)
    return Part(f"full-{name}", place, texts(file), {file: HOLDS}, 0, 0, languages, usual=False, limited=True)


SETS = (
    OpenSet(
        "redpajama",
        both(
            "Texts like those LLaMA was trained on. Parts without `full-` are of the sample with 1 billion tokens; "
            "`full-` parts are of all 1.2 trillion, far too many to fetch whole: only a number of rows is taken.",
            "与 LLaMA 训练语料相仿的文本。不带 `full-` 的部分取自 10 亿词元的样本；带 `full-` 的取自全部 1.2 万亿词元，"
            "无法整个下载，只能按行数取一部分。",
        ),
        "each source's own",
        (
            _sample("arxiv", 93_400_000),
            _sample("c4", 866_000_000),
            _sample("cc_2019-30", 689_000_000),
            _sample("cc_2020-05", 836_000_000),
            _sample("cc_2021-04", 802_000_000),
            _sample("cc_2022-05", 737_000_000),
            _sample("cc_2023-06", 857_000_000),
            _sample("github", 222_000_000),
            _sample("stackexchange", 80_500_000),
            _sample("wikipedia", 119_000_000, WIKIPEDIA),
            _whole("arxiv"),
            _whole("c4"),
            _whole("common_crawl"),
            _whole("github"),
            _whole("stackexchange"),
            _whole("wikipedia", WIKIPEDIA),
        ),
        both(
            "There is no licence of the whole: Common Crawl and arXiv have terms of use, C4 is ODC-BY, code of GitHub "
            "is MIT, BSD or Apache (the column license says which), Wikipedia and Stack Exchange are CC BY-SA. The "
            "subset of books is left out: it was withdrawn over its copyright.",
            "整体没有统一的许可：Common Crawl 和 arXiv 有各自的使用条款，C4 为 ODC-BY，GitHub 代码为 MIT、BSD 或 Apache"
            "（见 license 一列），维基百科和 Stack Exchange 为 CC BY-SA。书籍部分因版权问题已被撤下，这里不取。",
        ),
    ),
)
