"""Tokens of a tokenizer that the model has no vector for."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from luthier.core.errors import Refused
from luthier.core.phrases import say


def beyond(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """The tokens whose ids have no row in the model's embedding, by id."""
    rows = rows_of(model)
    return {i: token for token, i in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]) if i >= rows}


def rows_of(model: Any) -> int:
    """How many rows the embedding has."""
    return int(model.get_input_embeddings().weight.shape[0])


def first_free(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The lowest id that is neither a row of the embedding nor a token: where virtual tokens begin."""
    return max(rows_of(model), max(tokenizer.get_vocab().values(), default=-1) + 1)


def watch_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let the embedding refuse a token that it has no row for, by its name: a fact in place of an error or of noise.

    Some tokenizers carry tokens that no text of the task has (an image's place), so the model itself is not refused.
    """
    missing = beyond(model, tokenizer)
    if not missing:
        return
    rows = rows_of(model)

    def check(_module: nn.Module, args: tuple[Any, ...]) -> None:
        ids = args[0]
        if isinstance(ids, Tensor) and not ids.is_floating_point() and ids.numel() and int(ids.max()) >= rows:
            found = [missing[i] for i in ids[ids >= rows].unique().tolist() if i in missing]
            if found:
                raise Refused(lost(found, rows))

    weight = model.get_input_embeddings().weight
    for module in model.modules():  # an encoder and its decoder may each have one of their own over the same numbers
        if getattr(module, "weight", None) is weight:
            module.register_forward_pre_hook(check)


def lost(tokens: list[str], rows: int) -> str:
    """The fact that a text holds tokens without a vector, and what to do."""
    return say("said_refused_tokens", tokens=", ".join(f'"{token}"' for token in tokens[:5]), rows=rows)
