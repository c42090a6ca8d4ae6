"""Classical classifiers on frozen features: one file each, found by its name; each sets `CLASSIFIER`.

`features` chooses among them by cross-validation. A file whose package is an extra names it in `extras`.
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.direct.classical.fitted import Array, Fitted, Target


class Classifier(ABC):
    """How to fit one kind of classifier."""

    extras: ClassVar[tuple[str, ...]] = ()
    tuned: ClassVar[bool] = True  # by the strengths of `features`; False: one setting for all data

    @abstractmethod
    def fit(self, x: Array, y: Array, target: Target, strength: float) -> Fitted:
        """Fit features (N, d) to targets; a smaller strength regularises more."""

    def final(self, x: Array, y: Array, target: Target, strength: float) -> Fitted:
        """The one that ships: more work is allowed here than in a fold."""
        return self.fit(x, y, target, strength)

    @abstractmethod
    def load(self, folder: Path) -> Fitted:
        """What `Fitted.save` wrote."""


def names() -> list[str]:
    """Every classifier's name."""
    return list(plugins.members("classifiers"))


def find(name: str) -> Classifier:
    """The classifier of that name. Raises LuthierError for an unknown one and for a package that is not installed."""
    from luthier.core.catalog import suggest

    if name not in names():
        raise LuthierError(f"direct.classifier: there is no classifier {name!r}{suggest(name, [*names(), 'best'])}")
    found = _listed(name)
    missing = [n for n in found.extras if importlib.util.find_spec(n) is None]
    if missing:
        raise LuthierError(f"direct.classifier: {name} needs {', '.join(missing)}: pip install {' '.join(missing)}")
    return found


def chosen(classifier: str) -> dict[str, Classifier]:
    """The classifiers that an option names: one, several by comma, or best (all that need no extra)."""
    if classifier == "best":
        return {n: c for n in names() if not (c := _listed(n)).extras}
    return {n: find(n) for n in dict.fromkeys(part.strip() for part in classifier.split(","))}


def _listed(name: str) -> Classifier:
    """The classifier, whether or not its package is installed."""
    found: Classifier = plugins.members("classifiers")[name].load("CLASSIFIER")
    return found
