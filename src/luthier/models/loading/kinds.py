"""Which kind of language model a configuration describes, and its class here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from luthier.models.base import TrainableLM

Kind = Literal["causal", "encoder", "seq2seq"]


def kind_of(config: Any, name: str) -> Kind:
    """The kind of a model, by its architecture.

    Raises:
        LuthierError: it is none of them (a vision or speech model, an image generator...).
    """
    from transformers.models.auto import modeling_auto as auto

    known = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        if known in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
            return "seq2seq"
    elif known in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False):
        return "encoder"
    elif known in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "causal"
    raise LuthierError(
        f"{name}: a {known} model is no language model that can be adapted here: name a causal one (one that continues "
        "text, such as Llama or Qwen), an encoder (BERT...) or an encoder-decoder (T5...)"
    )


def wrap(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, key: str = "") -> TrainableLM:
    """A loaded model as the class of its kind."""
    from luthier.models.causal import CausalLM
    from luthier.models.encoder import EncoderLM
    from luthier.models.encoder_decoder import Seq2SeqLM
    from luthier.models.loading.vocabulary import watch_ids

    watch_ids(model, tokenizer)
    classes: dict[Kind, type[TrainableLM]] = {"causal": CausalLM, "encoder": EncoderLM, "seq2seq": Seq2SeqLM}
    return classes[kind_of(model.config, name)].wrap(model, tokenizer, name, key)
