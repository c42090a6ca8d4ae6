"""Byte-level byte-pair encoding (Sennrich et al. 2016; on bytes: Radford et al. 2019).

Text is cut first into words with the space before them, runs of up to three digits, marks and line breaks; merges never
cross these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

LEAST = 256  # a token for each byte
CUT = r"[^\r\n\p{L}\p{N}]?\p{L}[\p{L}\p{M}]*|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def train(texts: Iterator[str], size: int, special: Sequence[str]) -> Any:
    """A tokenizer of at most so many tokens."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CUT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special), initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )  # fmt: skip
    made.train_from_iterator(texts, trainer)
    return made
