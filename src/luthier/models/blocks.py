"""A model's blocks, run in part: what a block is given, what it gives, and the upper blocks alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from luthier.models.layers.surgery import path_of, replace_module

NAMES = ("layers", "h", "blocks", "layer", "block")
HOLDERS = ("encoder", "decoder", "transformer")  # of a model that does not hold its blocks itself


class _Reached(Exception):  # noqa: N818
    """Ends a forward pass at the first block that is not needed."""


def find_blocks(module: nn.Module) -> nn.ModuleList | None:
    """The list of blocks, lowest first, that a model or its encoder holds under one of the usual names."""
    for holder in (module, *(getattr(module, name, None) for name in HOLDERS)):
        for name in NAMES:
            if isinstance(found := getattr(holder, name, None), nn.ModuleList):
                return found
    return None


def input_of(block: nn.Module, run: Callable[[], object]) -> Tensor:
    """The hidden states that `run` brings to this block, where it ends."""
    caught: list[Tensor] = []
    here = threading.get_ident()

    def stop(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if threading.get_ident() != here:  # another thread's pass through the same model
            return
        caught.append(args[0] if args else kwargs["hidden_states"])
        raise _Reached

    handle = block.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        run()
    except _Reached:
        pass
    finally:
        handle.remove()
    return caught[0]


@contextmanager
def outputs_of(blocks: nn.ModuleList, depths: Collection[int]) -> Iterator[dict[int, Tensor]]:
    """What the blocks give in the last forward pass, by how many blocks that is (1 is the lowest one)."""
    found: dict[int, Tensor] = {}
    here = threading.get_ident()

    def keep(depth: int) -> Any:
        def hook(_module: object, _args: object, output: Any) -> None:
            if threading.get_ident() == here:  # not another thread's pass through the same model
                found[depth] = output if isinstance(output, Tensor) else output[0]

        return blocks[depth - 1].register_forward_hook(hook)

    handles = [keep(depth) for depth in depths]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def upper_only(model: nn.Module, blocks: nn.ModuleList, cut: int, states: Tensor) -> Iterator[None]:
    """The model without its lowest `cut` blocks, the first that is left being given `states` (B, T, d).

    What the model puts before its blocks (positions, norms) is thereby left out: `states` have been through it.
    """

    path = path_of(model, blocks)
    handle = blocks[cut].register_forward_pre_hook(_put(states), with_kwargs=True)
    replace_module(model, path, blocks[cut:])
    try:
        yield
    finally:
        replace_module(model, path, blocks)
        handle.remove()


NORMS = ("norm", "final_layernorm", "ln_f", "norm_f", "final_layer_norm", "final_norm")


def final_norm(module: nn.Module) -> str | None:
    """The name of the norm behind a model's blocks; None where it has none of the usual ones."""
    return next((name for name in NORMS if isinstance(getattr(module, name, None), nn.Module)), None)


@contextmanager
def part_only(
    model: nn.Module, blocks: nn.ModuleList, between: tuple[int, int], states: Tensor | None
) -> Iterator[None]:
    """The model with some of its blocks alone; the norm behind the last one is of the part that has that one.

    states: (B, T, d) in place of what the model brings to its first block.
    """
    low, high = between
    path, norm = path_of(model, blocks), final_norm(model)
    handles = [blocks[low].register_forward_pre_hook(_put(states), with_kwargs=True)] if states is not None else []
    replace_module(model, path, blocks[low:high])
    held = replace_module(model, norm, nn.Identity()) if norm and high < len(blocks) else None
    try:
        yield
    finally:
        replace_module(model, path, blocks)
        if norm and held is not None:
            replace_module(model, norm, held)
        for handle in handles:
            handle.remove()


def _put(states: Tensor) -> Any:
    """A hook that gives a block these states."""

    def put(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})

    return put
