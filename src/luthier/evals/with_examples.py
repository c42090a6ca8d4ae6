"""A worded model whose examples are chosen for each question, or whose label probabilities are calibrated, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.lm import LM
from luthier.core.records import Prompt, Record, Sampling, record_values
from luthier.data.prompts import Template
from luthier.evals.calibration import calibrated
from luthier.evals.examples import Nearest, fixed
from luthier.io.files import read_record, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.core.lm import WordedLM


@dataclass
class ShotsLM:
    """lm: worded, with its chooser where there is one. favoured: log p_cf (K,) of `lm.labels`, see calibration."""

    lm: WordedLM
    favoured: Tensor | None = None

    @property
    def nearest(self) -> Nearest | None:
        """What chooses the examples of each question."""
        return self.lm.chooser if isinstance(self.lm.chooser, Nearest) else None

    def __getattr__(self, name: str) -> Any:
        """Everything else is the worded model's: can, labels, output, shots, tokenizer, context, key, remote…"""
        if name == "lm":  # not made yet
            raise AttributeError(name)
        return getattr(self.lm, name)

    def _prepare(self, prompts: Sequence[Prompt]) -> None:
        if self.nearest:
            self.nearest.prepare(prompts)

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """(N, K) log-probabilities in the order of `labels`."""
        self._prepare(texts)
        found = self.lm.predict(texts, labels)
        if self.favoured is None:
            return found
        return calibrated(found, self.favoured[[self.lm.labels.index(label) for label in labels]])

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """One answer a prompt."""
        self._prepare(prompts)
        return self.lm.generate(prompts, sampling)

    def logprobs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Tensor]:
        """Log-probability of each answer token, in nats."""
        self._prepare([prompt for prompt, _ in pairs])
        return self.lm.logprobs(pairs)

    def worded(self, template: Template, labels: Sequence[str], shots: Sequence[Record] = ()) -> LM:
        """The same examples behind another wording, without the calibration, which was the old wording's."""
        worded = self.lm.worded(template, labels, shots)
        return ShotsLM(choosing(worded, replace_lm(self.nearest, worded))) if self.nearest else fixed(worded)

    def save(self, folder: Path) -> None:
        """What the worded model saves, with the calibration and the pool of examples beside it."""
        self.lm.save(folder)
        more: dict[str, Any] = {"favoured": None if self.favoured is None else self.favoured.tolist(), "nearest": None}
        if n := self.nearest:
            pool = [record_values(r) for r in n.pool]
            more["nearest"] = {"k": n.k, "first": n.first, "embedder": n.embedder.name, "pool": pool}
        write_json(folder / "luthier.json", read_record(folder / "luthier.json") | more)


def choosing(lm: WordedLM, chooser: Callable[[Prompt], tuple[Record, ...]]) -> WordedLM:
    """The worded model with examples chosen for each prompt."""
    return lm.asked(chooser=chooser, shots=())


def replace_lm(nearest: Nearest, lm: WordedLM) -> Nearest:
    """The same choice for another wording, whose prompts have other lengths."""
    return Nearest(lm, nearest.pool, nearest.k, nearest.embedder, nearest.first)


def load_shots(folder: Path, lm: WordedLM, cache: Path) -> LM:
    """What `save` wrote, of a worded model too."""
    wording = read_record(folder / "luthier.json", "template", "shots", "labels")
    favoured, near = wording.get("favoured"), wording.get("nearest")
    pool = near["pool"] if near else []
    worded: Any = lm.restore(wording | {"shots": [*wording["shots"], *pool]})
    if near:
        from luthier.models.embedding import load_embedder

        records = worded.shots[len(wording["shots"]) :]
        worded = worded.asked(shots=())
        embedder = load_embedder(near["embedder"], cache)
        worded = choosing(worded, Nearest(worded, records, near["k"], embedder, near["first"]))
    else:
        worded = fixed(worded)
    if favoured is None and not near:
        return worded  # type: ignore[no-any-return]
    import torch

    return ShotsLM(worded, None if favoured is None else torch.tensor(favoured, dtype=torch.float64))
