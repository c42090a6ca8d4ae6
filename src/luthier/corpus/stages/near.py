"""Documents that say nearly the same: MinHash, bands, connected components; of each the best one stays.

Defaults are those of FineWeb's pipeline (Penedo et al. 2024): 112 hashes of 5-grams in 14 bands of 8, which finds pairs
of Jaccard similarity s with probability 1 - (1 - s⁸)¹⁴: half of them at about 0.72. Words are compared without case and
marks; a Han character is a word. Only signatures are global: 448 bytes a document, in files by shard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from luthier.core.errors import LuthierError
from luthier.corpus.arrays import Arrays, Stored
from luthier.corpus.dedup.stays import split
from luthier.corpus.kernels import counting, minhash
from luthier.corpus.kernels.classes import LETTER
from luthier.corpus.outcome import Outcome
from luthier.corpus.stage import GATHERED, Known, Looking
from luthier.corpus.texts import Texts, batches
from luthier.io.files import read_json
from luthier.io.places import place

if TYPE_CHECKING:
    import pyarrow as pa

CUT = 3  # of how words are cut and hashed: signatures of another one are not compared


@dataclass(frozen=True)
class Near(Looking):
    """hashes, bands: of a signature. ngram: words of one. seed: of the hash functions.

    against: folders of earlier runs with the same options, whose documents stay whatever comes.
    """

    name: ClassVar[str] = "near"
    paths: ClassVar[tuple[str, ...]] = ("against",)

    hashes: int = 112
    bands: int = 14
    ngram: int = 5
    seed: int = 1
    against: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.bands < 1 or self.hashes % self.bands:
            raise LuthierError(f"near: {self.hashes} hashes cannot be cut into {self.bands} equal bands")

    @property
    def reads(self) -> Mapping[str, Sequence[Path]]:
        return {"against": [_kept_by(folder) for folder in self.against]}

    @property
    def looks(self) -> Mapping[str, Any]:
        return {"hashes": self.hashes, "ngram": self.ngram, "seed": self.seed}

    @property
    def look_reads(self) -> Mapping[str, Sequence[Path]]:
        return {}

    def look(self, table: pa.Table) -> Arrays:
        """Of each text: its signature, and how much it says: letters."""
        functions = minhash.functions(self.hashes, self.seed)
        signatures, quality = [np.empty((0, self.hashes), np.uint32)], [np.empty(0, np.int64)]
        for batch in batches(table["text"]):
            texts = Texts(batch)
            words, hashes = texts.bare
            signatures.append(minhash.signatures(hashes, words.first, self.ngram, functions))
            quality.append(counting.of_kind(texts.chars, texts.kinds, texts.bounds[:-1], texts.bounds[1:], LETTER))
        return {"signatures": np.concatenate(signatures), "quality": np.concatenate(quality)}

    def gather(self, looked: Sequence[Arrays]) -> Arrays:
        """Of each document of the corpus, the one that stands for its group: itself, where it stays."""
        keys = np.concatenate([minhash.bands(f["signatures"], self.hashes // self.bands) for f in looked])
        empty = np.concatenate([(f["signatures"] == minhash.NONE).all(1) for f in looked])
        quality = np.concatenate([f["quality"] for f in looked])
        stays = best(connected(keys, empty), quality)
        for folder in self.against:
            stays[_like(keys, self._kept(folder)) & ~empty] = -1
        kept = keys[(stays == np.arange(len(stays))) & ~empty]
        first = np.cumsum([0, *(len(f["quality"]) for f in looked)])
        return {"stays": stays, "first": first, "kept": kept, "made": self._made}

    @property
    def _made(self) -> NDArray[np.int64]:
        """What band keys hang on besides the text."""
        return np.array([self.hashes, self.bands, self.ngram, self.seed, CUT])

    def _kept(self, folder: str) -> NDArray[np.uint64]:
        """Band keys of what an earlier run kept. Raises LuthierError where they were made otherwise."""
        found = Stored(_kept_by(folder))
        made = found["made"] if "made" in found else np.zeros(5, np.int64)
        if made[-1] != CUT:
            raise LuthierError(f"near: against: {folder} was made by another version: run it again")
        if not np.array_equal(made, self._made):
            what = "hashes {}, bands {}, ngram {}, seed {}"
            raise LuthierError(
                f"near: against: {folder} was made with {what.format(*made)}, this one with "
                f"{what.format(*self._made)}: give it the same"
            )
        return found["kept"]

    def apply(self, table: pa.Table, known: Known) -> Outcome:
        return split(table, known, "near_duplicate", "nearly the same as")


def _kept_by(folder: str) -> Path:
    """The file in which an earlier run says what it kept. Raises LuthierError where there is none, or several."""
    funnel = place(folder) / "funnel.json"
    told = read_json(funnel) if funnel.exists() else []
    found: list[Path] = [place(folder) / stage["folder"] / GATHERED for stage in told if stage["stage"] == "near"]
    if len(found) != 1 or not found[0].exists():
        what = f"{len(found)} sets of signatures" if len(found) > 1 else "no signatures"
        raise LuthierError(f"near: against: {folder} holds {what}: name a run whose recipe has `near` once")
    return found[0]


def _like(keys: NDArray[np.uint64], kept: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which documents have a key in common with what is kept, in the same band."""
    out = np.zeros(len(keys), np.bool_)
    for band in range(keys.shape[1]):
        out |= np.isin(keys[:, band], kept[:, band])
    return out


def connected(keys: NDArray[np.uint64], empty: NDArray[np.bool_]) -> NDArray[np.int32]:
    """A number of its group for each document: those with an equal key in some column, and those that these lead to.

    keys: (documents, bands). empty: documents without n-grams, which are alike in nothing.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones, others = [], []
    places = np.flatnonzero(~empty)
    for band in range(keys.shape[1]):
        order = places[np.argsort(keys[places, band], kind="stable")]
        same = np.flatnonzero(keys[order[1:], band] == keys[order[:-1], band])
        ones.append(order[same])
        others.append(order[same + 1])
    one, other = np.concatenate(ones), np.concatenate(others)
    graph = coo_array((np.ones(len(one), np.bool_), (one, other)), shape=(len(keys), len(keys)))
    found: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return found


def best(group: NDArray[np.int32], quality: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each document the one of its group with the highest quality; of equals the first."""
    order = np.lexsort((np.arange(len(group)), -quality, group))
    first = np.r_[True, group[order][1:] != group[order][:-1]] if len(order) else np.empty(0, np.bool_)
    chosen = np.zeros(int(group.max(initial=-1)) + 1, np.int64)
    chosen[group[order][first]] = order[first]
    return chosen[group]


STAGE = Near
