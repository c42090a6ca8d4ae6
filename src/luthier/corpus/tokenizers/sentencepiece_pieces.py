"""Pieces that SentencePiece learned (Kudo & Richardson 2018), as data: its trainer with what keeps every text whole.

SentencePiece writes a space as ▁, so that this sign would come back as a space. In what is made of its pieces a space
is a space: the same ids for the same text, and ▁ is kept.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

SPACE = "▁"
LEAST = 256 + 1  # a piece for each byte, and one for what is unknown, which bytes leave nothing for
LONGEST = 1 << 20  # bytes of a text that is learned from
CUT = r" *[^ ]+| +"  # pieces have spaces at their beginning only

BYTE = r"<(?=0x[0-9A-F]{2}>)"  # text that reads as the piece of a byte is cut, so that it is none


class Piece(NamedTuple):
    """A piece as it stands in text, and its score: log probability, or minus the number of its merge."""

    text: str
    score: float


def learned(texts: Iterator[str], size: int, special: Sequence[str], kind: str) -> list[Piece]:
    """Pieces in the order of their ids. kind: unigram or bpe. Raises RuntimeError where there is too little text."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_lines(texts), model_writer=model, vocab_size=size - len(special), model_type=kind,
        hard_vocab_limit=False, byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=False,
        remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, character_coverage=0.9999,
        max_sentence_length=LONGEST, unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1, minloglevel=2, num_threads=2,
    )  # fmt: skip
    read = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [Piece(read.id_to_piece(at).replace(SPACE, " "), read.get_score(at)) for at in range(read.get_piece_size())]


def _lines(texts: Iterator[str]) -> Iterator[str]:
    """What it learns from line by line; a text's own ▁ is none of its spaces."""
    for text in texts:
        for line in text.replace(SPACE, "").replace("\0", "").split("\n"):
            if line.strip():
                yield line


def around(model: Any, special: Sequence[str]) -> Any:
    """A tokenizer around a model of pieces: cut at spaces, bytes where no piece fits, what is special behind them."""
    from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers

    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CUT), "isolated"), pre_tokenizers.Split(Regex(BYTE), "isolated"),
    ])  # fmt: skip
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens(list(special))
    return made
