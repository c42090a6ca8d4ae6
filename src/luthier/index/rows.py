"""Answers from training rows: the nearest rows by meaning vote, or the nearest row's answer is given.

A label's share is the sum of exp(similarity / temperature) over the k nearest rows that have it. Source: Khandelwal et
al. 2020, "Generalization through Memorization"; Cover & Hart 1967.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luthier.core.errors import LuthierError
from luthier.core.records import Labelled, Prompt, Sampling
from luthier.data.prompts import question_and_answer
from luthier.data.split import normal
from luthier.io.files import write_json, write_tensors
from luthier.models.embedding import Embedder, Vectors

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.core.records import Task

NEIGHBOURS = (1, 3, 5, 10, 20)
TEMPERATURES = (0.01, 0.03, 0.1)
PRIOR = 0.01  # share that no row votes for, so that no label is impossible
JUDGED = 1000  # rows that choose k and temperature, at most
Floats = NDArray[np.float64]


def text_of(prompt: Prompt) -> str:
    """The question of a prompt: its text, or the last turn of the user."""
    return prompt if isinstance(prompt, str) else question_and_answer(_Asked(prompt))[0]  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Asked:
    asked: Prompt
    wanted: str = ""


def similarities(queries: Vectors, rows: Vectors) -> Floats:
    """(Q, N) cosines. Rounded, so that where numbers lie in memory does not decide which row is the nearest."""
    return np.asarray(np.round(queries @ rows.T, 5), np.float64)


def voted(near: Floats, values: Floats, k: int, temperature: float) -> Floats:
    """(Q, K) means of the k nearest rows' values (N, K), weighted. near: (Q, N)."""
    order = np.argsort(-near, axis=1, kind="stable")[:, :k]
    chosen = np.take_along_axis(near, order, 1)
    weights = np.exp((chosen - chosen[:, :1]) / temperature)
    weights /= weights.sum(1, keepdims=True)
    return np.asarray(np.einsum("qk,qkv->qv", weights, values[order]))


def fit(texts: Sequence[str], vectors: Vectors, values: Floats, task: Task) -> tuple[int, float]:
    """k and temperature under which rows, each left out in turn with all that ask the same, are predicted best."""
    asked = np.unique([normal(text) for text in texts], return_inverse=True)[1]
    judged = np.random.default_rng(0).permutation(len(vectors))[:JUDGED]
    near = similarities(vectors[judged], vectors)
    near[asked[judged][:, None] == asked[None]] = -np.inf
    most = len(vectors) - int(np.bincount(asked).max())
    if most < 1:
        return 1, TEMPERATURES[0]
    tried = {(min(k, most), t) for k in NEIGHBOURS for t in TEMPERATURES}
    return max(sorted(tried), key=lambda c: _quality(voted(near, values, *c), values[judged], task))


def _quality(found: Floats, wanted: Floats, task: Task) -> float:
    if task == "regression":
        return -float(np.abs(found - wanted).mean())
    share = (1 - PRIOR) * found + PRIOR / found.shape[1]
    if task == "multilabel":
        share = np.clip(found, PRIOR, 1 - PRIOR)
        return float((wanted * np.log(share) + (1 - wanted) * np.log(1 - share)).mean())
    return float((wanted * np.log(share)).sum(1).mean())


@dataclass
class RowsLM:
    """Training rows as the whole model. values: (N, K), one column a label (or the number); answers: of generation."""

    embedder: Embedder
    vectors: Vectors
    values: Floats
    answers: tuple[str, ...]
    task: Task
    labels: tuple[str, ...]
    k: int
    temperature: float

    def __post_init__(self) -> None:
        self.can = frozenset({"generate"} if self.task == "generation" else {"predict"})

    @property
    def output(self) -> str:
        """What it answers with, as heads call it."""
        return {"classification": "labels", "multilabel": "tags", "regression": "scalar"}.get(self.task, "text")

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """(N, K) log-probabilities in the order of `labels`, or (N, 1) numbers."""
        import torch

        if self.task == "generation":
            raise LuthierError("rows with written answers have no labels to predict")
        found = voted(self._near(texts), self.values, self.k, self.temperature)
        if self.task == "regression":
            return torch.from_numpy(found).float()
        found = found[:, [self.labels.index(label) for label in labels]]
        if self.task == "multilabel":
            return torch.from_numpy(np.log(np.clip(found, PRIOR, 1 - PRIOR))).float()
        share = (1 - PRIOR) * found + PRIOR / len(labels)
        return torch.from_numpy(np.log(share / share.sum(1, keepdims=True))).float()

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """The answer of the nearest training row."""
        if self.task != "generation":
            raise LuthierError("nearest rows can only predict, they cannot write text")
        return [self.answers[rows[0]] for rows in self.sources(prompts)]

    def logprobs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Tensor]:
        """Not possible."""
        raise LuthierError("nearest rows give no likelihood of a text")

    def sources(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """For each prompt the numbers of the training rows that answer it, nearest first."""
        order = np.argsort(-self._near([text_of(p) for p in prompts]), axis=1, kind="stable")
        return [[int(i) for i in row[: self.k]] for row in order]

    def _near(self, texts: Sequence[str]) -> Floats:
        return similarities(self.embedder.queries(texts), self.vectors)

    def save(self, folder: Path) -> None:
        """Vectors and values as tensors, the rest as JSON."""
        import torch

        tensors = {"vectors": torch.from_numpy(self.vectors), "values": torch.from_numpy(self.values)}
        write_tensors(folder / "rows.safetensors", tensors)
        meta: dict[str, Any] = {"answers": list(self.answers), "task": self.task, "labels": list(self.labels)}
        meta |= {"k": self.k, "temperature": self.temperature, "embedder": self.embedder.name, "key": self.embedder.key}
        write_json(folder / "luthier.json", meta)


def one_hot(rows: Sequence[Labelled], labels: Sequence[str]) -> Floats:
    """(N, K) with a 1 at each row's label."""
    return np.eye(len(labels))[[labels.index(row.label) for row in rows]]
