"""Private data in documents: numbers, keys, names and addresses, replaced by typed placeholders such as `[PHONE_1]`.

Stands behind deduplication: what is masked is no longer the same. What was found is listed by kind, without the words
themselves unless `quote` asks for them. How much of each kind is found, and how much of that is right, is measured on
sentences of this project (`privacy.scoring`) and told on the page; it is promised of no other text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from luthier.core.errors import LuthierError
from luthier.corpus import check_installed
from luthier.corpus.outcome import Finding, Outcome, findings, parted
from luthier.corpus.privacy.finding import KINDS, found_in, installed, lacking
from luthier.corpus.privacy.masking import masked
from luthier.corpus.read import files
from luthier.corpus.stage import Known, Stage
from luthier.corpus.texts import Texts, batches

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Privacy(Stage):
    """kinds: that are masked; all unless named. model: a folder of a token classifier of transformers, which finds

    names and addresses in place of what is built in. quote: keep the words that were found beside what they are.
    """

    name: ClassVar[str] = "privacy"
    paths: ClassVar[tuple[str, ...]] = ("model",)

    kinds: tuple[str, ...] = tuple(KINDS)
    model: str = ""
    quote: bool = False

    def __post_init__(self) -> None:
        if unknown := set(self.kinds) - set(KINDS):
            raise LuthierError(f"kinds: no {', '.join(sorted(unknown))}: {', '.join(KINDS)}")

        check_installed("stdnum", "phonenumbers", extra="privacy")

    @property
    def hangs_on(self) -> Mapping[str, Any]:
        return {} if self.model else {"installed": installed()}

    @property
    def notes(self) -> Sequence[str]:
        return () if self.model else lacking(frozenset(self.kinds))

    @property
    def reads(self) -> Mapping[str, Sequence[Path]]:
        return {"model": files(self.model)} if self.model else {}

    def apply(self, table: pa.Table, known: Known) -> Outcome:
        import pyarrow as pa

        kinds = frozenset(self.kinds)
        now: list[pa.Array] = []
        found: list[Finding] = []
        rows = 0
        for batch in batches(table["text"]):
            texts = [text or "" for text in batch.to_pylist()]
            for number, spans in found_in(Texts(batch), texts, kinds, self.model).items():
                text = texts[number]
                found += [Finding(rows + number, span.kind, text[span.start : span.end] if self.quote else "")
                          for span in spans]  # fmt: skip
                texts[number] = masked(text, spans)
            now.append(pa.array(texts, pa.large_string()))
            rows += len(texts)
        nothing = np.zeros(table.num_rows, np.bool_)
        outcome = parted(table, nothing, "", "", pa.chunked_array(now, pa.large_string()), "private")
        return replace(outcome, found=findings(table, found))


STAGE = Privacy
