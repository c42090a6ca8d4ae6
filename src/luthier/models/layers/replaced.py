"""What patches share that put modules in the place of others: put back, switched off, saved by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from luthier.core.methods import Patch
from luthier.models.layers.peft_files import take
from luthier.models.layers.surgery import matrix_of, replace_module

if TYPE_CHECKING:
    from torch import Tensor, nn

    from luthier.models.base import TrainableLM


class ReplacingPatch(Patch):
    """A patch that wraps modules: `_kept` holds what stood at each dotted path."""

    _kept: dict[str, Any]

    def wrap(self, lm: TrainableLM, path: str, module: nn.Module) -> list[str]:
        """Put a module at the path; gives the names of its parameters that are new."""
        base = replace_module(lm.model, path, module)
        self._kept[path] = base
        old = {id(p) for p in base.parameters()}
        return [f"{path}.{name}" for name, p in module.named_parameters() if id(p) not in old]

    def detach(self, lm: TrainableLM) -> None:
        for path, base in reversed(self._kept.items()):
            replace_module(lm.model, path, base)
        self._kept.clear()

    @contextmanager
    def off(self, lm: TrainableLM) -> Iterator[None]:
        held = {path: replace_module(lm.model, path, base) for path, base in self._kept.items()}
        try:
            yield
        finally:
            for path, module in held.items():
                replace_module(lm.model, path, module)

    def cut(self, lm: TrainableLM) -> int | None:
        """Blocks below the lowest one in which a module was wrapped; None where one lies outside the blocks."""
        if len(lm.stacks) > 1 or not self._kept:
            return None
        inside = {id(module): at for at, block in enumerate(lm.blocks) for module in block.modules()}
        places = [inside.get(id(lm.model.get_submodule(path))) for path in self._kept]
        return None if None in places else min(at for at in places if at is not None) or None

    def into_bases(self, lm: TrainableLM) -> bool:
        """Each base back in its place, with the weight (out, in) that its replacement's `folded()` gives."""
        for path, base in self._kept.items():
            wrapped: Any = replace_module(lm.model, path, base)
            matrix_of(base).data.copy_(wrapped.folded())
        self._kept.clear()
        return True

    def own(self, lm: TrainableLM) -> dict[str, Tensor]:
        """The new parameters by their full names."""
        old = {id(p) for base in self._kept.values() for p in base.parameters()}
        return {
            f"{path}.{name}": p.detach()
            for path in self._kept
            for name, p in lm.model.get_submodule(path).named_parameters()
            if id(p) not in old
        }

    def export(self, lm: TrainableLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return self.own(lm), {}

    def load(self, lm: TrainableLM, tensors: Mapping[str, Tensor]) -> None:
        take(self.own(lm), tensors)
