"""Frozen features and a classical classifier on pooled hidden states.

Labels, several labels a text, a number, or which of two answers is better (`luthier.direct.classical.pairs`). Depth and
pooling, the classifier (logistic regression, linear SVM, random forest, xgboost) and its regularisation are chosen by
cross-validation on the training rows. Features are computed once and cached on disk by content. Source:
"feature-based" adaptation, Peters et al. 2019; linear probes, Alain & Bengio 2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from luthier.core.lm import Predictor
from luthier.core.methods import Direct
from luthier.core.records import Labelled, Rated, Record, Tagged, Task
from luthier.core.split import Split
from luthier.core.tasks import without_pairs
from luthier.direct.classical.fitted import Array, Fitted, Target
from luthier.direct.classical.pairs import PAIRS, PairLM, fit_pairs, load_pairs
from luthier.direct.classifiers import Classifier, chosen, find
from luthier.evals import cuts
from luthier.evals.wording import unworded
from luthier.io.files import read_record, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.training.context import Context

extras = ()
SCOUT = "logistic"  # judges depth and pooling for all classifiers: it is quick, and hidden states are nearly linear


@dataclass(frozen=True)
class Features(Direct):
    """classifier: logistic, svm, forest or xgboost; several by comma, or best, are chosen among by cross-validation.

    best means logistic, svm and forest; xgboost is an extra. folds: of the cross-validation. strengths: inverse
    regularisation values (C) tried for logistic and svm.
    """

    classifier: str = "best"
    folds: int = 4
    strengths: tuple[float, ...] = (0.003, 0.03, 0.3)

    tasks: ClassVar[tuple[Task, ...]] = ("classification", "multilabel", "regression", "preference")
    seeded: ClassVar[bool] = False
    fits: ClassVar[bool] = True

    def refuses(self, ctx: Context) -> str | None:
        if ctx.data.task == "preference":
            return without_pairs(ctx.data.train, "features")
        return unworded(ctx.lm)

    def asked(self, data: Split) -> float:
        """Each training row is read once."""
        return float(len(data.train))

    def adapt(self, ctx: Context) -> FeatureLM | PairLM:
        lm, data = ctx.policy, ctx.data
        from luthier.models.inference.features import features

        if data.task == "preference":
            cuts.begin(lm)
            return fit_pairs(lm, data, self.strengths, self.folds, ctx.cache)
        wanted = chosen(self.classifier)
        texts, y, target = targets(data)
        cuts.begin(lm)
        found = {name: t.numpy() for name, t in features(lm, texts, ctx.cache).items()}
        ctx.notes.extend(cuts.of_rows(lm, data.train, "training"))
        middle = self.strengths[len(self.strengths) // 2]
        place = max(found, key=lambda n: self._validated(find(SCOUT), found[n], y, target, middle))
        x = found[place]
        tried = [(name, s) for name, c in wanted.items() for s in (self.strengths if c.tuned else (middle,))]
        name, strength = tried[0]
        if len(tried) > 1:
            name, strength = max(tried, key=lambda t: self._validated(wanted[t[0]], x, y, target, t[1]))
        fitted = wanted[name].final(x, y, target, strength)
        return FeatureLM(lm, place, name, fitted, target, data.labels, ctx.cache)

    def _validated(self, classifier: Classifier, x: Array, y: Array, target: Target, strength: float) -> float:
        """Mean score over the folds; folds whose training part has a single answer are left out."""
        scores = [
            target.score(classifier.fit(x[train], y[train], target, strength).outputs(x[held]), y[held])
            for train, held in self._folds(y, target)
            if len(np.unique(y[train], axis=0)) > 1
        ]
        return float(np.mean(scores)) if scores else -np.inf

    def _folds(self, y: Array, target: Target) -> Iterator[tuple[Array, Array]]:
        from sklearn.model_selection import KFold, StratifiedKFold

        if target.task == "classification":
            counts = np.bincount(y)
            folds = min(self.folds, int(counts[counts > 0].min()))
            if folds > 1:  # else a label with a single row
                yield from StratifiedKFold(folds, shuffle=True, random_state=0).split(y, y)
                return
            yield from KFold(2, shuffle=True, random_state=0).split(y)
            return
        yield from KFold(min(self.folds, len(y)), shuffle=True, random_state=0).split(y)

    def load(self, folder: Path, ctx: Context) -> FeatureLM | PairLM:
        from luthier.models.loading.bundled import cache_dir
        from luthier.models.loading.of_recipe import trainable

        if (folder / PAIRS).exists():
            return load_pairs(folder, trainable(ctx.lm), cache_dir())
        meta = read_record(folder / "luthier.json", "features", "labels")
        target = Target(meta.get("task", "classification"), meta.get("count", len(meta["labels"])))
        name = meta.get("classifier", SCOUT)
        fitted = find(name).load(folder)
        return FeatureLM(trainable(ctx.lm), meta["features"], name, fitted, target, tuple(meta["labels"]), cache_dir())


def targets(data: Split) -> tuple[list[str], Array, Target]:
    """Texts and targets of the training rows."""
    rows: Sequence[Record] = data.train
    if data.task == "multilabel":
        tagged = [r for r in rows if isinstance(r, Tagged)]
        y = np.array([[int(label in r.tags) for label in data.labels] for r in tagged])
        return [r.text for r in tagged], y, Target("multilabel", len(data.labels))
    if data.task == "regression":
        rated = [r for r in rows if isinstance(r, Rated)]
        return [r.text for r in rated], np.array([r.value for r in rated]), Target("regression", 1)
    labelled = [r for r in rows if isinstance(r, Labelled)]
    y = np.array([data.labels.index(r.label) for r in labelled])
    return [r.text for r in labelled], y, Target("classification", len(data.labels), data.balanced)


@dataclass
class FeatureLM(Predictor):
    """A frozen base with a classical classifier on its features; it can only predict.

    features: "depth.pooling". classifier: its name. fitted: what was fitted.
    """

    lm: TrainableLM
    features: str
    classifier: str
    fitted: Fitted
    target: Target
    labels: tuple[str, ...]
    cache: Path

    what = "a classifier on frozen features"

    @property
    def output(self) -> str:
        """What `predict` gives: labels, tags or scalar, as heads call it."""
        return {"classification": "labels", "multilabel": "tags", "regression": "scalar"}[self.target.task]

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """(N, K) log-probabilities in the order of `labels`, or (N, 1) numbers."""
        import torch

        from luthier.models.inference.features import features
        from luthier.models.labelling import HEADS

        x = features(self.lm, texts, self.cache)[self.features].numpy()
        outputs = torch.from_numpy(self.fitted.outputs(x)) if len(x) else torch.empty(0, self.target.count)
        if self.target.task == "regression":
            return outputs
        return HEADS[self.output].reading(outputs, [self.labels.index(label) for label in labels]).float()

    def save(self, folder: Path) -> None:
        """The classifier in its own format, without pickle, and what it is."""
        self.fitted.save(folder)
        meta = {"features": self.features, "labels": list(self.labels), "classifier": self.classifier}
        write_json(folder / "luthier.json", meta | {"task": self.target.task, "count": self.target.count})


METHOD = Features
