"""What a signal says of the documents of some files, so that a threshold can be chosen by looking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from luthier.core.errors import LuthierError
from luthier.corpus import read
from luthier.corpus.signals import find
from luthier.corpus.texts import Texts, batches

MOST = 20_000  # documents that are looked at


@dataclass(frozen=True)
class Valued:
    """A document, or a piece of one, with the signal's value."""

    value: float
    path: str
    text: str


def valued(inputs: Sequence[Path], signal: str, level: str = "document", most: int = MOST) -> list[Valued]:
    """The signal's value of the first documents of the files, or of their pieces. Raises LuthierError for none."""
    import pyarrow as pa

    column = find(level, signal)
    rows = list(_rows(inputs, most))
    texts = pa.chunked_array([pa.array([row for _, row in rows], pa.large_string())])
    out: list[Valued] = []
    at = 0
    for batch in batches(texts):
        part = Texts(batch)
        if level == "document":
            values = np.asarray(column.compute(part), np.float64)
            out += [Valued(float(v), *rows[at + k]) for k, v in enumerate(values)]
        else:
            pieces = part.of(level)
            values = np.asarray(column.compute(part, pieces), np.float64)
            for owner, start, end, value in zip(pieces.owners, pieces.starts, pieces.ends, values, strict=True):
                if end > start:
                    out.append(Valued(float(value), rows[at + int(owner)][0], part.text(int(start), int(end))))
        at += len(part)
        if len(out) >= most:
            break
    if not out:
        raise LuthierError("there is no document to look at")
    return out[:most]


def _rows(inputs: Sequence[Path], most: int) -> Iterator[tuple[str, str]]:
    """Path and text of each document."""
    for source, row in islice(read.each(inputs), most):
        yield f"{source.name}#{row.place}" if row.place else source.name, row.text
