"""Low-rank updates (LoRA) over a base that is held in 4 bits.

Every linear layer of the blocks is rounded to NormalFloat (NF4) with double quantisation when the patch is attached;
those that `targets` names get A and B. What is trained fits the rounded base: `merge` writes the rounded weights plus
the update into full-precision layers, which says the same as the run (with a compute type of its own: up to that type's
rounding). The adapter file is a plain LoRA in PEFT's layout. The layers as they were are kept (in the main memory,
where the model is on a GPU) and put back at the end.
Source: Dettmers et al. 2023, "QLoRA".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from luthier.core.methods import ParamGroup, Patch
from luthier.models.layers.peft_files import module_paths, target_modules
from luthier.models.layers.surgery import linear_paths, matrix_of
from luthier.patches.lora import Lora

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from luthier.models.base import TrainableLM
    from luthier.models.layers.lowrank import LoraLinear
    from luthier.models.layers.nf4 import Nf4Linear

extras = ("bitsandbytes",)


@dataclass(frozen=True)
class Qlora(Lora):
    """rank, alpha, targets, dropout, rank_stabilised, dora, start: as in lora.

    quant: nf4 (quantiles of a normal distribution) or fp4 (floating point). double_quant: the scales of blocks are held
    in 8 bits, too. compute_type: of the frozen products; "" is the model's own, else the update stands beside them.
    """

    rank: int = 64
    quant: Literal["nf4", "fp4"] = "nf4"
    double_quant: bool = True
    compute_type: Literal["", "float32", "bfloat16", "float16"] = ""

    identity: ClassVar[bool] = False  # rounding changes the base before the first step
    learning_rates: ClassVar[tuple[float, ...]] = (1e-4, 2e-4, 5e-4)

    def rounded(self, layer: nn.Module) -> Nf4Linear:
        """The layer in 4 bits."""
        import torch

        from luthier.models.layers.nf4 import Nf4Linear

        compute = getattr(torch, self.compute_type) if self.compute_type else None
        return Nf4Linear(layer, self.quant, self.double_quant, compute)

    def layer(self, base: nn.Module) -> LoraLinear:
        from luthier.models.layers.lowrank import ApartDora, ApartLora

        if getattr(base, "compute", None) is None:
            return super().layer(base)
        made = (ApartDora if self.dora else ApartLora)(base, self.rank, self.scale, self.start)
        made.dropout = self.dropout
        return made

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        chosen = set(linear_paths(lm.model, lm.stacks, self.targets))
        names = []
        for path in linear_paths(lm.model, lm.stacks, "all"):
            rounded = self.rounded(lm.model.get_submodule(path))
            names += self.wrap(lm, path, self.layer(rounded) if path in chosen else rounded)
        self._put("cpu")
        return [ParamGroup(names)]

    def _put(self, device: torch.device | str) -> None:
        """Move the full-precision weights that are not in use; the parameters stay the same objects."""
        for base in self._kept.values():
            base.weight.data = base.weight.data.to(device)

    def detach(self, lm: TrainableLM) -> None:
        self._put(lm.device)
        super().detach(lm)

    @contextmanager
    def off(self, lm: TrainableLM) -> Iterator[None]:
        self._put(lm.device)
        try:
            with super().off(lm):
                yield
        finally:
            self._put("cpu")

    def merge(self, lm: TrainableLM) -> bool:
        self._put(lm.device)
        return super().merge(lm)

    def export(self, lm: TrainableLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, config = super().export(lm)
        return tensors, config | {"target_modules": target_modules(lm.model, module_paths(tensors, "lora_A.weight"))}

    def base_bytes(self, lm: TrainableLM) -> tuple[int, int]:
        from luthier.models.layers.nf4 import linear_bytes

        return linear_bytes(lm.stacks)

    def prepare(self, model: nn.Module) -> None:
        for path in self._kept:
            layer = model.get_submodule(path)
            matrix_of(layer).data.copy_(self.rounded(layer).weight)

    def unrounded(self) -> Patch:
        return Lora(**{f.name: getattr(self, f.name) for f in dataclasses.fields(Lora) if f.init})


METHOD = Qlora
