"""Documents that hold rows of a test set (`passages`): the sentences that do are cut out, or the documents dropped.

A model that has read its test is judged by its memory. `against` names test sets (`test_sets`): files of rows or texts,
a set inside the package, the folder of a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from luthier.core.errors import LuthierError
from luthier.corpus import read, test_sets
from luthier.corpus.outcome import Finding, Outcome, findings, parted
from luthier.corpus.passages import LEAST, Held, N, Passage
from luthier.corpus.stage import Known, Stage
from luthier.corpus.texts import Texts, batches, inside

if TYPE_CHECKING:
    import pyarrow as pa

QUOTE = 400  # characters of a passage that are quoted
REASON = "contaminated"


@dataclass(frozen=True)
class Decontaminate(Stage):
    """against: test sets. do: with the sentences that hold a row, or with their documents. n: words of a run by which

    rows are sought. least: words of a row that is short and sought as a whole.
    """

    name: ClassVar[str] = "decontaminate"
    paths: ClassVar[tuple[str, ...]] = ("against",)

    against: tuple[str, ...]
    do: Literal["cut", "drop"] = "cut"
    n: Annotated[int, Ge(2)] = N
    least: Annotated[int, Ge(2)] = LEAST

    def __post_init__(self) -> None:
        if not self.against:
            raise LuthierError("against: name at least one test set")
        for name in self.against:
            test_sets.files(name)

    @property
    def reads(self) -> Mapping[str, Sequence[Path]]:
        return {"against": [path for name in self.against for path in test_sets.files(name)]}

    @property
    def notes(self) -> Sequence[str]:
        held = self._held()
        few = f"{held.short:,} of {len(held.rows):,} texts of the test sets have fewer than"
        return (f"{few} {min(self.least, self.n)} words and are not sought",) if held.short else ()

    def said(self, outcome: Mapping[str, Any]) -> Sequence[str]:
        hit = outcome["dropped"] + sum(outcome["changed"].values())
        if 2 * hit <= outcome["in"]:
            return ()
        return (f"{hit:,} of {outcome['in']:,} documents hold test rows: is the test set part of the corpus itself?",)

    def _held(self) -> Held:
        marks = read.marks(*map(str, self.reads["against"]))
        return _held(self.against, self.n, self.least, marks)

    def apply(self, table: pa.Table, known: Known) -> Outcome:
        import pyarrow as pa
        import pyarrow.compute as pc

        held = self._held()
        now: list[pa.Array] = []
        found: list[Finding] = []
        rows = 0
        for batch in batches(table["text"]):
            texts = [text or "" for text in batch.to_pylist()]
            passages = list(held.find(texts))
            found += [Finding(rows + one.text, held.rows[one.sought].row, texts[one.text][one.start : one.end][:QUOTE])
                      for one in passages]  # fmt: skip
            now.append(_without(Texts(batch), passages) if passages and self.do == "cut" else batch)
            rows += len(texts)
        first = {one.document: one.what for one in reversed(found)}
        hit = np.zeros(rows, np.bool_)
        hit[list(first)] = True
        left = pa.chunked_array(now, pa.large_string())
        gone = hit & (self.do == "drop" or pc.equal(pc.fill_null(left, ""), "").to_numpy())
        detail = [first[at] for at in np.flatnonzero(gone).tolist()]
        outcome = parted(table, gone, REASON, detail, left, REASON)
        return replace(outcome, found=findings(table, found))


def _without(texts: Texts, passages: Sequence[Passage]) -> pa.Array:
    """The texts without the sentences that a passage touches."""
    starts = np.array([texts.bounds[one.text] + one.start for one in passages])
    ends = np.array([texts.bounds[one.text] + one.end for one in passages])
    before = np.concatenate([[0], np.cumsum(inside(len(texts.chars), starts, ends))])
    sentences = texts.sentences
    return texts.without(sentences, before[sentences.ends] > before[sentences.starts])


@lru_cache(maxsize=1)
def _held(against: tuple[str, ...], n: int, least: int, marks: object) -> Held:
    """Of all test sets, as they are now. Raises LuthierError where none of them has a row that can be sought."""
    held = Held(list(chain.from_iterable(map(test_sets.rows, against))), n, least)
    if held.empty:
        why = f"has {least} words" if not held.runs else "has words that not many of them share"
        raise LuthierError(f"{', '.join(against)}: none of its {len(held.rows)} texts {why}")
    return held


STAGE = Decontaminate
