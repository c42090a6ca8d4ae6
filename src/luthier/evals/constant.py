"""The best answer that looks at no text: what a method is worth is what it adds to this.

One label: the commonest of the training rows. Several labels: the commonest ones, as many as give those rows the best
F1. A number: their median. Text: their commonest answer, where a tenth of them want it; free text has none.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.core.records import Prompt, Rated, Sampling, Tagged
from luthier.core.split import Split
from luthier.evals.metrics.label_f1 import set_f1
from luthier.io.files import read_record, write_json

if TYPE_CHECKING:
    from torch import Tensor

SHARE = 0.1  # of the training rows that want a text, for it to be an answer and not one row's own
MOST = 32  # labels of a constant answer
ABOVE_HALF = 0.51  # what is said of a label that is given, and that fewer than half of the rows have


@dataclass
class ConstantLM:
    """An adapted model that gives the same to every text; it needs no base.

    output: labels, tags, scalar or text. answer: in words. values: the probability of each label, or the number.
    """

    output: str
    answer: str
    labels: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    can: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.can = frozenset({"generate" if self.output == "text" else "predict"})

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """(N, K) log-probabilities in the order of `labels`, or (N, 1) numbers."""
        import torch

        if self.output == "text":
            raise LuthierError("the commonest answer is a text: it gives no likelihood of labels")
        if self.output == "scalar":
            return torch.tensor(self.values, dtype=torch.float64).expand(len(texts), 1)
        found = torch.tensor([self.values[self.labels.index(label)] for label in labels]).log()
        return (found.log_softmax(-1) if self.output == "labels" else found).expand(len(texts), len(labels))

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """The answer, to every prompt."""
        return [self.answer] * len(prompts)

    def logprobs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Tensor]:
        """Not possible."""
        raise LuthierError("the commonest answer gives no likelihood of a text")

    def save(self, folder: Path) -> None:
        """What it answers."""
        values: dict[str, Any] = {"output": self.output, "constant": self.answer, "values": list(self.values)}
        write_json(folder / "luthier.json", values | {"labels": list(self.labels)})


def load_constant(folder: Path) -> ConstantLM:
    """What `save` wrote."""
    kept = read_record(folder / "luthier.json", "output", "constant", "values", "labels")
    return ConstantLM(kept["output"], kept["constant"], tuple(kept["labels"]), tuple(kept["values"]))


def constant(data: Split) -> ConstantLM | None:
    """The best constant answer by the training rows; None where there is none. Ties go by name."""
    if data.task == "multilabel":
        return _tags(data)
    if data.task == "regression":
        middle = statistics.median(r.value for r in data.train if isinstance(r, Rated))
        return ConstantLM("scalar", f"{middle:g}", values=(float(middle),))
    counts = Counter(record.wanted for record in data.train)
    answer, most = min(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    if data.task == "classification":
        total = len(data.train) + len(data.labels)
        return ConstantLM("labels", answer, data.labels, tuple((counts[n] + 1) / total for n in data.labels))
    common = data.task == "generation" and most >= max(2, math.ceil(SHARE * len(data.train)))
    return ConstantLM("text", answer) if common else None


def _tags(data: Split) -> ConstantLM:
    """The first k labels by frequency, for the k with the best mean F1 on the training rows; k may be 0."""
    wanted = [r.tags for r in data.train if isinstance(r, Tagged)]
    counts = Counter(tag for tags in wanted for tag in tags)
    ranked = sorted(data.labels, key=lambda label: (-counts[label], label))
    sizes = range(min(len(ranked), MOST) + 1)
    best = max(sizes, key=lambda k: statistics.fmean(set_f1(ranked[:k], tags) for tags in wanted))
    given, total = set(ranked[:best]), len(wanted) + 2
    shares = [(counts[label] + 1) / total for label in data.labels]
    values = [
        max(p, ABOVE_HALF) if label in given else min(p, 1 - ABOVE_HALF)
        for label, p in zip(data.labels, shares, strict=True)
    ]
    return ConstantLM("tags", ", ".join(n for n in data.labels if n in given), data.labels, tuple(values))
