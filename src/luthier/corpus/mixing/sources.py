"""A source's documents as tokens, with what curricula go by; a shard at a time, so that a kill changes nothing."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luthier.core.errors import LuthierError
from luthier.corpus import documents
from luthier.corpus.mixing.order import Curriculum
from luthier.corpus.pool import Pool, threads
from luthier.corpus.stage import Say, done_in, shards_in
from luthier.corpus.texts import batches
from luthier.corpus.tokenizers.known import known
from luthier.data import token_files as files
from luthier.io.files import LOCK, alone, replacing

ALONE, TOGETHER = 256, 1024  # documents tokenised in one go: few stay in a core's cache, many keep several cores busy
DIFFICULTY = "difficulty"


@dataclass(frozen=True)
class Encoder:
    """tokenizer: its name. end: the text of the token behind each document, "" for none."""

    tokenizer: str
    end: str = "<|endoftext|>"

    def check(self) -> tuple[int, int | None]:
        """Tokens of the vocabulary, and the id of the end. Raises LuthierError where it has no such token."""
        found, vocabulary = _tokenizer(self.tokenizer)
        number = found.token_to_id(self.end) if self.end else None
        if self.end and number is None:
            raise LuthierError(f"{self.tokenizer}: has no token {self.end}: name the one that ends a text by `end`")
        return vocabulary, number


@lru_cache(maxsize=2)
def _tokenizer(name: str) -> tuple[Any, int]:
    """With the tokens of its vocabulary: listing them for each shard takes a while."""
    found = known(name)
    found.encode_special_tokens = True  # a document that quotes the end's text does not end there
    return found, max(found.get_vocab(with_added_tokens=True).values()) + 1


def key_of(tokenizer: str) -> str:
    """Of a tokenizer's vocabulary."""
    return files.vocabulary_key(_tokenizer(tokenizer)[0].get_vocab(with_added_tokens=True))


def encode(inputs: Path, folder: Path, encoder: Encoder, given: Curriculum | None, pool: Pool, say: Say) -> None:
    """Write the tokens of a folder of documents. Raises LuthierError."""
    if files.whole(folder):
        return
    shards = shards_in(inputs)
    if not shards:
        raise LuthierError(f"{inputs}: no documents: name the folder `kept` of a run")
    vocabulary, end = encoder.check()
    with alone(folder / LOCK, f"{folder}: another command is at work there"):
        there = done_in(folder, files.ENDS)
        todo = [(at, path, folder, encoder, given) for at, path in enumerate(shards) if at not in there]
        for done in pool.in_turn(one, todo, len(shards) - len(todo)):
            say(done, len(shards))
        files.finish(
            folder, len(shards), files.dtype_of(vocabulary), vocabulary=vocabulary, end=end, tokenizer=encoder.tokenizer
        )


def one(at: int, path: Path, folder: Path, encoder: Encoder, given: Curriculum | None) -> None:
    """Tokens of one shard of documents."""
    vocabulary, end = encoder.check()
    tokenizer, _ = _tokenizer(encoder.tokenizer)
    column = documents.read(path, ["text"])["text"]
    dtype = files.dtype_of(vocabulary)
    ids, ends = array(files.TYPES[dtype].char), array("q")  # takes a list of numbers twice as fast as NumPy does
    last = [] if end is None else [end]
    for found in _encoded(tokenizer, column):
        for item in found:
            ids.fromlist(item.ids)
            ids.fromlist(last)
            ends.append(len(ids))
    bounds = np.array(ends, np.int64)
    if given is not None:
        with replacing(folder / f"{at:05d}.{DIFFICULTY}") as temporary:
            difficulty(column, np.diff(bounds, prepend=0), given).astype("<f8").tofile(temporary)
    files.write_shard(folder, at, np.array(ids), bounds, dtype)


def _encoded(tokenizer: Any, column: Any) -> Iterator[Any]:
    """Encodings of some documents after others; with several cores the next ones are made while these are used."""
    some = ALONE if threads() == 1 else TOGETHER

    def encode(first: int) -> Any:
        texts = [text or "" for text in column.slice(first, some).to_pylist()]
        return tokenizer.encode_batch_fast(texts, add_special_tokens=False)

    starts = iter(range(0, len(column), some))
    if threads() == 1:
        yield from map(encode, starts)
        return
    with ThreadPoolExecutor(1) as ahead:
        waiting = [ahead.submit(encode, first) for first in islice(starts, 2)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [ahead.submit(encode, first) for first in islice(starts, 1)]


def difficulty(column: Any, sizes: NDArray[np.int64], given: Curriculum) -> NDArray[np.float64]:
    """Of each document how hard it is: the larger, the later it comes."""
    if given.by == "perplexity":
        from luthier.corpus.surprise import of_model, of_reference

        judge = of_reference(given.reference) if given.reference else of_model(given.model)
        return np.concatenate([np.zeros(0), *(judge(batch) for batch in batches(column))])
    if given.by == "quality":
        import pyarrow as pa

        from luthier.corpus.stages.quality import Quality

        found = Quality(given.good, given.bad).look(pa.table({"text": column}))["likely"]
        return np.asarray(found, np.float64)
    return sizes.astype(np.float64)


@dataclass(frozen=True)
class Source:
    """Tokens of a source. lengths, where, difficulty: of its documents, (documents); where: their first tokens."""

    name: str
    tokens: files.Tokens
    lengths: NDArray[np.int64]
    where: NDArray[np.int64]
    difficulty: NDArray[np.float64]

    @classmethod
    def read(cls, name: str, folder: Path, curriculum: bool) -> Source:
        """Raises LuthierError where a file is damaged."""
        tokens = files.Tokens(folder)
        ends = [tokens.ends(at) for at in range(len(tokens.counts))]
        lengths = np.concatenate([np.zeros(0, np.int64), *(np.diff(own, prepend=0) for own in ends)])
        hard = (
            [np.frombuffer((folder / f"{at:05d}.{DIFFICULTY}").read_bytes(), "<f8") for at in range(len(ends))]
            if curriculum
            else []
        )
        return cls(name, tokens, lengths, np.cumsum(lengths) - lengths, np.concatenate([np.zeros(0), *hard]))


def rows(sources: Sequence[Source]) -> dict[str, int]:
    """Tokens of each source."""
    return {source.name: int(source.lengths.sum()) for source in sources}
