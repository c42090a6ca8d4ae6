"""Only bias vectors train; every weight matrix stays as it is.

All biases of the model train. Where linear layers of the blocks have none (Llama), biases of zero are added first, so
that the adapted model is the base at first. They can be merged only where the architecture's configuration knows such
biases (Llama's attention_bias and mlp_bias). Source: Ben Zaken et al. 2021, "BitFit".
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

from luthier.core.methods import ParamGroup
from luthier.models.labelling import HEADS_AT
from luthier.models.layers.surgery import linear_paths
from luthier.models.layers.weights import WeightPatch

if TYPE_CHECKING:
    from torch import nn

    from luthier.models.base import TrainableLM

extras = ()
SWITCHES = ("attention_bias", "mlp_bias")  # of transformers' configurations


@dataclass(frozen=True)
class Bitfit(WeightPatch):
    """targets: "all" linear layers of the blocks, or a regular expression on names, get a bias where they have none."""

    targets: str = "all"
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (1e-3, 3e-3, 1e-2)

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        import torch

        self._kept["added"] = []
        for path in linear_paths(lm.model, lm.stacks, self.targets):
            layer = cast("nn.Linear", lm.model.get_submodule(path))
            if layer.bias is None:
                zeros = torch.zeros(layer.out_features, dtype=layer.weight.dtype, device=layer.weight.device)
                layer.bias = torch.nn.Parameter(zeros, requires_grad=False)
                self._kept["added"].append(path)
        heads = (*HEADS_AT, "lm_head.")  # whoever made a label head trains it; what is in front of it is the model
        named = lm.model.named_parameters()
        biases = [n for n, p in named if n.endswith(".bias") and p.dim() == 1 and not n.startswith(heads)]
        self.keep(lm, biases)
        return [ParamGroup(biases)]

    def _added(self, lm: TrainableLM) -> list[Any]:
        return [lm.model.get_submodule(path) for path in self._kept.get("added", [])]

    def detach(self, lm: TrainableLM) -> None:
        added = self._added(lm)
        for name, value in self._kept.get("switches", {}).items():
            setattr(lm.model.config, name, value)
        super().detach(lm)
        for layer in added:
            layer.bias = None

    @contextmanager
    def off(self, lm: TrainableLM) -> Iterator[None]:
        held = [(layer, layer.bias) for layer in self._added(lm)]
        with ExitStack() as stack:
            stack.enter_context(super().off(lm))
            for layer, bias in held:  # taken away, not zero: a sum with zero may run another way
                layer.bias = None
                stack.callback(setattr, layer, "bias", bias)
            yield

    def merge(self, lm: TrainableLM) -> bool:
        """The biases are where they belong already; what is left is to say so in the model's configuration."""
        config = self._config(lm)
        if config is None:
            return False
        names = [name for name in SWITCHES if hasattr(config, name)]
        self._kept["switches"] = {name: getattr(lm.model.config, name) for name in names}
        for name in names:
            setattr(lm.model.config, name, getattr(config, name))
        return True

    def mergeable(self, lm: TrainableLM) -> bool:
        return self._config(lm) is not None

    def _config(self, lm: TrainableLM) -> Any:
        """A configuration whose architecture has exactly the model's biases, found by building it without memory."""
        import torch

        config: Any = lm.model.config
        if not self._kept.get("added"):
            return config
        names = [name for name in SWITCHES if hasattr(config, name)]
        wanted = {n for n, _ in lm.model.named_parameters() if not n.startswith(HEADS_AT)}
        for chosen in (names, *([name] for name in names)):
            candidate = copy.deepcopy(config)
            for name in chosen:
                setattr(candidate, name, True)
            with torch.device("meta"):
                built = type(lm.model)(candidate)
            if {n for n, _ in built.named_parameters()} == wanted:
                return candidate
        return None


METHOD = Bitfit
