"""Policies to train on prompts, and a reward that counts vowels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from luthier.core import catalog
from luthier.core.records import Asked, Message, Record
from luthier.core.split import Split
from luthier.io.config import TrainingConfig
from luthier.models.causal import CausalLM
from luthier.objectives.grpo import Grpo
from luthier.objectives.ppo import Ppo
from luthier.objectives.sampling.sampled import Sampled
from luthier.patches.lora import Lora
from luthier.training.attach import prepared
from luthier.training.context import Context

PROMPTS = Split("preference", tuple(Asked((Message("user", f"q{i}"),)) for i in range(8)), ())
PATCHES = [e.name for e in catalog.entries("patches").values() if not catalog.lacking(e)]


class Vowels:
    """The share of an answer's first five characters that are vowels."""

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        return [sum(c in "aeiou" for c in answer[:5]) / 5 for answer in answers]


def ready(lm: CausalLM, objective: Sampled, patch: Any = None, folder: Path | None = None, reward: Any = None,
          data: Split = PROMPTS, **values: Any) -> Any:  # fmt: skip
    """A loop, ready to run."""
    ctx = Context(lm, data, reward=reward or Vowels(), folder=folder)
    training = TrainingConfig(**{"tokens": 6000, "learning_rate": 0.003, "batch": 4} | values)
    return prepared(ctx, patch or Lora(rank=2), objective, training, folder=folder)


def ppo(**changes: Any) -> Ppo:
    return Ppo(**{"rollout": 8, "new_tokens": 5, "epochs": 2} | changes)


def grpo(**changes: Any) -> Grpo:
    return Grpo(**{"rollout": 2, "new_tokens": 5, "answers": 4} | changes)


KINDS: dict[str, Callable[[], Sampled]] = {"ppo": ppo, "grpo": grpo}
every_kind = pytest.mark.parametrize("kind", KINDS)


def tiny_example() -> Any:
    from luthier.core.example import Example

    return Example(0, (1, 2, 3), (2,), (0,))
