"""Every weight trains.

The plain way to fine-tune: nothing is frozen, a head tied to the embedding trains with it. Ships as a whole model.
Source: common practice since Howard & Ruder 2018 and Devlin et al. 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from luthier.models.surgery import kept_weights, swapped
from luthier.protocols import ParamGroup, Patch

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.causal import CausalLM

extras = ()


@dataclass(frozen=True)
class Full(Patch):
    """weight_decay: AdamW's, on matrices only."""

    weight_decay: float = 0.0
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (2e-5, 5e-5, 1e-4)
    save_as: ClassVar[Literal["adapter", "model"]] = "model"

    def attach(self, lm: CausalLM) -> list[ParamGroup]:
        names = [n for n, _ in lm.model.named_parameters() if not n.startswith("label_head.")]
        self._kept.update(kept_weights(lm.model, names))
        params = dict(lm.model.named_parameters())
        matrices = [n for n in names if params[n].dim() > 1]
        vectors = [n for n in names if params[n].dim() <= 1]
        return [ParamGroup(matrices, weight_decay=self.weight_decay), ParamGroup(vectors)]

    def detach(self, lm: CausalLM) -> None:
        params = dict(lm.model.named_parameters())
        for name, value in self._kept.items():
            params[name].data.copy_(value)
            params[name].requires_grad_(False)
        self._kept.clear()

    @contextmanager
    def off(self, lm: CausalLM) -> Iterator[None]:
        with swapped(lm.model, self._kept):
            yield

    def merge(self, lm: CausalLM) -> bool:
        return True

    def export(self, lm: CausalLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {n: p.detach() for n, p in lm.model.named_parameters() if n in self._kept}, {}

    def load(self, lm: CausalLM, tensors: Mapping[str, Tensor]) -> None:
        params = dict(lm.model.named_parameters())
        for name, tensor in tensors.items():
            params[name].data.copy_(tensor)


METHOD = Full
