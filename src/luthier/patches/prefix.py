"""Learned keys and values before every layer's own, made by an MLP that is folded away.

They begin as the model's own of a real text, so that the adapted model starts as the base that has read it. A text's
positions follow theirs, and where a layer sees a window only, they leave it like any token (as in PEFT, whose layout
the saved file has); in an encoder's windows they stay. Of an encoder-decoder it is the decoder's layers that get them.
Source: Li & Liang 2021, "Prefix-Tuning".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.core.errors import Refused
from luthier.core.methods import ParamGroup, Patch
from luthier.core.phrases import say
from luthier.patches.soft_prompt import start_ids

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.layers.prefix import LearnedPrefix
    from luthier.training.context import Context

extras = ()


@dataclass(frozen=True)
class Prefix(Patch):
    """n, start: as in soft_prompt, of keys and values a layer. width: of the MLP and of the table it reads.

    Both learn at a tenth of the learning rate, a label head at all of it.
    """

    n: int | None = None
    start: str = ""
    width: int = 512

    learning_rates: ClassVar[tuple[float, ...]] = (3e-4, 1e-3, 3e-3)
    identity: ClassVar[bool] = False
    peft_type: ClassVar[str] = "PREFIX_TUNING"

    @classmethod
    def from_peft(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Prefix:
        return cls(n=config["num_virtual_tokens"], width=config.get("encoder_hidden_size") or cls.width)

    def refuses(self, ctx: Context) -> str | None:
        from luthier.models.attention.packed import NAME

        if self.width < 1 or (self.n is not None and self.n < 1):
            known = {"name": "n", "other": "width", "least": 1, "value": self.n, "second": self.width}
            return say("said_refused_least_both", **known)
        model = ctx.policy.model
        config: Any = model.config
        if config._attn_implementation != NAME and not config.is_encoder_decoder:
            return say("said_refused_keys", kind=type(model).__name__)
        return None

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        from luthier.models.layers import prefix

        ids = start_ids(lm, self.start, self.n)
        record = lm.keys_values(ids)
        shapes = {part.shape for pair in record.values() for part in pair}
        if sorted(record) != list(range(len(lm.blocks))) or len(shapes) > 1:
            raise Refused(say("said_refused_sizes"))
        _, heads, _, size = shapes.pop()
        maker, shape = prefix.PrefixMlp(record, self.width), (len(record), heads, size)
        made = prefix.LearnedPrefix(maker, len(ids), shape, lm.model.dtype)
        lm.model.learned_prefix = made
        return [ParamGroup([f"learned_prefix.{name}" for name, _ in made.named_parameters()], lr_scale=0.1)]

    def cut(self, lm: TrainableLM) -> int | None:
        # of an encoder-decoder the whole encoder lies below
        return 1 if lm.model.config.is_encoder_decoder and len(lm.blocks) > 1 else None

    def detach(self, lm: TrainableLM) -> None:
        if lm.learned_prefix is not None:
            del lm.model.learned_prefix

    def is_on(self, lm: TrainableLM) -> bool:
        return lm.learned_prefix is not None

    @contextmanager
    def off(self, lm: TrainableLM) -> Iterator[None]:
        held = _made(lm)
        del lm.model.learned_prefix
        try:
            yield
        finally:
            lm.model.learned_prefix = held

    def fold(self, lm: TrainableLM) -> None:
        self.load(lm, self.export(lm)[0])

    def export(self, lm: TrainableLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        from luthier.models.layers.prefix import to_peft

        made, decoder = _made(lm), lm.peft_task == "SEQ_2_SEQ_LM"
        layers, heads, size = made.shape
        config = {
            "peft_type": self.peft_type,
            "task_type": lm.peft_task,
            "num_virtual_tokens": made.n,
            "num_layers": layers * (2 if decoder else 1),
            "num_attention_heads": heads,
            "token_dim": heads * size,
            "num_transformer_submodules": 2 if decoder else 1,
            "encoder_hidden_size": self.width,
            "prefix_projection": False,
        }
        return {"prompt_embeddings": to_peft(made.numbers(), layers, decoder)}, config

    def load(self, lm: TrainableLM, tensors: Mapping[str, Tensor]) -> None:
        from luthier.models.layers.prefix import from_peft
        from luthier.models.layers.virtual import table_from

        made = _made(lm)
        numbers = from_peft(tensors["prompt_embeddings"], made.shape, lm.peft_task == "SEQ_2_SEQ_LM")
        made.maker = table_from({"prompt_embeddings": numbers}, made.numbers())


def _made(lm: TrainableLM) -> LearnedPrefix:
    assert lm.learned_prefix is not None
    return lm.learned_prefix


METHOD = Prefix
