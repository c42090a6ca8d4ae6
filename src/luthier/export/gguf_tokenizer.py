"""A byte-level BPE tokenizer and its chat template in GGUF's metadata, so that llama.cpp makes the same tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.models.loading.gguf_header import read_header

if TYPE_CHECKING:
    from gguf import GGUFWriter

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # llama.cpp's token types
COMMON = ("llama-bpe", "qwen2", "tekken", "gpt-4o")  # of several names for one way of splitting, the best known


def add_tokenizer(writer: GGUFWriter, tokenizer: Any, size: int, name: str, ends: Sequence[int] = ()) -> None:
    """Write vocabulary, merges, special tokens and template for a model with `size` rows of embeddings.

    ends: tokens that end an answer; the format has room for the end token and two more.
    Raises LuthierError for a tokenizer that llama.cpp would run in another way.
    """
    raw = check_tokenizer(tokenizer, name)
    model = raw["model"]
    tokens, types = _vocabulary(raw, size, name)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_split_name(raw.get("pre_tokenizer"), name))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    for kind, add in (
        ("bos", writer.add_bos_token_id),
        ("eos", writer.add_eos_token_id),
        ("unk", writer.add_unk_token_id),
        ("pad", writer.add_pad_token_id),
    ):
        if (number := getattr(tokenizer, f"{kind}_token_id")) is not None:
            add(number)
    others = [token for token in ends if token != tokenizer.eos_token_id]
    for number, add in zip(others, (writer.add_eot_token_id, writer.add_eom_token_id), strict=False):
        add(number)
    start = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(bool(start[0] == tokenizer.bos_token_id and len(start) > 1))
    writer.add_add_space_prefix(False)
    if isinstance(tokenizer.chat_template, str):
        writer.add_chat_template(tokenizer.chat_template)


def check_tokenizer(tokenizer: Any, name: str) -> dict[str, Any]:
    """The tokenizer as its library writes it. Raises LuthierError for one that llama.cpp would run in another way."""
    raw = json.loads(tokenizer.backend_tokenizer.to_str())
    model = raw["model"]
    if model["type"] != "BPE" or model.get("byte_fallback") or not _byte_level(raw.get("decoder")):
        raise LuthierError(f"{name}: its tokenizer is no byte-level BPE, and GGUF export writes no other kind yet")
    if (raw.get("normalizer") or {"type": "NFC"})["type"] != "NFC":  # llama.cpp takes text as it comes
        raise LuthierError(f"{name}: its tokenizer changes text before it splits it, which llama.cpp does not do")
    _split_name(raw.get("pre_tokenizer"), name)
    return dict(raw)


def stored_ends(path: Path) -> list[int]:
    """Tokens that end an answer, from a GGUF file."""
    header = read_header(path)
    found = [header.integer(f"tokenizer.ggml.{kind}_token_id") for kind in ("eos", "eot", "eom")]
    return [number for number in found if number is not None]


def _byte_level(part: dict[str, Any] | None) -> bool:
    return part is not None and part["type"] == "ByteLevel"


def _vocabulary(raw: dict[str, Any], size: int, name: str) -> tuple[list[str], list[int]]:
    """Every token by its number with its type; numbers that only the embedding has become unused ones."""
    tokens = [f"[PAD{i}]" for i in range(size)]
    types = [UNUSED] * size
    added = {t["id"]: (t["content"], CONTROL if t["special"] else USER_DEFINED) for t in raw["added_tokens"]}
    known = {i: (token, NORMAL) for token, i in raw["model"]["vocab"].items()} | added
    if max(known) >= size:
        raise LuthierError(f"{name}: its tokenizer has token {max(known)}, and its embedding only {size} rows")
    for i, (token, kind) in known.items():
        tokens[i], types[i] = token, kind
    return tokens, types


def _split_name(part: dict[str, Any] | None, name: str) -> str:
    """What llama.cpp calls the way a tokenizer splits text before the merges."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    kinds = [part] if part is None or part["type"] != "Sequence" else part["pretokenizers"]
    match kinds:
        case [{"type": "ByteLevel", "use_regex": True, "add_prefix_space": False}]:
            return "gpt-2"
        case [{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "add_prefix_space": False}]:
            return "smollm"
        case [
            {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated"},
            {"type": "ByteLevel", "use_regex": False},
        ]:
            found = [known for known, pattern in GGUF_PRE_TOKENIZER_SPLITS.items() if pattern == split]
            if found:
                return next((n for n in COMMON if n in found), found[0])
    raise LuthierError(f"{name}: llama.cpp has no name that we know for the way its tokenizer splits text")
