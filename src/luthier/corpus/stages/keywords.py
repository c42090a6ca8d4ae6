"""Documents with words of a list: dropped, the lines cut, or the words masked.

One pass however long the list is, without case. A word is found as a whole only (`whole: false` inside others, too); a
Han character needs no space around it. Lists: `html` (what tags and entities leave behind), `links`, `profanity` (a
short one; bring your own), or files with a word a line, # before comments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from luthier.core.errors import LuthierError
from luthier.corpus.kernels.keywords import searched
from luthier.corpus.outcome import Outcome, parted, shortened
from luthier.corpus.stage import Known, Stage
from luthier.corpus.texts import Ranges, Texts, batches
from luthier.io.config import build
from luthier.io.places import place

if TYPE_CHECKING:
    import pyarrow as pa

LISTS = Path(__file__).parents[1] / "lists"


@dataclass(frozen=True)
class Keywords(Stage):
    """words: that are sought. do: with documents or lines that have more of them than `most`, or with each word."""

    name: ClassVar[str] = "keywords"
    may_be_paths: ClassVar[tuple[str, ...]] = ("lists",)

    words: tuple[str, ...]
    do: Literal["drop", "cut", "mask"] = "cut"
    most: int = 0
    whole: bool = True
    mask: str = "█"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Keywords:
        """From `lists` (names and files) and `words`, besides the other options. Raises LuthierError."""
        given = dict(options)
        named = given.pop("lists", [])
        words = [str(word) for word in given.pop("words", [])]
        for name in [named] if isinstance(named, str) else named:
            words += _read(str(name))
        if not (found := tuple(dict.fromkeys(word for word in words if word.strip()))):
            raise LuthierError(f"no words: give `words`, or `lists` ({', '.join(sorted(_known()))}, or files)")
        return build(cls, {**given, "words": found}, "")

    def apply(self, table: pa.Table, known: Known) -> Outcome:
        import pyarrow as pa

        if self.do == "drop":
            return self._drop(table)
        after = []
        for batch in batches(table["text"]):
            texts = Texts(batch)
            if self.do == "mask":
                after.append(texts.masked(Ranges(*self._found(texts)), self.mask[0]))
                continue
            gone = searched(texts, texts.lines, self.words, self.whole) > self.most
            after.append(texts.without(texts.lines, gone) if gone.any() else texts.column)
        return shortened(table, pa.chunked_array(after, pa.large_string()), "keywords")

    def _found(self, texts: Texts) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Where words stand, and how many before each text."""
        starts, ends = texts.matches(self.words, self.whole)
        return starts, ends, np.searchsorted(ends, texts.bounds, "right")

    def _drop(self, table: pa.Table) -> Outcome:
        counts = [np.empty(0, np.int64)]
        told: list[str] = []
        for batch in batches(table["text"]):
            texts = Texts(batch)
            starts, ends, first = self._found(texts)
            counts.append(np.diff(first))
            over = np.flatnonzero(np.diff(first) > self.most)
            told += [texts.text(int(starts[at]), int(ends[at])) for at in first[over]]
        return parted(table, np.concatenate(counts) > self.most, "keywords", told)


def _known() -> dict[str, Path]:
    return {path.stem: path for path in LISTS.glob("*.txt")}


def _read(name: str) -> list[str]:
    """The words of a list. Raises LuthierError."""
    path = _known().get(name) or place(name)
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise LuthierError(f"lists: {name} is neither a file nor one of {', '.join(sorted(_known()))}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LuthierError(f"lists: {name}: {error}") from None
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


STAGE = Keywords
