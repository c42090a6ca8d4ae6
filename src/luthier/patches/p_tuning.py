"""Virtual tokens made by a small encoder (LSTM or MLP) that is folded away after training.

What ships is the encoder's output, a prompt like soft_prompt's, in PEFT's layout. Source: Liu et al. 2021,
"GPT Understands, Too".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.models.layers.virtual import Kind
from luthier.patches.soft_prompt import SoftPrompt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from luthier.models.base import TrainableLM

extras = ()


@dataclass(frozen=True)
class PTuning(SoftPrompt):
    """n, start: as in soft_prompt. encoder: lstm or mlp. width: of the encoder's hidden layers.

    The encoder's table learns as a soft prompt does, and its layers at a tenth of the learning rate.
    """

    encoder: Kind = "lstm"
    width: int = 128

    learning_rates: ClassVar[tuple[float, ...]] = (3e-3, 1e-2, 3e-2)
    peft_type: ClassVar[str] = "P_TUNING"

    @classmethod
    def from_peft(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> PTuning:
        kind: Kind = "lstm" if config.get("encoder_reparameterization_type") == "LSTM" else "mlp"
        width = config.get("encoder_hidden_size") or cls.width
        return cls(n=config["num_virtual_tokens"], encoder=kind, width=width)

    def _maker(self, start: Tensor) -> tuple[nn.Module, dict[str, float]]:
        from luthier.models.layers.virtual import ENCODERS, Encoder

        return Encoder(start, ENCODERS[self.encoder](start.shape[1], self.width)), {"table": 10.0, "layers": 0.1}

    def export(self, lm: TrainableLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, config = super().export(lm)
        del config["prompt_tuning_init"]
        config |= {
            "encoder_reparameterization_type": self.encoder.upper(),
            "encoder_hidden_size": self.width,
        }
        return tensors, config


METHOD = PTuning
