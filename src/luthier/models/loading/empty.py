"""A model of a configuration, without its weights and without trying whether it runs as the model itself does."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from luthier.models.attention.packed import register
from luthier.models.base import TrainableLM
from luthier.models.blocks import find_blocks
from luthier.models.causal import CausalLM
from luthier.models.layers.surgery import path_of, replace_module
from luthier.models.loading.kinds import kind_of, wrap
from luthier.models.loading.load import auto_class, written_out
from luthier.models.runner import PackedRunner, PaddedRunner


def unfilled(config: Any, name: str, dtype: Any) -> Any:
    """The model that transformers makes of it. Raises LuthierError where it is no language model that is known."""
    kind = kind_of(config, name)
    return auto_class(config, name).from_config(config, dtype=dtype, attn_implementation=written_out(config, kind))


def few_of(config: Any, blocks: int | None) -> Any:
    """The configuration with so many blocks, where one number says how many there are, all of one kind."""
    made = copy.deepcopy(config)
    inner = made.get_text_config()
    if blocks is not None and not made.is_encoder_decoder:
        inner.num_hidden_layers = blocks
        if getattr(inner, "layer_types", None):
            inner.layer_types = inner.layer_types[:blocks]
    return made


def stacks_of(model: Any) -> list[nn.ModuleList]:
    """Its lists of blocks, each once."""
    parts = (model.base_model, *(getattr(model.base_model, name, None) for name in ("encoder", "decoder")))
    found = [blocks for part in parts if part is not None and (blocks := find_blocks(part)) is not None]
    return list({id(blocks): blocks for blocks in found}.values())


def shallow(model: Any, blocks: int) -> None:
    """Leave so many blocks of each stack."""
    for stack in stacks_of(model):
        replace_module(model, path_of(model, stack), stack[:blocks])


def ready(model: Any, tokenizer: PreTrainedTokenizerBase, name: str) -> TrainableLM:
    """The model as the class of its kind, packed where its attention may be ours."""
    if kind_of(model.config, name) != "causal":
        return wrap(model, tokenizer, name)
    packs = bool(getattr(type(model), "_supports_attention_backend", False))
    if packs:
        model.set_attn_implementation(register())
    model.eval().requires_grad_(False)
    return CausalLM(model, tokenizer, name, runner=PackedRunner() if packs else PaddedRunner())


def stand_in(words: Sequence[str] = ("a",)) -> PreTrainedTokenizerFast:
    """A tokenizer for a model that has none: all that is read is its first word. A mask is its mask token."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    mask = next((word for word in words if "mask" in word), None)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token=words[0], eos_token=words[0], pad_token=words[0], mask_token=mask
    )
