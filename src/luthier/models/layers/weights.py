"""What patches share that train weights of the model itself: keep them aside, put them back, save what they became."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from luthier.core.methods import Patch
from luthier.models.layers.surgery import kept_weights, swapped

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM


class WeightPatch(Patch):
    """A patch whose change is new values of parameters by name: the old ones stand in `_kept["weights"]`."""

    _kept: dict[str, Any]

    def keep(self, lm: TrainableLM, names: Iterable[str]) -> None:
        """Copy the parameters that are about to train."""
        self._kept["weights"] = kept_weights(lm.model, names)

    def _weights(self) -> Mapping[str, Tensor]:
        weights: Mapping[str, Tensor] = self._kept.get("weights", {})
        return weights

    def detach(self, lm: TrainableLM) -> None:
        params = dict(lm.model.named_parameters())
        for name, value in self._weights().items():
            params[name].data.copy_(value)
            params[name].requires_grad_(False)
        if self._kept.get("tied") is not None:  # what `surgery.untie_head` gave
            lm.model.get_output_embeddings().weight = self._kept["tied"]
        self._kept.clear()

    def kept_as(self, change: Callable[[str, Tensor], Tensor]) -> None:
        self._kept["weights"] = {name: change(name, value) for name, value in self._weights().items()}

    @contextmanager
    def off(self, lm: TrainableLM) -> Iterator[None]:
        with swapped(lm.model, self._weights()):
            yield

    def export(self, lm: TrainableLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {n: p.detach() for n, p in lm.model.named_parameters() if n in self._weights()}, {}
