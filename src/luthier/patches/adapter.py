"""Small bottleneck layers inside every block: h + W_up GELU(W_down h).

On the output of attention and of the feed-forward part, before the residual sum (Houlsby); `after_ffn` only behind the
feed-forward part (Pfeiffer); `parallel` beside the feed-forward part, on its input. W_up starts at zero. Attention over
an encoder's states counts as attention.
Source: Houlsby et al. 2019; Pfeiffer et al. 2021; He et al. 2022, "Towards a Unified View".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from luthier.core.methods import ParamGroup
from luthier.core.phrases import say
from luthier.models.layers.replaced import ReplacingPatch
from luthier.models.layers.sites import Role

if TYPE_CHECKING:
    from torch import nn

    from luthier.models.base import TrainableLM
    from luthier.models.layers.bottleneck import Bottleneck
    from luthier.training.context import Context

extras = ()
Form = Literal["houlsby", "after_ffn", "parallel"]
SITES: Mapping[Form, tuple[Role, ...]] = {
    "houlsby": ("attention_out", "ffn_out"),
    "after_ffn": ("ffn_out",),
    "parallel": ("ffn_in", "ffn_out"),
}


@dataclass(frozen=True)
class Adapter(ReplacingPatch):
    """width: m, the bottleneck's size. form: houlsby, after_ffn or parallel."""

    width: int = 64
    form: Form = "houlsby"
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (3e-4, 1e-3, 3e-3)

    def refuses(self, ctx: Context) -> str | None:
        from luthier.models.layers.sites import lacking

        if self.width < 1:
            return say("said_refused_least", name="width", least=1, value=self.width)
        return lacking(ctx.policy.model, *SITES[self.form])

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        return [ParamGroup(_beside(self, lm) if self.form == "parallel" else _behind(self, lm))]

    def bottleneck(self, lm: TrainableLM, base: nn.Module) -> Bottleneck:
        """One for what this layer gives."""
        from luthier.models.layers.bottleneck import Bottleneck
        from luthier.models.layers.surgery import matrix_shape

        return Bottleneck(matrix_shape(base)[0], self.width, lm.device)


def _behind(patch: Adapter, lm: TrainableLM) -> list[str]:
    from luthier.models.layers.bottleneck import Behind
    from luthier.models.layers.sites import sites

    names = []
    for path in sites(lm, *SITES[patch.form]):
        base = lm.model.get_submodule(path)
        names += patch.wrap(lm, path, Behind(base, patch.bottleneck(lm, base)))
    return names


def _beside(patch: Adapter, lm: TrainableLM) -> list[str]:
    from luthier.models.layers.bottleneck import Beside, Tap
    from luthier.models.layers.sites import sites

    names = []
    for (first, role), (last, _) in pairwise(sites(lm, *SITES[patch.form]).items()):
        if role == "ffn_in":
            tap, base = Tap(lm.model.get_submodule(first)), lm.model.get_submodule(last)
            patch.wrap(lm, first, tap)
            names += patch.wrap(lm, last, Beside(base, patch.bottleneck(lm, base), tap))
    return names


METHOD = Adapter
