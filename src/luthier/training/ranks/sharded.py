"""Passes over a model whose weights, gradients and optimiser state are cut over ranks: fully sharded data parallel.

Each block's weights are gathered when it runs and dropped behind it; its gradients are summed over the ranks and each
keeps its part. What is summed is never averaged: an objective's divisors are of the whole step already. Embedding,
last norm and vocabulary head are gathered for a whole pass, which is why a pass runs inside a module of its own
(`_Pass`): what objectives and heads read past a module's forward is there then. Source: Rajbhandari et al. 2020
("ZeRO", stage 3) and Zhao et al. 2023, by torch's `fully_shard`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from luthier.core.errors import Refused
from luthier.core.example import Example, units_of
from luthier.core.methods import Objective, ParamGroup, Patch
from luthier.core.phrases import say
from luthier.models.causal import CausalLM
from luthier.models.inference.feature_cache import FeatureCache
from luthier.training.executor import Losses, Single
from luthier.training.ranks.shares import passes

if TYPE_CHECKING:
    from luthier.io.config import TrainingConfig
    from luthier.models.base import TrainableLM
    from luthier.training.ranks.group import Ranks


WHOLE = ("penalty", "before_step", "after_step")  # hooks of patches that look at whole parameters


class _Pass(nn.Module):
    """Runs whatever it is given while the weights outside the blocks are gathered."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, call: Callable[[], Any]) -> Any:
        return call()


def packed(lm: TrainableLM) -> bool:
    """Whether a pass runs each block once, whatever is in it: else blocks cannot be gathered one by one."""
    return isinstance(lm, CausalLM) and lm.separable


def shard(lm: TrainableLM, ranks: Ranks) -> Any:
    """Cut the model's weights over the ranks, in place; gives the module that passes run in."""
    settings: dict[str, Any] = {"mesh": ranks.mesh, "mp_policy": MixedPrecisionPolicy(reduce_dtype=torch.float32)}
    blocks = [block for stack in lm.stacks for block in stack] if packed(lm) else []
    cut: list[Any] = [*blocks, *lm.heads.values()]
    for module in cut:
        fully_shard(module, **settings)
    root: Any = fully_shard(_Pass(lm.model), reshard_after_forward=False, **settings)
    for module in (root, *cut):
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)  # gloo knows no other
    return root


class Sharded(Single):
    """One of several processes that make each step together. Its masters are its own parts of the parameters."""

    def __init__(
        self, ranks: Ranks, lm: TrainableLM, patch: Patch, groups: Sequence[ParamGroup], training: TrainingConfig,
        epsilon: float = 1e-8,
    ) -> None:  # fmt: skip
        self.ranks = ranks
        if any(
            getattr(type(patch), name) is not getattr(Patch, name) for name in ("penalty", "before_step", "after_step")
        ):
            raise Refused(say("said_ranks_patch", name=type(patch).__name__))
        named = dict(lm.model.named_parameters())
        for name in (name for group in groups for name in group.names):
            named[name].requires_grad_(True)
        self.root = shard(lm, ranks)
        self.root(lambda: None)  # it is the root from now on, also where a block is run outside a pass
        self.root.reshard()
        self._spare: list[Example] = []
        super().__init__(lm, patch, groups, training, (), epsilon)

    def _held(self, tensor: Tensor) -> Tensor:
        return cast(DTensor, tensor).to_local().detach()

    def _passes(self, examples: Sequence[Example]) -> list[list[Example]]:
        self._spare = [examples[at] for at in units_of(examples)[0]]
        return passes(examples, self.ranks.size, self.training.micro_tokens)[self.ranks.rank]

    def _pass(
        self, part: Sequence[Example], divisors: Mapping[str, float], objective: Objective, trunk: FeatureCache | None
    ) -> dict[str, Tensor]:
        """An empty pass is made with an example of another rank, and counts nothing."""
        named: dict[str, Tensor] = self._gathered(
            lambda: super(Sharded, self)._pass(part or self._spare, divisors, objective, trunk)
        )
        return named if part else {name: value * 0.0 for name, value in named.items()}

    def _gathered(self, call: Callable[[], Any]) -> Any:
        found = self.root(call)
        if not torch.is_grad_enabled():  # else the backward pass does it
            self.root.reshard()
        return found

    @contextmanager
    def reading(self) -> Iterator[None]:
        self.root.unshard()
        try:
            yield
        finally:
            self.root.reshard()

    def forward_backward(self, examples: Sequence[Example], objective: Objective) -> Losses:
        found = super().forward_backward(examples, objective)
        total, *metrics = self.ranks.summed([found.total, *found.metrics.values()])
        return Losses(total, dict(zip(found.metrics, metrics, strict=True)))

    @torch.no_grad()
    def evaluate(self, examples: Sequence[Example], objective: Objective) -> float:
        return self.ranks.summed([super().evaluate(examples, objective)])[0]

    @torch.no_grad()
    def states(self, examples: Sequence[Example]) -> Tensor:
        return cast(Tensor, self._gathered(lambda: super(Sharded, self).states(examples)))

    def _clip(self, most: float) -> float:
        """The norm of the gradients as they are on all ranks, each number counted once."""
        squares = [
            float(torch.linalg.vector_norm(master.grad, dtype=torch.float64)) ** 2 / self._copies(self.params[name])
            for name, master in self.masters.items()
            if master.grad is not None
        ]
        norm = math.sqrt(self.ranks.summed([sum(squares)])[0])
        if (scale := most / (norm + 1e-6)) < 1:
            for master in self.masters.values():
                if master.grad is not None:
                    master.grad.mul_(scale)
        return norm

    def _copies(self, p: Tensor) -> int:
        """On how many ranks each number of a parameter is kept."""
        mesh, places = cast(DTensor, p).device_mesh, cast(DTensor, p).placements
        cut = [n for n, place in zip(mesh.shape, places, strict=True) if isinstance(place, Shard)]
        return self.ranks.size // math.prod(cut)

    def _all(self, true: bool) -> bool:
        return self.ranks.all(true)

    def tensors(self) -> dict[str, Tensor]:
        found = super().tensors()
        for key, value in found.items():
            name = key.removeprefix("param.") if key.startswith("param.") else key.split(".", 2)[-1]
            if (p := self.params.get(name)) is not None and value.shape == self.masters[name].shape:
                found[key] = self._as(value, p)
        return found

    def _as(self, part: Tensor, p: Tensor) -> Tensor:
        """This rank's part as one of a whole that is cut as the parameter is."""
        like = cast(DTensor, p)
        return DTensor.from_local(
            part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
        )

    def _part(self, whole: Tensor, p: Tensor) -> Tensor:
        """This rank's part of a whole that every rank has."""
        like = cast(DTensor, p)
        return distribute_tensor(
            whole.to(self.ranks.device), like.device_mesh, like.placements, src_data_rank=None
        ).to_local()

    def load(self, tensors: Mapping[str, Tensor]) -> bool:
        parts = dict(tensors)
        for key, value in tensors.items():
            name = key.removeprefix("param.") if key.startswith("param.") else key.split(".", 2)[-1]
            if (p := self.params.get(name)) is not None and value.shape == p.shape:
                parts[key] = self._part(value, p)
        return super().load(parts)
