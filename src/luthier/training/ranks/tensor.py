"""Tensor parallel: each rank has a part of every matrix in a block, and of its heads, and sees all tokens of a pass.

Matrices that read a block's states (query, key, value, gate, up) are cut by their outputs, those that write into them
(output, down) by their inputs, so that two sums over the ranks a block are all that is exchanged each way. What a patch
has put around a matrix is cut as the matrix is, by the names its layer gives the axes of its parameters (`axes`); a
parameter without the axis that is cut is whole on every rank, and its gradients are summed.

Outside the blocks every rank computes the same, with its share of the loss, so that sums over all ranks are right;
inside, each rank has a whole gradient of what it was given; the first block and the last turn one into the other. The
vocabulary head, which costs most, is left out of that: each rank reads its own places. Source: Shoeybi et al. 2019,
"Megatron-LM".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from luthier.core.errors import Refused
from luthier.core.phrases import say
from luthier.models.layers.surgery import path_of
from luthier.models.outputs import Outputs, Rowwise

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

BY_OUT = re.compile(r"self_attn\.(q|k|v)_proj|mlp\.(gate|up)_proj")
BY_IN = re.compile(r"self_attn\.o_proj|mlp\.down_proj")
HEADWISE = re.compile(r"self_attn\.(q|k)_norm\.weight")  # read by every head: whole on every rank
LINEAR = {"weight": ("out", "in"), "bias": ("out",)}  # axes of torch's linear layer


@dataclass(frozen=True)
class Cut:
    """How a parameter is cut over the ranks of a block. axis: None where each has it whole. partial: its gradients on
    each rank are parts of a sum."""

    axis: int | None
    partial: bool = False


def refusal(lm: TrainableLM, degree: int) -> str | None:
    """Why the model cannot be cut by so many ranks, with what would fit; None where it can."""
    config = lm.model.config
    sizes = [
        getattr(config, name, 0) or 0 for name in ("num_attention_heads", "num_key_value_heads", "intermediate_size")
    ]
    found = [name for name, _ in lm.blocks[0].named_modules() if BY_OUT.fullmatch(name) or BY_IN.fullmatch(name)]
    if len(lm.stacks) > 1 or len(found) != 7:
        return say("said_ranks_kind", kind=type(lm.model).__name__)
    if lm.learned_prefix is not None:
        return say("said_ranks_prefix")
    heads, kept, width = sizes[0], sizes[1] or sizes[0], sizes[2]
    most = math.gcd(heads, kept, width)
    if most % degree:
        fits = ", ".join(str(n) for n in range(1, most + 1) if most % n == 0)
        return say("said_ranks_heads", degree=degree, heads=heads, kept=kept, width=width, fits=fits)
    return None


def cut(lm: TrainableLM, rank: int, degree: int) -> dict[str, Cut]:
    """Leave of the blocks' matrices this rank's part, in place; gives how each parameter of the blocks is cut.

    Raises Refused.
    """
    if why := refusal(lm, degree):
        raise Refused(why)
    found: dict[str, Cut] = {}
    top = path_of(lm.model, lm.blocks)
    for at, block in enumerate(lm.blocks):
        sites = {name: "out" for name, _ in block.named_modules() if BY_OUT.fullmatch(name)}
        sites |= {name: "in" for name, _ in block.named_modules() if BY_IN.fullmatch(name)}
        for site in sites:
            for name, module in block.get_submodule(site).named_modules():
                if not isinstance(module, nn.Linear) and not getattr(module, "axes", {}):
                    path = f"{site}.{name}" if name else site
                    raise Refused(say("said_ranks_layer", name=path, kind=type(module).__name__))
        for name, p in block.named_parameters():
            site = next((site for site in sites if name.startswith(f"{site}.")), None)
            how = Cut(None)
            if site is not None:
                how = _of_site(block, site, name, sites[site])
                if how.axis is not None:
                    p.data = p.data.chunk(degree, how.axis)[rank].clone()
            elif HEADWISE.fullmatch(name):
                how = Cut(None, partial=True)
            elif name.startswith(("self_attn.", "mlp.")):
                raise Refused(say("said_ranks_layer", name=name, kind=type(lm.model).__name__))
            found[f"{top}.{at}.{name}"] = how
    return found


def _of_site(block: nn.Module, site: str, name: str, by: str) -> Cut:
    """How a parameter of a linear layer, or of what a patch put in its place, is cut."""
    owner, _, own = name.rpartition(".")
    module = block.get_submodule(owner)
    axes: dict[str, tuple[str, ...]] = LINEAR if isinstance(module, nn.Linear) else getattr(module, "axes", {})
    if own not in axes:
        raise Refused(say("said_ranks_layer", name=f"{site}.{own}", kind=type(module).__name__))
    return Cut(axes[own].index(by)) if by in axes[own] else Cut(None, partial=True)


class _Summed(torch.autograd.Function):
    """The sum over the ranks of a group; each of them has the whole gradient of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        found = x.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(found, group=group)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0], None


class _Shared(torch.autograd.Function):
    """What every rank has; the gradients that they find are parts of a sum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        found = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(found, group=ctx.group)
        return found, None


class _Parted(torch.autograd.Function):
    """What every rank has; the whole gradient that each has becomes a part of a sum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, degree: int) -> Tensor:
        ctx.degree = degree
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0] / ctx.degree, None


class _Gathered(torch.autograd.Function):
    """(N,) of all ranks, of which each has found those from `first` on."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, first: int, count: int, group: dist.ProcessGroup, degree: int) -> Tensor:
        ctx.first, ctx.size, ctx.degree = first, len(mine), degree
        found = mine.new_zeros(count)
        found[first : first + len(mine)] = mine
        dist.all_reduce(found, group=group)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0][ctx.first : ctx.first + ctx.size] * ctx.degree, None, None, None, None


def exchange(lm: TrainableLM, group: dist.ProcessGroup, degree: int) -> None:
    """Have the blocks' modules exchange what they find, from now on."""
    for block in cast(Any, lm.blocks):
        for module in (block.self_attn, block.mlp):
            module.register_forward_pre_hook(_given(lambda x: _Shared.apply(x, group)), with_kwargs=True)
        for name, module in block.named_modules():
            if BY_IN.fullmatch(name.removesuffix(".base")):  # a patch may be off, and what it stands for run alone
                module.register_forward_hook(partial(_summed, group, degree))
    first, last = cast(Any, lm.blocks[0]), cast(Any, lm.blocks[-1])
    first.register_forward_pre_hook(_given(lambda x: _Parted.apply(x, degree)), with_kwargs=True)
    last.register_forward_hook(lambda _module, _args, out: _of_states(out, lambda x: _Shared.apply(x, group).clone()))


def _given(change: Callable[[Tensor], Tensor]) -> Any:
    """A hook that changes the states a module is given."""

    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

    return hook


def _of_states(out: Any, change: Callable[[Tensor], Tensor]) -> Any:
    return change(out) if isinstance(out, Tensor) else (change(out[0]), *out[1:])


def _summed(group: dist.ProcessGroup, degree: int, module: Any, _args: object, out: Tensor) -> Tensor:
    """Of a matrix that is cut by its inputs; its bias, which every rank has added, counts once."""
    if (bias := module.bias) is not None:
        out = out - bias * (1 - 1 / degree)
    return cast(Tensor, _Summed.apply(out, group))


@dataclass
class SharedOutputs(Outputs):
    """What a pass gave, the same on every rank of a group, each of which reads the vocabulary head at its own places.

    Losses are to be divided by the degree on every rank.
    """

    group: dist.ProcessGroup
    rank: int
    degree: int

    @property
    def _mine(self) -> slice:
        bounds = [len(self.hidden) * at // self.degree for at in (self.rank, self.rank + 1)]
        return slice(*bounds)

    def nll(self, weights: Tensor | None = None) -> Tensor:
        mine = self._mine
        own = Outputs(self.hidden[mine], self.lm, self.targets[mine])
        return own.nll(None if weights is None else weights[mine]) * self.degree

    def _of_vocabulary(self, rowwise: Rowwise) -> Tensor:
        mine = self._mine
        own = Outputs(self.hidden[mine], self.lm, self.targets[mine])
        found = own._of_vocabulary(lambda logits, at: rowwise(logits, at + mine.start))
        return cast(Tensor, _Gathered.apply(found, mine.start, len(self.hidden), self.group, self.degree))
