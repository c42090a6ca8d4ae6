"""LoRA whose rank goes where it is worth most: singular values of P Λ Q, pruned by importance.

P and Q are kept near orthogonal by a penalty. All matrices start at 1.5 times the final rank; after a warm-up a cubic
schedule cuts the total to rank times the number of matrices, and then who has it stays. Saved in PEFT's layout.
Source: Zhang et al. 2023, "AdaLoRA".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

from luthier.core.methods import ParamGroup
from luthier.core.phrases import say
from luthier.models.layers.peft_files import PREFIX, as_targets, module_paths, only, take, target_modules
from luthier.models.layers.replaced import ReplacingPatch
from luthier.models.layers.surgery import linear_paths, transposed

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.layers.adaptive import SvdLinear
    from luthier.training.context import Context

extras = ()
STEPS = 1000  # PEFT counts its schedule in steps; ours goes by shares of the budget


@dataclass(frozen=True)
class AdaLora(ReplacingPatch):
    """rank: the final average. first_rank: of every matrix at first, 1.5·rank unless given. alpha: 2·rank unless given.

    targets: as in lora. warmup, cooldown: shares of the budget before the pruning begins and after it ends.
    beta1, beta2: smoothing of the importance and of its uncertainty. orthogonal: weight of the penalty.
    """

    rank: int = 8
    first_rank: int | None = None
    alpha: float | None = None
    targets: str = "all"
    warmup: float = 0.1
    cooldown: float = 0.3
    beta1: float = 0.85
    beta2: float = 0.85
    orthogonal: float = 0.1
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (1e-3, 3e-3, 4e-3)
    peft_type: ClassVar[str] = "ADALORA"

    @classmethod
    def from_peft(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> AdaLora:
        only(config, bias=("none",), layer_replication=())
        steps = config["total_step"]
        return cls(
            rank=config["target_r"],
            first_rank=config["init_r"],
            alpha=config["lora_alpha"] if config["lora_alpha"] > 0 else config["init_r"],
            targets=as_targets(module_paths(tensors, "lora_A"), config),
            warmup=config["tinit"] / steps,
            cooldown=config["tfinal"] / steps,
            beta1=config["beta1"],
            beta2=config["beta2"],
            orthogonal=config["orth_reg_weight"],
        )

    @property
    def first(self) -> int:
        """Rank of every matrix before pruning."""
        return (3 * self.rank + 1) // 2 if self.first_rank is None else self.first_rank

    @property
    def scale(self) -> float:
        """alpha over the first rank, as PEFT has it."""
        return (2.0 * self.rank if self.alpha is None else self.alpha) / (self.first + 1e-5)

    def refuses(self, ctx: Context) -> str | None:
        if self.rank < 1 or self.first < self.rank:
            return say("said_refused_rank", rank=self.rank, first=self.first)
        if min(self.warmup, self.cooldown) < 0 or self.warmup + self.cooldown >= 1:
            return say("said_refused_warmup", warmup=self.warmup, cooldown=self.cooldown)
        return None

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        from luthier.models.layers.adaptive import SvdLinear

        names = []
        for path in linear_paths(lm.model, lm.stacks, self.targets):
            layer = SvdLinear(lm.model.get_submodule(path), self.first, self.scale, (self.beta1, self.beta2))
            names += self.wrap(lm, path, layer)
        # Adam moves every number by about the rate: a matrix like LoRA's B thereby by √d times that, Λ by no more
        return [
            ParamGroup([n for n in names if not n.endswith(".e")]),
            ParamGroup([n for n in names if n.endswith(".e")], lr_scale=lm.width**0.5),
        ]

    def _layers(self, lm: TrainableLM) -> list[SvdLinear]:
        return [cast("SvdLinear", lm.model.get_submodule(path)) for path in self._kept]

    def budget(self, progress: float, matrices: int) -> int:
        """Total rank of so many matrices when this share of the budget is spent: cubic from the first to the final."""
        turn = (progress - self.warmup) / (1 - self.warmup - self.cooldown)
        share = (1 - min(max(turn, 0.0), 1.0)) ** 3
        return round(matrices * (self.rank + (self.first - self.rank) * share))

    def penalty(self, lm: TrainableLM) -> Tensor | None:
        layers = self._layers(lm)
        return self.orthogonal / len(layers) * sum(layer.orthogonality() for layer in layers)  # type: ignore[return-value]

    def before_step(self, lm: TrainableLM, progress: float) -> None:
        from luthier.models.layers.adaptive import keep_best

        layers = self._layers(lm)
        for layer in layers:
            layer.importance.update()
        settled = progress > 1 - self.cooldown and sum(self.ranks(lm).values()) <= self.rank * len(layers)
        if progress >= self.warmup and not settled:
            keep_best(layers, self.budget(progress, len(layers)))

    def after_step(self, lm: TrainableLM) -> None:
        for layer in self._layers(lm):
            layer.prune()

    def ranks(self, lm: TrainableLM) -> dict[str, int]:
        """How many triplets each matrix has left, by its path."""
        return {path: int(layer.kept.sum()) for path, layer in zip(self._kept, self._layers(lm), strict=True)}

    def merge(self, lm: TrainableLM) -> bool:
        return self.into_bases(lm)

    def state(self, lm: TrainableLM) -> dict[str, Any]:
        return dict(self._remembered(lm))

    def load_state(self, lm: TrainableLM, state: Mapping[str, Any]) -> None:
        for name, tensor in self._remembered(lm).items():
            tensor.copy_(state[name])

    def _remembered(self, lm: TrainableLM) -> dict[str, Tensor]:
        found = {}
        for i, layer in enumerate(self._layers(lm)):
            found[f"{i}.kept"] = layer.kept
            found |= {f"{i}.{name}": tensor for name, tensor in layer.importance.tensors()}
        return found

    def _parts(self, lm: TrainableLM, ranks: Mapping[str, slice | Tensor]) -> dict[str, Tensor]:
        """The triplets of each path that are chosen, by PEFT's names; views of ours where they are slices."""
        found = {}
        for path, layer in zip(self._kept, self._layers(lm), strict=True):
            chosen = ranks[path]
            found[f"{PREFIX}{path}.lora_A"] = layer.a.detach()[chosen]
            found[f"{PREFIX}{path}.lora_B"] = layer.b.detach()[:, chosen]
            found[f"{PREFIX}{path}.lora_E"] = layer.e.detach()[chosen]
        return found

    def export(self, lm: TrainableLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        kept = {path: layer.kept for path, layer in zip(self._kept, self._layers(lm), strict=True)}
        config = {
            "peft_type": self.peft_type,
            "task_type": lm.peft_task,
            "init_r": self.first,
            "target_r": self.rank,
            "lora_alpha": self.scale * (self.first + 1e-5),
            "tinit": round(STEPS * self.warmup),
            "tfinal": round(STEPS * self.cooldown),
            "total_step": STEPS,
            "beta1": self.beta1,
            "beta2": self.beta2,
            "orth_reg_weight": self.orthogonal,
            "fan_in_fan_out": any(transposed(base) for base in self._kept.values()),
            "bias": "none",
            "target_modules": target_modules(lm.model, self._kept),
            "rank_pattern": {f"{path}.lora_E": mask.tolist() for path, mask in kept.items()},
        }
        return self._parts(lm, kept), config

    def load(self, lm: TrainableLM, tensors: Mapping[str, Tensor]) -> None:
        """Fill as many triplets as the tensors hold; the others count as pruned."""
        held = {path: len(tensors.get(f"{PREFIX}{path}.lora_E", ())) for path in self._kept}
        for path, layer in zip(self._kept, self._layers(lm), strict=True):
            layer.kept[:] = False
            layer.kept[: held[path]] = True
        take(self._parts(lm, {path: slice(rank) for path, rank in held.items()}), tensors)
        self.after_step(lm)


METHOD = AdaLora
