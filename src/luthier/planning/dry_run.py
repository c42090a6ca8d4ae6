"""A dry run: torch's operations on tensors that have shapes and no numbers, with what they would take.

Counted are operations by their shapes, their arithmetic, and the bytes that are alive, at their peak in each phase.
What a program asks of a number (a loss, whether two tensors are equal) is answered by one, and true.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

ATTENTION = "aten::_scaled_dot_product_flash_attention_for_cpu"


@dataclass(frozen=True)
class Shape:
    """A tensor without its numbers."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Operation:
    """One call, by what it is given: tensors as shapes. flops: additions and multiplications. moved: bytes read and
    written."""

    func: Callable[..., Any]
    args: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...]
    flops: float
    moved: int


class DryRun(TorchDispatchMode):
    """Inside this `with` block tensors are made without numbers.

    done: how often each operation was done, by phase. live: bytes of all tensors now. peaks: their most, by phase.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.phase = ""
        self.done: dict[str, Counter[Operation]] = {}
        self.peaks: dict[str, int] = {}
        self.live = 0
        self._held: dict[int, Any] = {}
        self._asked = 0

    def __enter__(self) -> Self:
        self.fake.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.fake.__exit__(*error)

    def enter(self, phase: str) -> None:
        """What follows belongs to this phase."""
        self.phase = phase
        self.peaks[phase] = max(self.peaks.get(phase, 0), self.live)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options, name = kwargs or {}, func.name()
        if name.startswith("prim::"):
            return func(*args, **options)
        if name == "aten::_local_scalar_dense":
            return self._number(args[0].dtype)
        if name in ("aten::equal", "aten::allclose"):
            return True
        if name.startswith("mkldnn::_linear_pointwise"):  # has no shapes of its own
            weight = args[2] if name.endswith("binary") else args[1]
            out = args[0].new_empty((*args[0].shape[:-1], len(weight)))
        else:
            out = func(*args, **options)
        if not func.is_view:
            self._count(func, args, options, out)
        self._hold(out)
        return out

    def _number(self, dtype: torch.dtype) -> float | bool:
        """Of numbers that are compared no two are equal."""
        self._asked += 1
        return True if dtype is torch.bool else 1 + 1e-9 * self._asked if dtype.is_floating_point else 1

    def _count(self, func: Any, args: Sequence[Any], options: Mapping[str, Any], out: Any) -> None:
        given = tuple(map(_shaped, args))
        more = tuple((name, _shaped(value)) for name, value in options.items())
        moved = sum(map(_bytes, args)) + sum(map(_bytes, options.values())) + _bytes(out)
        made = Operation(func, given, more, _flops(func, args, options, out), moved)
        self.done.setdefault(self.phase, Counter())[made] += 1

    def _hold(self, out: Any) -> None:
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if not isinstance(tensor, Tensor):
                continue
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key not in self._held:
                self._held[key] = weakref.ref(storage, partial(self._gone, key, storage.nbytes()))
                self.live += storage.nbytes()
                self.peaks[self.phase] = max(self.peaks.get(self.phase, 0), self.live)

    def _gone(self, key: int, size: int, _reference: Any) -> None:
        if self._held.pop(key, None) is not None:
            self.live -= size


def _shaped(value: Any) -> Any:
    if isinstance(value, Tensor):
        return Shape(tuple(value.shape), tuple(value.stride()), value.dtype)
    if isinstance(value, list | tuple):
        return tuple(map(_shaped, value))
    return value


def _bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    return sum(map(_bytes, value)) if isinstance(value, list | tuple) else 0


def _flops(func: Any, args: Sequence[Any], options: Mapping[str, Any], out: Any) -> float:
    """Of products and attention; other operations are bound by memory."""
    name = func.name()
    if name.startswith("mkldnn::_linear_pointwise"):
        weight = args[2] if name.endswith("binary") else args[1]
        return float(2 * args[0].numel() * len(weight))
    if name.startswith(ATTENTION):
        back = name.endswith("backward")
        q, k, v = args[1:4] if back else args[:3]
        ordered = args[7] if back else len(args) > 4 and args[4]
        once: float = 2 * q.numel() * k.shape[2] + 2 * q.shape[1] * q.shape[0] * q.shape[2] * k.shape[2] * v.shape[3]
        return once * (2.5 if back else 1.0) * (0.5 if ordered else 1.0)
    found = flop_registry.get(func.overloadpacket)
    return float(found(*args, **options, out_val=out)) if found else 0.0
