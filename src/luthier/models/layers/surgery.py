"""Changing a model and changing it back: replaced modules, kept weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from luthier.core.errors import LuthierError, is_our_fault
from luthier.core.phrases import say

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM


def kept_weights(model: nn.Module, names: Iterable[str]) -> dict[str, Tensor]:
    """Copies of parameters, to put them back later."""
    params = dict(model.named_parameters())
    return {name: params[name].detach().clone() for name in names}


@contextmanager
def swapped(model: nn.Module, values: Mapping[str, Tensor]) -> Iterator[None]:
    """Other values in these parameters for the length of a `with` block.

    Of a parameter that is cut over processes, the values are of the part that is here.
    """
    params = dict(model.named_parameters())
    cut: dict[str, Any] = {name: params[name].detach() for name in values if hasattr(params[name], "to_local")}
    parts: dict[str, Tensor] = {name: whole.to_local() for name, whole in cut.items()}
    held = {name: parts[name].clone() if name in parts else params[name].data for name in values}

    def put(found: Mapping[str, Tensor]) -> None:
        for name, value in found.items():
            if name in parts:
                parts[name].copy_(value)
            else:
                params[name].data = value

    try:
        put(values)
        yield
    finally:
        put(held)


def replace_module(model: nn.Module, path: str, module: nn.Module) -> nn.Module:
    """Put a module at a dotted path; gives the one that stood there."""
    parent_path, _, name = path.rpartition(".")
    parent = model.get_submodule(parent_path)
    old = getattr(parent, name)
    setattr(parent, name, module)
    return old  # type: ignore[no-any-return]


def placed(module: nn.Module, device: torch.device) -> nn.Module:
    """The module on that device; one that is there is left alone."""
    return module if all(p.device == device for p in module.parameters()) else module.to(device)


def transposed(module: nn.Module) -> bool:
    """Whether it is a linear layer that keeps its weight as (in, out): GPT-2's."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Conv1D)


@torch.no_grad()
def is_linear(module: nn.Module) -> bool:
    """Whether it gives x Wᵀ + b and nothing else: a router that is written as a linear layer gives more."""
    if type(module) is nn.Linear or transposed(module):
        return True
    if not isinstance(module, nn.Linear):
        return False
    x = torch.ones(1, 2, module.in_features, dtype=module.weight.dtype, device=module.weight.device)
    try:
        given = module(x)
    except Exception as error:  # it wants more than x
        if is_our_fault(error):
            raise
        return False
    want = F.linear(x, module.weight, module.bias)
    return isinstance(given, Tensor) and given.shape == want.shape and torch.allclose(given, want, rtol=1e-2, atol=1e-2)


def _read_directly(blocks: nn.ModuleList, name: str) -> bool:
    """Whether kernels read the layer's weight past its forward pass: a state-space mixer's, all but its way in.

    What stands in such a layer's place would do nothing on a GPU with those kernels; PEFT refuses it, too.
    """
    parent, _, last = name.rpartition(".")
    mixer = blocks.get_submodule(parent)
    return hasattr(mixer, "A_log") and hasattr(mixer, "D") and not last.startswith("in_proj")


def matrix_of(module: nn.Module) -> Tensor:
    """A linear layer's weight, or a view of it, as (out, in)."""
    weight: Tensor = module.weight  # type: ignore[assignment]
    return weight.T if transposed(module) else weight


def matrix_shape(module: nn.Module) -> tuple[int, int]:
    """Outputs and inputs of a linear layer, whatever its weight is kept as."""
    if isinstance(module, nn.Linear):
        return module.out_features, module.in_features
    out, width = matrix_of(module).shape
    return out, width


def linear_paths(model: nn.Module, stacks: Sequence[nn.ModuleList], targets: str) -> list[str]:
    """Dotted paths of the blocks' linear layers that match `targets`: "all", or a regular expression.

    It must match the last name (`q_proj|v_proj`) or, where it has an escaped dot, the whole path (`.*\\.0\\.mlp\\..*`).
    """
    found = [
        f"{path_of(model, blocks)}.{name}"
        for blocks in stacks
        for name, module in blocks.named_modules()
        if is_linear(module) and not _read_directly(blocks, name)
    ]
    if targets == "all":
        return found
    try:
        pattern = re.compile(targets)
    except re.error as error:
        raise LuthierError(f"patch.targets: {targets!r} is not a regular expression ({error})") from None
    seen = {path: path if r"\." in targets else path.rsplit(".", 1)[1] for path in found}
    if chosen := [path for path in found if pattern.fullmatch(seen[path])]:
        return chosen
    names = list(dict.fromkeys(seen.values()))
    known = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    raise LuthierError(f"patch.targets: {targets!r} matches none of the linear layers {known}")


def path_of(model: nn.Module, module: nn.Module) -> str:
    """Dotted path of a module inside the model."""
    return str(next(name for name, found in model.named_modules() if found is module))


def untie_head(model: nn.Module) -> Tensor | None:
    """Give a tied vocabulary head a weight of its own; gives the shared one to put back, None if it was not tied."""
    head = model.get_output_embeddings()  # type: ignore[operator]
    if head.weight is not model.get_input_embeddings().weight:  # type: ignore[operator]
        return None
    shared = head.weight
    head.weight = nn.Parameter(shared.detach().clone(), requires_grad=False)
    return shared  # type: ignore[no-any-return]


def total(tensors: Iterable[Tensor]) -> int:
    """How many numbers the tensors hold."""
    return sum(t.numel() for t in tensors)


def untouched(lm: TrainableLM, replaced: Mapping[str, Any]) -> list[str]:
    """A sentence where the replaced layers leave out a hundredth or more of the numbers in the blocks' matrices.

    Experts that a model holds as one tensor are no layers, and what kernels read directly is left alone.
    """
    reached = sum(matrix_of(base).numel() for base in replaced.values())
    inside = tuple(f"{path}." for path in replaced)
    sizes: dict[str, int] = {}
    for blocks in lm.stacks:
        prefix = path_of(lm.model, blocks)
        for name, p in blocks.named_parameters():
            if p.dim() > 1 and not f"{prefix}.{name}".startswith(inside):
                place = re.sub(r"^\d+\.", "", name).removesuffix(".weight")
                sizes[place] = sizes.get(place, 0) + p.numel()
    left = sum(sizes.values())
    if left < 0.01 * (reached + left):
        return []
    most = sorted(sizes, key=lambda place: -sizes[place])[:3]
    return [say("said_untouched", share=f"{left / (reached + left):.0%}", places=", ".join(most))]
