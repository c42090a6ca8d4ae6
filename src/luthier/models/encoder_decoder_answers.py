"""Answers of encoder-decoders: their likelihoods, the text read once for all of them, and generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from luthier.core.records import Sampling
from luthier.data.pack import grouped
from luthier.models.attention.padded import Padded, like_lengths
from luthier.models.kernels.vocabulary_head import token_logprobs
from luthier.models.reading import Row

if TYPE_CHECKING:
    from luthier.models.encoder_decoder import Seq2SeqLM

TOKENS = 4096  # tokens of texts (as often as they are read) and answers in one pass
ROWS = 32  # rows decoded at once


@torch.no_grad()
def continuations(lm: Seq2SeqLM, rows: Sequence[Row]) -> list[list[Tensor]]:
    """Log-probabilities in nats of every token of every answer: for each row, for each answer, (tokens,) on the CPU."""
    found: list[list[Tensor]] = [[] for _ in rows]
    done = 0
    for group in _groups(rows):
        for i, values in zip(group, _score(lm, [rows[i] for i in group]), strict=True):
            found[i] = values
        done += len(group)
        if lm.progress:
            lm.progress(done, len(rows))
    return found


def _groups(rows: Sequence[Row]) -> list[list[int]]:
    """Row numbers that fit one pass, rows of like length together."""
    sizes = [len(prompt) * len(answers) + sum(map(len, answers)) for prompt, answers in rows]
    return grouped(sizes, [len(prompt) for prompt, _ in rows], TOKENS)


def _score(lm: Seq2SeqLM, rows: Sequence[Row]) -> list[list[Tensor]]:
    ids = torch.tensor([t for prompt, _ in rows for t in prompt], device=lm.device)
    states = lm.encode(ids, [len(prompt) for prompt, _ in rows]).split([len(prompt) for prompt, _ in rows])
    pairs = [(text, a) for text, (_, answers) in zip(states, rows, strict=True) for a in answers if a]
    sizes = [len(a) for _, answers in rows for a in answers]
    values = torch.empty(0)
    if pairs:
        given = [torch.tensor([lm.start, *a[:-1]], device=lm.device) for _, a in pairs]
        hidden = torch.cat(lm._decode([text for text, _ in pairs], given))
        targets = torch.tensor([t for _, a in pairs for t in a], device=lm.device)
        values = token_logprobs(hidden, lm.head, torch.arange(len(hidden), device=lm.device), targets).cpu()
    flat = iter(values.split(sizes))
    return [[next(flat) for _ in answers] for _, answers in rows]


@torch.no_grad()
def generate(lm: Seq2SeqLM, prompts: Sequence[list[int]], sampling: Sampling) -> list[list[int]]:
    """Tokens of one answer a prompt, special ones included, by transformers' own decoding."""
    settings: dict[str, Any] = {
        "max_new_tokens": sampling.max_new_tokens, "num_beams": 1, "do_sample": sampling.temperature > 0,
        "min_length": 0, "no_repeat_ngram_size": 0, "decoder_start_token_id": lm.start,
        "eos_token_id": list(lm.ends.tokens),
    }  # fmt: skip
    if sampling.temperature > 0:
        settings |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    answers: list[list[int]] = [[] for _ in prompts]
    done = 0
    with torch.random.fork_rng():
        torch.manual_seed(sampling.seed)
        for like in like_lengths([len(p) for p in prompts]):
            for at in range(0, len(like), ROWS):
                rows = like[at : at + ROWS]
                block = Padded([len(prompts[i]) for i in rows], lm.device)
                ids = block.spread(torch.tensor([t for i in rows for t in prompts[i]], device=lm.device), lm._fill)
                model: Any = lm.model
                # transformers takes as many tokens for read as the cache holds
                begun = ids.new_full((len(rows), lm.ahead + 1), lm.start)
                out = model.generate(
                    input_ids=ids, attention_mask=block.mask.long(), decoder_input_ids=begun,
                    past_key_values=lm.cache(len(rows)), **settings,
                )  # fmt: skip
                for i, tokens in zip(rows, out[:, lm.ahead + 1 :].tolist(), strict=True):
                    answers[i] = tokens
                done += len(rows)
                if lm.progress:
                    lm.progress(done, len(prompts))
    return answers
