"""A loop over a few pairs of answers, on a tiny model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from luthier.core.methods import Objective, Patch
from luthier.core.records import Message, Preference
from luthier.core.split import Split
from luthier.io.config import TrainingConfig
from luthier.models.causal import CausalLM
from luthier.patches.full import Full
from luthier.patches.lora import Lora
from luthier.patches.prefix import Prefix
from luthier.training.attach import Ready, prepared
from luthier.training.context import Context

PATCHES: dict[str, Callable[[], Patch]] = {"lora": lambda: Lora(rank=2), "full": Full, "prefix": lambda: Prefix(n=3)}
every_patch = pytest.mark.parametrize("patch", PATCHES)


def asked(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


PAIRS = tuple(
    Preference(asked(f"where is order {i} of {'x' * i}?"), f"on its way, {i} days", f"no idea {'at all ' * (i % 3)}")
    for i in range(12)
)
DATA = Split("preference", PAIRS[:8], PAIRS[8:])


@contextmanager
def ready(
    lm: CausalLM, objective: Objective, patch: str = "lora", data: Split = DATA, folder: Path | None = None,
    **settings: Any,
) -> Iterator[Ready]:  # fmt: skip
    values = {"tokens": 10**6, "epochs": 2, "learning_rate": 0.003, "batch": 4} | settings
    with prepared(Context(lm, data), PATCHES[patch](), objective, TrainingConfig(**values), folder=folder) as found:
        yield found


def nudged(loop: Any, by: float = 0.05) -> None:
    """The policy is another model than the reference."""
    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in loop.executor.params.values():
            p.add_(by * torch.randn(p.shape, generator=random))
