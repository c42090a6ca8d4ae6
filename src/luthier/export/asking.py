"""What a run says on a few texts, and what a model that plain transformers or PEFT runs says on the same tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from luthier.export.parity import TEXTS, Before, texts_of

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.models.causal import CausalLM
    from luthier.models.encoder_decoder import Seq2SeqLM

ANSWER = 12  # tokens that an encoder-decoder is given, and writes


def what_it_says(lm: TrainableLM) -> Before:
    """Logits of the adapted model on every text as the run words it, and the conversations as its template has them."""
    from luthier.models.causal import CausalLM
    from luthier.models.encoder_decoder import Seq2SeqLM

    if isinstance(lm, Seq2SeqLM):
        return _read_and_written(lm)
    assert isinstance(lm, CausalLM)  # an encoder answers with a label head only (`headed`)
    return _continued(lm)


def _continued(lm: CausalLM) -> Before:
    import torch

    ids, logits = [], []
    for text in TEXTS:
        whole = torch.tensor(lm.encode_prompt(text, lm.labels), device=lm.device)
        with torch.no_grad():
            hidden = lm.hidden(whole, torch.arange(len(whole), device=lm.device), [len(whole)])
        own = slice(len(lm.virtual), None)
        logits.append(lm.head.logits(hidden[own]).detach().float().cpu())
        ids.append(whole[own].tolist())
    return Before(ids, logits, *texts_of(lm.tokenizer), lm.ends)


def _read_and_written(lm: Seq2SeqLM) -> Before:
    import torch

    from luthier.core.records import Sampling
    from luthier.models.encoder_decoder_answers import generate

    prompts = [lm.encode_prompt(text, lm.labels) for text in TEXTS]
    answers = [[lm.start, *lm.encode_answer(text)][:ANSWER] for text in reversed(TEXTS)]
    logits = []
    for prompt, answer in zip(prompts, answers, strict=True):
        with torch.no_grad():
            read = lm.encode(torch.tensor(prompt, device=lm.device), [len(prompt)])
            states = lm._decode([read], [torch.tensor(answer, device=lm.device)])[0]
        logits.append(lm.head.logits(states).detach().float().cpu())
    written = [_ended(tokens, lm.ends.tokens) for tokens in generate(lm, prompts, Sampling(ANSWER))]
    ids = [prompt[len(lm.virtual) :] for prompt in prompts]
    return Before(ids, logits, *texts_of(lm.tokenizer), lm.ends, answers, written)


def plain_logits(model: Any, before: Before) -> list[Tensor]:
    """Logits (tokens, V) that a transformers or PEFT model gives by itself; virtual tokens are left out."""
    import torch

    found = []
    for i, ids in enumerate(before.ids):
        given = {"input_ids": torch.tensor([ids], device=model.device)}
        if before.answers:
            given["decoder_input_ids"] = torch.tensor([before.answers[i]], device=model.device)
        with torch.no_grad():
            logits = model(**given, use_cache=False).logits[0]
        found.append(logits[-len(before.answers[i] if before.answers else ids) :].float().cpu())
    return found


def plain_written(model: Any, before: Before, prefixed: bool = False) -> list[list[int]]:
    """Tokens that an encoder-decoder of transformers or PEFT writes; prefixed: behind a prefix that PEFT holds."""
    import torch
    from transformers import DynamicCache, EncoderDecoderCache

    found = []
    for ids, answer in zip(before.ids, before.answers, strict=True):
        given = torch.tensor([ids], device=model.device)
        out = model.generate(
            input_ids=given, attention_mask=torch.ones_like(given), max_new_tokens=ANSWER, num_beams=1,
            do_sample=False, min_length=0, no_repeat_ngram_size=0, decoder_start_token_id=answer[0],
            # its own choice counts the encoder's blocks, which may be fewer than the decoder's; PEFT gives a prefix one
            **({} if prefixed else {"past_key_values": EncoderDecoderCache(DynamicCache(), DynamicCache())}),
        )  # fmt: skip
        found.append(_ended(out[0, 1:].tolist(), before.ends.tokens))
    return found


def _ended(tokens: list[int], ends: tuple[int, ...]) -> list[int]:
    """Up to the first token that ends an answer: what follows is padding."""
    stop = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[:stop]
