"""Passes over a model whose weights, gradients and optimiser state are cut over ranks.

Each block's weights are gathered over the ranks that share out examples when it runs, and dropped behind it; its
gradients are summed and each keeps its part (`fully_shard`; Rajbhandari et al. 2020, "ZeRO", stage 3; Zhao et al.
2023). What a block holds may be a part already (`tensor`). What lies outside the blocks is gathered for a whole step
(`outside`). What is summed is never averaged: an objective's divisors are of the whole step already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from luthier.core.batch import Batch
from luthier.core.errors import Refused
from luthier.core.example import Example, units_of
from luthier.core.methods import Objective, ParamGroup, Patch
from luthier.core.phrases import say
from luthier.models.causal import CausalLM
from luthier.models.inference.feature_cache import FeatureCache
from luthier.models.outputs import Outputs
from luthier.training.executor import Single
from luthier.training.ranks import tensor
from luthier.training.ranks.health import Health
from luthier.training.ranks.outside import Outside
from luthier.training.ranks.shares import passes
from luthier.training.ranks.tensor import Cut
from luthier.training.steps import Losses

if TYPE_CHECKING:
    from luthier.io.config import TrainingConfig
    from luthier.models.base import TrainableLM
    from luthier.training.ranks.group import Ranks

WHOLE = ("penalty", "before_step", "after_step")  # hooks of patches that look at whole parameters


class Pass(nn.Module):
    """Runs whatever it is given: the module that a pass is one call of."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, call: Callable[[], Any]) -> Any:
        return call()


def packed(lm: TrainableLM) -> bool:
    """Whether a pass runs each block once, whatever is in it: else blocks cannot be gathered one by one."""
    return isinstance(lm, CausalLM) and lm.separable


def refusal(lm: TrainableLM, patch: Patch) -> str | None:
    """Why the patch does not train on a model that is cut; None where it does."""
    if any(getattr(type(patch), name) is not getattr(Patch, name) for name in WHOLE):
        return say("said_ranks_patch", name=type(patch).__name__)
    return None


class Sharded(Single):
    """One of several processes that make each step together. Its masters are its own parts of the parameters."""

    def __init__(
        self, ranks: Ranks, lm: TrainableLM, patch: Patch, groups: Sequence[ParamGroup], training: TrainingConfig,
        epsilon: float = 1e-8,
    ) -> None:  # fmt: skip
        self.ranks = ranks
        if why := refusal(lm, patch):
            raise Refused(why)
        named = dict(lm.model.named_parameters())
        for name in (name for group in groups for name in group.names):
            named[name].requires_grad_(True)
        self.cuts = self._cut(lm)
        blocks = list(self._blocks(lm)) if packed(lm) else []
        inside = {id(p) for block in lm.blocks for p in block.parameters()} if blocks else set()
        self.outside = Outside(lm.model, inside, ranks.all_of)
        self.modules = self._shard(lm, blocks)
        self._spare: list[Example] = []
        self.health = Health(ranks.rank, ranks.size, torch.get_num_threads())
        here = {name for name, p in lm.model.named_parameters() if not p.is_meta}
        mine = [replace(group, names=[name for name in group.names if name in here]) for group in groups]
        super().__init__(lm, patch, mine, training, (), epsilon)
        patch.kept_as(self._part)

    def _cut(self, lm: TrainableLM) -> dict[str, Cut]:
        """Leave of the blocks' parameters this rank's part."""
        ranks = self.ranks
        if (degree := ranks.degrees.tensor) == 1:
            return {}
        found = tensor.cut(lm, ranks.at("tensor"), degree)
        tensor.exchange(lm, ranks.mesh["tensor"].get_group(), degree)
        return found

    def _blocks(self, lm: TrainableLM) -> Sequence[nn.Module]:
        """Those that are run here."""
        return list(lm.blocks)

    def _shard(self, lm: TrainableLM, blocks: Sequence[nn.Module]) -> list[Any]:
        """Cut the blocks' weights over the ranks that share out examples; gives the modules that are called."""
        return [self._root(Pass(lm.model), blocks)]

    def _root(self, root: nn.Module, blocks: Sequence[nn.Module]) -> Any:
        """A module that gathers each of these blocks when it runs."""
        mesh = self.ranks.mesh
        chosen = mesh["replicate", "shard"] if self.ranks.degrees.replicate > 1 else mesh["shard"]
        kinds = {p.dtype for block in blocks for p in block.parameters()}
        sums = None if torch.float64 in kinds else torch.float32
        settings: dict[str, Any] = {"mesh": chosen, "mp_policy": MixedPrecisionPolicy(reduce_dtype=sums)}
        for block in blocks:
            fully_shard(block, **settings)
        made: Any = fully_shard(root, ignored_params=set(self.outside.places), **settings)
        for module in (made, *blocks):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo knows no other
        made(lambda *_: None)  # it is the root from now on, also where a block is run outside a pass
        return made

    # -- passes --------------------------------------------------------------------------------------------------

    def _passes(self, examples: Sequence[Example]) -> list[list[Example]]:
        self._spare = [examples[at] for at in units_of(examples)[0]]
        return passes(examples, self.ranks.degrees.data, self.training.micro_tokens)[self.ranks.share]

    def _pass(
        self, part: Sequence[Example], divisors: Mapping[str, float], objective: Objective, trunk: FeatureCache | None
    ) -> dict[str, Tensor]:
        """An empty pass is made with an example of another rank, and counts nothing."""
        named: dict[str, Tensor] = self.modules[0](
            lambda: super(Sharded, self)._pass(part or self._spare, divisors, objective, trunk)
        )
        return self._counted(named, bool(part))

    def _counted(self, named: Mapping[str, Tensor], counts: bool) -> dict[str, Tensor]:
        """As much of each sum as makes it whole where those of all ranks are added."""
        share = 1 / self.ranks.degrees.tensor if counts else 0.0
        return {name: value * share for name, value in named.items()} if share != 1 else dict(named)

    def _outputs(self, hidden: Tensor, batch: Batch) -> Outputs:
        ranks = self.ranks
        if (degree := ranks.degrees.tensor) == 1:
            return super()._outputs(hidden, batch)
        group = ranks.mesh["tensor"].get_group()
        return tensor.SharedOutputs(hidden, self.lm, batch.targets, group, ranks.at("tensor"), degree)

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self.outside.gathered():
            yield

    def forward_backward(self, examples: Sequence[Example], objective: Objective) -> Losses:
        self.health.begin()
        with self.outside.gathered():
            found = self._step(examples, objective)
        self._sum()
        names = [name[1:] for name in objective.divisors(examples) if name.startswith("_")]
        told = [found.total, *(found.metrics.get(name, 0.0) for name in names)]
        sums = self.ranks.summed([*told, *self.health.own()])
        self.health.put(sums[len(told) :])
        return Losses(sums[0], dict(zip(names, sums[1 : len(told)], strict=True)))

    def told(self) -> Mapping[str, float]:
        return {**super().told(), **self.health.told}

    def _step(self, examples: Sequence[Example], objective: Objective) -> Losses:
        """This rank's part of the losses, and of all gradients."""
        return super().forward_backward(examples, objective)

    def _collect(self) -> None:
        super()._collect()
        self.outside.collect()

    @torch.no_grad()
    def _sum(self) -> None:
        """Sum over ranks what is still a part of a sum."""
        for part, grad in self.outside.summed().items():
            self._add(self._names[id(part)], grad)
        for name, master in self.masters.items():
            if (how := self.cuts.get(name)) and how.partial and master.grad is not None:
                dist.all_reduce(master.grad, group=self.ranks.mesh["tensor"].get_group())

    def _add(self, name: str, grad: Tensor) -> None:
        master = self.masters[name]
        master.grad = grad if master.grad is None else master.grad.add_(grad)

    @property
    def _names(self) -> dict[int, str]:
        return {id(p): name for name, p in self.params.items()}

    @torch.no_grad()
    def evaluate(self, examples: Sequence[Example], objective: Objective) -> float:
        with self.outside.gathered():
            found = super().evaluate(examples, objective)
        return self.ranks.summed([found])[0]

    @torch.no_grad()
    def states(self, examples: Sequence[Example]) -> Tensor:
        with self.outside.gathered():
            return cast(Tensor, self.modules[0](lambda: super(Sharded, self).states(examples)))

    # -- parts ---------------------------------------------------------------------------------------------------

    def _held(self, tensor: Tensor) -> Tensor:
        return cast(DTensor, tensor).to_local().detach()

    def _clip(self, most: float) -> float:
        """The norm of the gradients as they are on all ranks, each number counted once."""
        squares = [
            float(torch.linalg.vector_norm(master.grad, dtype=torch.float64)) ** 2 / self._copies(name)
            for name, master in self.masters.items()
            if master.grad is not None
        ]
        norm = math.sqrt(self.ranks.summed([sum(squares)])[0])
        if (scale := most / (norm + 1e-6)) < 1:
            for master in self.masters.values():
                if master.grad is not None:
                    master.grad.mul_(scale)
        return norm

    def _copies(self, name: str) -> int:
        """On how many ranks each number of a parameter is kept."""
        p = cast(DTensor, self.params[name])
        kept = math.prod(n for n, at in zip(p.device_mesh.shape, p.placements, strict=True) if at.is_replicate())
        whole = name in self.cuts and self.cuts[name].axis is None
        return kept * (self.ranks.degrees.tensor if whole else 1)

    def _all(self, true: bool) -> bool:
        return self.ranks.all(true)

    def _whole(self, name: str, held: Tensor) -> Tensor:
        if held.shape != self.masters[name].shape:  # such as a count of steps
            return held
        like, how = cast(DTensor, self.params[name]), self.cuts.get(name)
        shape = list(like.shape)
        if how is None:
            mesh, places = like.device_mesh, like.placements
        else:  # the ranks of a block part it first, those that share out examples part what each of them has
            mesh, places = self.ranks.mesh["tensor", "shard"], (Replicate(), Shard(0))
            if how.axis is not None:
                places = (Shard(how.axis), Shard(0))
                shape[how.axis] *= self.ranks.degrees.tensor
        stride = torch.empty(shape, device="meta").stride()
        return DTensor.from_local(held, mesh, places, run_check=False, shape=torch.Size(shape), stride=stride)

    def _same(self, own: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
        return own.items() <= kept.items()

    def _part(self, name: str, whole: Tensor) -> Tensor:
        if isinstance(whole, DTensor):
            return whole.to_local()
        if name not in self.params:  # of a block that another rank has
            return whole.to("meta")
        like, how = cast(DTensor, self.params[name]), self.cuts.get(name)
        if how is not None and how.axis is not None and whole.ndim:
            whole = whole.chunk(self.ranks.degrees.tensor, how.axis)[self.ranks.at("tensor")]
        if whole.shape != like.shape:
            return whole
        there = whole.contiguous().to(self.ranks.device)
        return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None).to_local()

    def gathered(self, p: Tensor, part: Tensor) -> Tensor:
        return cast(DTensor, self._whole(self._called[id(p)], part)).full_tensor()

    def parted(self, p: Tensor, whole: Tensor) -> Tensor:
        return self._part(self._called[id(p)], whole)

    @cached_property
    def _called(self) -> dict[int, str]:
        return {id(master): name for name, master in self.masters.items()}

    def release(self) -> None:
        for module in self.lm.model.modules():
            for name, p in module.named_parameters(recurse=False):
                setattr(module, name, nn.Parameter(torch.empty(p.shape, dtype=p.dtype, device="meta"), False))
        left = dict(self.lm.model.named_parameters())
        self.patch.kept_as(lambda name, _: left[name].detach())
