"""Learned vectors that scale keys, values and the feed-forward part's inner activations.

They start at one, so the adapted model is the base at first, and fold into weights and biases exactly. Of a projection
that makes queries, keys and values at once only the keys' and values' part is scaled. Saved in PEFT's layout.
Source: Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.errors import LuthierError
from luthier.core.methods import ParamGroup
from luthier.core.phrases import say
from luthier.models.layers.peft_files import PREFIX, module_paths, take, target_modules
from luthier.models.layers.replaced import ReplacingPatch

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.training.context import Context

extras = ()


@dataclass(frozen=True)
class Ia3(ReplacingPatch):
    """outputs: layers whose outputs are scaled: key_value, none, or a regular expression on names as LoRA's targets.

    inputs: layers whose inputs are: ffn (the feed-forward part's last), none, or a regular expression.
    """

    outputs: str = "key_value"
    inputs: str = "ffn"
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (1e-2, 3e-2, 1e-1)
    peft_type: ClassVar[str] = "IA3"

    @classmethod
    def from_peft(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Ia3:
        import re

        named: dict[bool, list[str]] = {True: [], False: []}
        for path in module_paths(tensors, "ia3_l"):
            named[len(tensors[f"{PREFIX}{path}.ia3_l"]) == 1].append(re.escape(path))
        return cls(outputs="|".join(named[False]) or "none", inputs="|".join(named[True]) or "none")

    def refuses(self, ctx: Context) -> str | None:
        from luthier.models.layers.sites import lacking

        if self.outputs == self.inputs == "none":
            return say("said_refused_nothing")
        if (
            self.outputs == "key_value"
            and lacking(ctx.policy.model, "key", "value")
            and lacking(ctx.policy.model, "fused")
        ):
            return lacking(ctx.policy.model, "key", "value")
        return lacking(ctx.policy.model, "ffn_out") if self.inputs == "ffn" else None

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        from luthier.models.layers.bottleneck import ScaledInput, ScaledOutput
        from luthier.models.layers.surgery import matrix_shape

        names = []
        outputs, inputs = self._outputs(lm), self._inputs(lm)
        if both := sorted(outputs.keys() & set(inputs)):
            raise LuthierError(f"patch.outputs and patch.inputs both name {both[0]}: a layer has one vector")
        for path, size in outputs.items():
            names += self.wrap(lm, path, ScaledOutput(lm.model.get_submodule(path), size))
        for path in inputs:
            base = lm.model.get_submodule(path)
            names += self.wrap(lm, path, ScaledInput(base, matrix_shape(base)[1]))
        return [ParamGroup(names)]

    def _outputs(self, lm: TrainableLM) -> dict[str, int]:
        """Paths of the layers whose last outputs are scaled, and how many these are."""
        from luthier.models.layers.sites import sites
        from luthier.models.layers.surgery import linear_paths, matrix_shape

        if self.outputs == "key_value":
            found = sites(lm, "key", "value", "fused")
        elif self.outputs == "none":
            return {}
        else:
            found = dict.fromkeys(linear_paths(lm.model, lm.stacks, self.outputs), "value")
        sizes = {}
        for path, role in found.items():
            out = matrix_shape(lm.model.get_submodule(path))[0]
            sizes[path] = out - _query_size(lm.model.config, out) if role == "fused" else out
        return sizes

    def _inputs(self, lm: TrainableLM) -> list[str]:
        from luthier.models.layers.sites import sites
        from luthier.models.layers.surgery import linear_paths

        if self.inputs == "ffn":
            return list(sites(lm, "ffn_out"))
        return [] if self.inputs == "none" else linear_paths(lm.model, lm.stacks, self.inputs)

    def merge(self, lm: TrainableLM) -> bool:
        from luthier.models.layers.bottleneck import ScaledOutput
        from luthier.models.layers.surgery import matrix_of, replace_module

        for path, base in self._kept.items():
            wrapped: Any = lm.model.get_submodule(path)
            matrix = matrix_of(base).data
            if isinstance(wrapped, ScaledOutput):
                scale = wrapped.whole().detach().to(matrix.dtype)
                matrix.mul_(scale[:, None])
                if base.bias is not None:
                    base.bias.data.mul_(scale)
            else:
                matrix.mul_(wrapped.scale.detach().to(matrix.dtype))
            replace_module(lm.model, path, base)
        self._kept.clear()
        return True

    def _parts(self, lm: TrainableLM) -> dict[str, Tensor]:
        """The vectors by PEFT's names and in its shapes: (out, 1) of an output, (1, in) of an input."""
        from luthier.models.layers.bottleneck import ScaledOutput

        found = {}
        for path in self._kept:
            wrapped: Any = lm.model.get_submodule(path)
            scaled = wrapped.whole()[:, None] if isinstance(wrapped, ScaledOutput) else wrapped.scale[None]
            found[f"{PREFIX}{path}.ia3_l"] = scaled.detach()
        return found

    def export(self, lm: TrainableLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        from luthier.models.layers.surgery import transposed

        tensors = self._parts(lm)
        inputs = [path for path in self._kept if len(tensors[f"{PREFIX}{path}.ia3_l"]) == 1]
        modules = target_modules(lm.model, self._kept)
        if {p.rsplit(".", 1)[1] for p in inputs} & {p.rsplit(".", 1)[1] for p in self._kept.keys() - set(inputs)}:
            modules = sorted(self._kept)  # a last name that is scaled at its input here and at its output there
        config = {
            "peft_type": Ia3.peft_type,
            "task_type": lm.peft_task,
            "target_modules": modules,
            "feedforward_modules": [m for m in modules if any(f".{path}".endswith(f".{m}") for path in inputs)],
            "fan_in_fan_out": any(transposed(base) for base in self._kept.values()),
        }
        return tensors, config

    def load(self, lm: TrainableLM, tensors: Mapping[str, Tensor]) -> None:
        whole = {name: t.clone() for name, t in self._parts(lm).items()}
        take(whole, tensors)
        for path in self._kept:
            scale: Tensor = lm.model.get_submodule(path).scale  # type: ignore[assignment]
            scale.data.copy_(whole[f"{PREFIX}{path}.ia3_l"].flatten()[-len(scale) :])


def _query_size(config: Any, out: int) -> int:
    """Outputs of a fused projection that are the query: what is left beside keys and values."""
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    return int(out * heads // (heads + 2 * kv_heads))


METHOD = Ia3
