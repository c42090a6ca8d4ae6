"""LoRA trained on the documents that the questions are about, not on the questions.

Continued training on plain text (objective `lm`) over `--docs FOLDER`: stands beside `lora`, which learns from the
question rows, under the same budget. Its learning rate is judged on the validation questions like any other.
Source: domain-adaptive pre-training, Gururangan et al. 2020; with low-rank updates, Hu et al. 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from luthier.patches.lora import Lora

extras = ()
data = ("docs",)  # without documents it is tried only when it is named


@dataclass(frozen=True)
class LoraDocs(Lora):
    """rank, alpha, targets, dropout, rank_stabilised, dora, start: as in lora."""

    objectives: ClassVar[Mapping[str, str]] = {"classification": "lm", "generation": "lm", "text": "lm"}


METHOD = LoraDocs
