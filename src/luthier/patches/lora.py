"""Low-rank updates beside frozen matrices: y = W x + s · B A x.

A (r, in) starts random, B (out, r) at zero, so the adapted model is the base at first. For the training step B·A is
folded into the weight: one product forward and one back for the input, as without LoRA, and rank-r products for the
gradients of A and B. Saved in PEFT's layout. Source: Hu et al. 2021, "LoRA"; rank-stabilised scale: Kalajdzievski 2023;
magnitude and direction apart: Liu et al. 2024, "DoRA".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from luthier.core.methods import ParamGroup
from luthier.core.phrases import say
from luthier.models.layers.peft_files import as_targets, module_paths, only, take, target_modules
from luthier.models.layers.replaced import ReplacingPatch
from luthier.models.layers.surgery import linear_paths, transposed, untouched

if TYPE_CHECKING:
    from torch import Tensor, nn

    from luthier.models.base import TrainableLM
    from luthier.models.layers.lowrank import LoraLinear
    from luthier.training.context import Context

extras = ()
# forms of PEFT's that change more than A and B, or the base
UNREAD: Mapping[str, tuple[Any, ...]] = {
    "init_lora_weights": (True, False, "gaussian", "orthogonal", "eva"),
    "layer_replication": (),
    "target_parameters": (),
    "alora_invocation_tokens": (),
    "use_qalora": (False,),
    "use_bdlora": (),
    "arrow_config": (),
    "kasa_config": (),
    "monteclora_config": (),
}
Start = Literal["gauss_zero", "gauss_gauss", "zero_zero", "zero_gauss"]
PARTS = {"lora_A.weight": "a", "lora_B.weight": "b", "lora_magnitude_vector": "m"}  # PEFT's names of our parameters


@dataclass(frozen=True)
class Lora(ReplacingPatch):
    """rank: r. alpha: 2r unless given; s = alpha / r.

    targets: "all" linear layers of the blocks, or a regular expression on names (on paths, if it has an escaped dot).
    dropout: on the update's input, in training. rank_stabilised: s = alpha / √r. dora: lengths of rows train apart.
    start: how A and B begin; other than gauss_zero only to study the beginning itself.
    """

    rank: int = 8
    alpha: float | None = None
    targets: str = "all"
    dropout: float = 0.0
    rank_stabilised: bool = False
    dora: bool = False
    start: Start = "gauss_zero"
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (5e-4, 1e-3, 3e-3)
    peft_type: ClassVar[str] = "LORA"

    @classmethod
    def from_peft(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Lora:
        only(config, bias=("none",), lora_bias=(False,), rank_pattern=(), alpha_pattern=(), **UNREAD)
        return cls(
            rank=config["r"],
            alpha=config["lora_alpha"],
            targets=as_targets(module_paths(tensors, "lora_A.weight"), config),
            dropout=config.get("lora_dropout") or 0.0,
            rank_stabilised=bool(config.get("use_rslora")),
            dora=bool(config.get("use_dora")),
        )

    @property
    def scale(self) -> float:
        """alpha / r or alpha / √r, alpha being 2r unless given."""
        alpha = 2.0 * self.rank if self.alpha is None else self.alpha
        return float(alpha / (self.rank**0.5 if self.rank_stabilised else self.rank))

    def refuses(self, ctx: Context) -> str | None:
        if not 0 <= self.dropout < 1:
            return say("said_refused_dropout", value=self.dropout)
        return None if self.rank > 0 else say("said_refused_least", name="rank", least=1, value=self.rank)

    def layer(self, base: nn.Module) -> LoraLinear:
        """The layer that takes this one's place."""
        from luthier.models.layers.lowrank import DoraLinear, DroppedDora, DroppedLora, LoraLinear

        if not self.dropout:
            return (DoraLinear if self.dora else LoraLinear)(base, self.rank, self.scale, self.start)
        dropped = (DroppedDora if self.dora else DroppedLora)(base, self.rank, self.scale, self.start)
        dropped.dropout = self.dropout
        return dropped

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        names = []
        for path in linear_paths(lm.model, lm.stacks, self.targets):
            names += self.wrap(lm, path, self.layer(lm.model.get_submodule(path)))
        return [ParamGroup(names)]

    def notes(self, lm: TrainableLM) -> list[str]:
        return untouched(lm, self._kept) if self.targets == "all" else []

    def merge(self, lm: TrainableLM) -> bool:
        return self.into_bases(lm)

    def _parts(self, lm: TrainableLM) -> dict[str, Tensor]:
        """Our parameters by PEFT's names."""
        found = {}
        for path in self._kept:
            layer = lm.model.get_submodule(path)
            for theirs, name in PARTS.items():
                if hasattr(layer, name):
                    found[f"base_model.model.{path}.{theirs}"] = getattr(layer, name).detach()
        return found

    def export(self, lm: TrainableLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        config = {
            "peft_type": Lora.peft_type,
            "task_type": lm.peft_task,
            "r": self.rank,
            "lora_alpha": 2 * self.rank if self.alpha is None else self.alpha,
            "lora_dropout": self.dropout,
            "use_rslora": self.rank_stabilised,
            "use_dora": self.dora,
            "fan_in_fan_out": any(transposed(base) for base in self._kept.values()),
            "bias": "none",
            "target_modules": target_modules(lm.model, self._kept),
        }
        return self._parts(lm), config

    def load(self, lm: TrainableLM, tensors: Mapping[str, Tensor]) -> None:
        take(self._parts(lm), tensors)


METHOD = Lora
