"""The training loop on its own, over a few uneven examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from luthier.core.example import Example, renumbered
from luthier.core.methods import Objective, Patch
from luthier.data.pack import next_token
from luthier.io.config import TrainingConfig
from luthier.models.causal import CausalLM
from luthier.objectives.sft import Sft
from luthier.patches.lora import Lora
from luthier.training.attach import attached
from luthier.training.context import Context
from luthier.training.loop import Loop

UNEVEN = (3, 40, 7, 25, 12, 5, 31, 18)


def examples(*sizes: int) -> list[Example]:
    """Random sequences of these lengths, their second halves to be learned, made from rows 0, 10, 20…"""
    random = torch.Generator().manual_seed(0)
    ids = [torch.randint(300, (n,), generator=random).tolist() for n in sizes]
    return renumbered([next_token(10 * i, s, [j >= len(s) // 2 for j in range(len(s))], 99) for i, s in enumerate(ids)])


@contextmanager
def loop_on(
    lm: CausalLM, data: Sequence[Example] = (), patch: Patch | None = None, objective: Objective | None = None,
    folder: Path | None = None, **settings: Any,
) -> Iterator[Loop]:  # fmt: skip
    """A loop over the uneven examples unless others are given: eight rows, three at a time, three epochs."""
    patch, objective, data = patch or Lora(rank=2), objective or Sft(), data or examples(*UNEVEN)
    values = {"tokens": 10**9, "epochs": 3, "batch": 3, "learning_rate": 0.01} | settings
    with attached(lm, patch, objective, (), 0) as (work, groups, _):
        yield Loop(Context(work, seed=0), patch, objective, groups, data, TrainingConfig(**values), folder)


def trained(lm: CausalLM, **settings: Any) -> dict[str, Tensor]:
    """The trained parameters at the end of a run that nothing interrupts."""
    with loop_on(lm, **settings) as loop:
        loop.run()
        return {name: p.detach().clone() for name, p in loop.executor.params.items()}
