"""Documents that look like good examples stay, by a linear classifier of words and pairs of words.

Trained here on two folders, a good one and a bad one; hashed features (Weinberger et al. 2009), logistic regression.
How well it tells them apart is measured on a fifth of both that it has not seen, and said when it is no better than
chance: then no document should be dropped by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from luthier.core.errors import LuthierError
from luthier.corpus import read
from luthier.corpus.arrays import Arrays
from luthier.corpus.kernels.repeats import joined
from luthier.corpus.outcome import Outcome, parted
from luthier.corpus.stage import Known, Looking
from luthier.corpus.texts import Texts, batches
from luthier.io.places import place

if TYPE_CHECKING:
    import pyarrow as pa

BUCKETS = 1 << 18
FEW = 20  # examples of each kind, below which nothing can be learned
HELD_OUT = 5  # every fifth example


@dataclass(frozen=True)
class Quality(Looking):
    """good, bad: files or folders of examples. least: how likely a document has to be a good one."""

    name: ClassVar[str] = "quality"
    paths: ClassVar[tuple[str, ...]] = ("good", "bad")

    good: str
    bad: str
    least: Annotated[float, Ge(0), Le(1)] = 0.5

    @property
    def reads(self) -> Mapping[str, Sequence[Path]]:
        return {"good": read.files(self.good), "bad": read.files(self.bad)}

    @property
    def looks(self) -> Mapping[str, Any]:
        return {"good": self.good, "bad": self.bad}

    def look(self, table: pa.Table) -> Arrays:
        """How likely each document is a good one."""
        weights, bias = _model(self.good, self.bad, read.marks(self.good, self.bad))
        parts = [_features(Texts(batch)) @ weights + bias for batch in batches(table["text"])]
        return {"likely": 1 / (1 + np.exp(-np.concatenate([np.empty(0), *parts])))}

    def apply(self, table: pa.Table, known: Known) -> Outcome:
        likely = known.looked["likely"]
        gone = likely < self.least
        told = [f"{value:.2f} like the good examples" for value in likely[gone]]
        return parted(table, gone, "low_quality", told)


def _features(texts: Texts) -> Any:
    """(texts, BUCKETS) sparse: the root of how often a word or a pair of words stands there, to length 1."""
    from scipy.sparse import csr_array
    from sklearn.preprocessing import normalize

    words, first = texts.plain_hashes, texts.plain_words.first
    owners = np.repeat(np.arange(len(texts)), np.diff(first))
    same = owners[1:] == owners[:-1]
    keys = np.concatenate([words, joined(words[:-1], words[1:])[same]]) % np.uint64(BUCKETS)
    rows = np.concatenate([owners, owners[1:][same]])
    counts = csr_array((np.ones(len(keys)), (rows, keys.astype(np.int64))), shape=(len(texts), BUCKETS))
    counts.sum_duplicates()
    return normalize(counts.sqrt())


def _examples(folder: str) -> Texts:
    """The documents of a folder. Raises LuthierError where there are too few."""
    import pyarrow as pa

    found = list(read.texts([place(folder)]))
    if len(found) < FEW:
        raise LuthierError(f"quality: {folder}: {len(found)} examples; a classifier needs {FEW} of each kind")
    return Texts(pa.array(found, pa.large_string()))


@cache
def _model(good: str, bad: str, marks: read.Marks) -> tuple[NDArray[np.float64], float]:
    """Weights and bias. marks: of the files, which may change.

    Raises LuthierError where held-out examples are told apart no better than by chance.
    """
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    one, other = _features(_examples(good)), _features(_examples(bad))
    x, y = vstack([one, other]).tocsr(), np.r_[np.ones(one.shape[0]), np.zeros(other.shape[0])]
    held = np.r_[np.arange(one.shape[0]), np.arange(other.shape[0])] % HELD_OUT == 0
    first = LogisticRegression(C=10.0, max_iter=1000, class_weight="balanced").fit(x[~held], y[~held])
    right = (first.predict(x[held]) == y[held]).astype(float)
    share = (right[y[held] == 1].mean() + right[y[held] == 0].mean()) / 2
    error = float((1 / (y[held] == 1).sum() + 1 / (y[held] == 0).sum()) ** 0.5 / 4)
    if share - 2 * error <= 0.5:
        raise LuthierError(
            f"quality: {good} and {bad} are told apart {100 * share:.0f} % of the time on examples that were held out "
            f"(50 is chance, ± {200 * error:.0f}): give more examples, or other ones"
        )
    whole = LogisticRegression(C=10.0, max_iter=1000, class_weight="balanced").fit(x, y)
    return whole.coef_[0], float(whole.intercept_[0])


STAGE = Quality
