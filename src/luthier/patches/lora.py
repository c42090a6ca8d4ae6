"""Low-rank updates beside frozen matrices: y = W x + (alpha / r) B A x.

A (r, in) starts random, B (out, r) at zero, so the adapted model is the base at first. For the training step B·A is
folded into the weight: one product forward and one back for the input, as without LoRA, and rank-r products for the
gradients of A and B. Saved in PEFT's layout. Source: Hu et al. 2021, "LoRA".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.models.replaced import ReplacingPatch
from luthier.models.surgery import linear_paths, matrix_of, replace_module, transposed
from luthier.protocols import Objective, ParamGroup

if TYPE_CHECKING:
    from torch import Tensor, nn

    from luthier.models.base import BaseLM

extras = ()


@dataclass(frozen=True)
class Lora(ReplacingPatch):
    """rank: r. alpha: 2r unless given. targets: "all" linear layers of the blocks, or a regular expression on names."""

    rank: int = 8
    alpha: float | None = None
    targets: str = "all"
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (5e-4, 1e-3, 3e-3)

    @property
    def scale(self) -> float:
        """alpha / r, alpha being 2r unless given."""
        return (2.0 * self.rank if self.alpha is None else self.alpha) / self.rank

    def refuses(self, model: nn.Module, objective: Objective) -> str | None:
        return None if self.rank > 0 else f"rank must be at least 1, not {self.rank}"

    def attach(self, lm: BaseLM) -> list[ParamGroup]:
        from luthier.models.lowrank import LoraLinear

        names = []
        for path in linear_paths(lm.model, lm.stacks, self.targets):
            names += self.wrap(lm, path, LoraLinear(lm.model.get_submodule(path), self.rank, self.scale))
        return [ParamGroup(names)]

    def merge(self, lm: BaseLM) -> bool:
        for path, base in self._kept.items():
            wrapped: Any = lm.model.get_submodule(path)
            matrix_of(base).data.copy_(wrapped.folded())
            replace_module(lm.model, path, base)
        self._kept.clear()
        return True

    def export(self, lm: BaseLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors: dict[str, Tensor] = {}
        for path in self._kept:
            wrapped: Any = lm.model.get_submodule(path)
            tensors[f"base_model.model.{path}.lora_A.weight"] = wrapped.a.detach()
            tensors[f"base_model.model.{path}.lora_B.weight"] = wrapped.b.detach()
        config = {
            "peft_type": "LORA",
            "task_type": lm.peft_task,
            "r": self.rank,
            "lora_alpha": self.scale * self.rank,
            "lora_dropout": 0.0,
            "fan_in_fan_out": any(transposed(base) for base in self._kept.values()),
            "bias": "none",
            "target_modules": sorted({path.rsplit(".", 1)[1] for path in self._kept}),
        }
        return tensors, config

    def load(self, lm: BaseLM, tensors: Mapping[str, Tensor]) -> None:
        for path in self._kept:
            wrapped: Any = lm.model.get_submodule(path)
            wrapped.a.data.copy_(tensors[f"base_model.model.{path}.lora_A.weight"])
            wrapped.b.data.copy_(tensors[f"base_model.model.{path}.lora_B.weight"])


METHOD = Lora
