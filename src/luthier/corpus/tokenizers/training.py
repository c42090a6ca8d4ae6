"""A tokenizer from documents: learned, tried on what it is for, and saved as a folder that transformers loads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.corpus import read
from luthier.corpus.reading import size_of
from luthier.io.files import replacing, write_json

SPECIAL = ("<|endoftext|>",)
MASK = "<mask>"  # among special ones: what masked tokens are replaced by
FILE, CONFIG = "tokenizer.json", "tokenizer_config.json"
ALL = 10**12


def kinds() -> tuple[str, ...]:
    """The names of all kinds, the default first."""
    return tuple(sorted(plugins.members("tokenizers"), key=lambda name: (name != "bpe", name)))


def train(kind: str, inputs: Sequence[Path], size: int, special: Sequence[str] = SPECIAL, most: int = ALL) -> Any:
    """A tokenizer of documents. size: tokens. special: texts that are one token each, the first the end of a text.

    most: bytes that it is learned from, the first ones. Raises LuthierError.
    """
    found = plugins.members("tokenizers").get(kind)
    if found is None:
        raise LuthierError(f"--kind {kind}: one of {', '.join(kinds())}")
    least = found.load("LEAST") + len(special) + 1
    if size < least:
        raise LuthierError(f"--size {size}: at least {least}: each byte has a token, so that no text is unknown")
    texts = counted = _Counted(read.texts(inputs), most)
    try:
        made = found.load("train")(iter(texts), size, tuple(special))
    except (RuntimeError, ValueError) as error:
        if not counted.bytes:
            raise _nothing(inputs) from None
        raise LuthierError(f"{kind} of {size} tokens from {counted.bytes:,} bytes: {error}") from None
    if not counted.bytes:
        raise _nothing(inputs)
    return made


def _nothing(inputs: Sequence[Path]) -> LuthierError:
    return LuthierError(f"{', '.join(map(str, inputs))}: no text to learn a tokenizer from")


class _Counted:
    """Texts, and how many bytes of them were taken."""

    def __init__(self, texts: Iterator[str], most: int) -> None:
        self.texts, self.most, self.bytes = texts, most, 0

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            if self.bytes >= self.most:
                return
            self.bytes += size_of(text)
            yield text


def save(tokenizer: Any, folder: Path, special: Sequence[str] = SPECIAL) -> None:
    """Write a folder that `AutoTokenizer.from_pretrained` reads. Raises OSError, LuthierError for a model's folder."""
    if (folder / "config.json").exists():
        raise LuthierError(f"{folder}: holds a model, whose tokenizer would be lost: choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / FILE) as temporary:
        tokenizer.save(str(temporary))
    end = special[0] if special else None
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 10**30, "clean_up_tokenization_spaces": False,
        "eos_token": end, "bos_token": end, "unk_token": None, "pad_token": end,
        "mask_token": MASK if MASK in special else None,
    }  # fmt: skip
    write_json(folder / CONFIG, {name: value for name, value in about.items() if value is not None})
