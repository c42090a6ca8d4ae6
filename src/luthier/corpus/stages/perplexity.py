"""Documents by how likely their words are, against a reference text of the kind that is wanted or by a causal model.

Very unlikely text is noise, very likely text is boilerplate and repetition: both ends are cut. Bounds are percentiles
of the corpus, each language's own (Wenzek et al. 2020, "CCNet", has thirds called head, middle and tail).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le

from luthier.core.errors import LuthierError
from luthier.corpus import read
from luthier.corpus.arrays import Arrays
from luthier.corpus.outcome import Outcome, parted
from luthier.corpus.stage import Known, Looking
from luthier.corpus.surprise import of_model, of_reference
from luthier.corpus.texts import batches

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Perplexity(Looking):
    """reference: files or a folder of text as it should be. model: a causal language model in its place (embedded, a
    folder, a hub id). least, most: percentiles between which documents stay."""

    name: ClassVar[str] = "perplexity"
    paths: ClassVar[tuple[str, ...]] = ("reference", "model")

    reference: str = ""
    model: str = ""
    least: Annotated[float, Ge(0), Le(100)] = 2.0
    most: Annotated[float, Ge(0), Le(100)] = 60.0

    def __post_init__(self) -> None:
        if bool(self.reference) == bool(self.model):
            raise LuthierError("give `reference`, a text as it should be, or `model`, a language model: one of them")
        if self.least >= self.most:
            raise LuthierError(f"least {self.least:g} is not below most {self.most:g}: nothing would stay")

    @property
    def reads(self) -> Mapping[str, Sequence[Path]]:
        if self.reference:
            return {"reference": read.files(self.reference)}
        return {"model": read.files(self.model)} if Path(self.model).exists() else {}

    @property
    def looks(self) -> Mapping[str, Any]:
        return {"reference": self.reference, "model": self.model}

    def look(self, table: pa.Table) -> Arrays:
        """Nats a word (a token, by a model) of each document, with its language."""
        judge = of_reference(self.reference) if self.reference else of_model(self.model)
        found = [judge(batch) for batch in batches(table["text"])]
        return {
            "nats": np.concatenate([np.empty(0), *found]),
            "language": np.array(table["language"].to_pylist(), "U8"),
        }

    def gather(self, looked: Sequence[Arrays]) -> Arrays:
        """Bounds of each language."""
        nats = np.concatenate([f["nats"] for f in looked])
        spoken = np.concatenate([f["language"] for f in looked])
        languages = np.unique(spoken)
        bounds = [np.percentile(nats[spoken == name], (self.least, self.most)) for name in languages]
        return {"languages": languages, "bounds": np.array(bounds).reshape(-1, 2)}

    def apply(self, table: pa.Table, known: Known) -> Outcome:
        nats = known.looked["nats"]
        at = np.searchsorted(known.gathered["languages"], known.looked["language"])
        low, high = known.gathered["bounds"][at].T if len(at) else (nats, nats)
        gone = (nats < low) | (nats > high)
        reasons = np.where(nats < low, "too_likely", "too_unlikely")[gone].tolist()
        return parted(table, gone, reasons, [f"perplexity {np.exp(min(value, 50)):.4g}" for value in nats[gone]])


STAGE = Perplexity
