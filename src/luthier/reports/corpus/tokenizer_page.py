"""Tokenizers side by side: tokens a character, a word and a byte by language, and examples in coloured pieces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from luthier.corpus.tokenizers.fertility import Fertility, shown
from luthier.reports.plain_page import both, text, write

STYLE = Path(__file__).parents[1] / "assets" / "tokenizers.css"
TITLE = both("Tokenizers", "分词器")
ABOUT = both(
    "Fewer tokens for the same text mean a longer context and faster training and answers; the table says "
    "what each language costs. A word is a run of letters and digits, a Han character is one. At most the first "
    "2,000 texts are looked at.",
    "同样的文本用更少的 token，意味着更长的上下文、更快的训练和回答；各语言的差别见下表。"
    "词指连续的字母与数字，一个汉字算一个词。最多查看前 2,000 篇文本。",
)
COLUMNS = (
    both("language", "语言"), both("tokenizer", "分词器"), both("vocabulary", "词表"), both("tokens", "token 数"),
    both("a character", "每字符"), both("a word", "每词"), both("bytes a token", "每 token 字节"),
    both("parts of characters, %", "不完整字符（%）"),
)  # fmt: skip
EXAMPLES = both("Cut into pieces", "切分示例")
LONG, COLOURS = 500, 5  # characters of an example; colours in turn
Measured = tuple[str, int, list[Fertility]]


def table(measured: Sequence[Measured]) -> list[str]:
    """Lines of a terminal."""
    out = []
    for name, size, found in measured:
        for one in found:
            out.append(
                f"{name} ({size:,}), {one.language}: {one.tokens / max(one.characters, 1):.3f} tokens a character, "
                f"{one.tokens / max(one.words, 1):.3f} a word, {one.bytes / max(one.tokens, 1):.2f} bytes a token"
            )
    return out


def write_page(
    path: Path, measured: Sequence[Measured], tokenizers: Sequence[tuple[str, Any]], texts: Sequence[str],
    languages: Sequence[str],
) -> Path:  # fmt: skip
    """Write the page. Raises OSError."""
    order = [one.language for one in measured[0][2]]
    rows = [
        _row(language, name, size, one)
        for language in order for name, size, found in measured for one in found if one.language == language
    ]  # fmt: skip
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in COLUMNS)
    parts = [
        f"<p>{text(ABOUT)}</p>", '<div class="scroll"><table class="keys"><thead><tr>', head,
        "</tr></thead><tbody>", *rows, "</tbody></table></div>", f"<h2>{text(EXAMPLES)}</h2>",
    ]  # fmt: skip
    for language in order[:4]:
        example = next(said for said, own in zip(texts, languages, strict=True) if own == language)[:LONG]
        for name, tokenizer in tokenizers:
            caption = f"<figcaption>{text(name)} · {text(language)}</figcaption>"
            parts.append(f"<figure>{caption}{_pieces(tokenizer, example)}</figure>")
    write(path, TITLE, TITLE, "\n".join(parts), [STYLE], wide=True)
    return path


def _row(language: str, name: str, size: int, one: Fertility) -> str:
    per = [one.tokens / max(one.characters, 1), one.tokens / max(one.words, 1), one.bytes / max(one.tokens, 1)]
    cells = [text(language), text(name), f"{size:,}", f"{one.tokens:,}", *(f"{value:.3f}" for value in per),
             f"{100 * one.alone / max(one.tokens, 1):.1f}"]  # fmt: skip
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _pieces(tokenizer: Any, example: str) -> str:
    found = shown(tokenizer, example)
    spans = []
    for at, (piece, whole) in enumerate(zip(found.pieces, found.whole, strict=True)):
        said = text(piece).replace("\n", "↵<br>") if piece else "·"
        style = f"p{at % COLOURS}" + ("" if whole else " part")
        spans.append(f'<span class="{style}">{said}</span>')
    return f'<p class="pieces">{"".join(spans)}</p>'
