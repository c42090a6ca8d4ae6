"""Answers that a model writes by its own decoding, whole, and that are handed out as tokens afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from luthier.core.records import Sampling
from luthier.models.ends import Ends
from luthier.models.inference.rows import Request

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM
    from luthier.models.encoder_decoder import Seq2SeqLM


class Whole:
    """In place of `rows.Rows` where a model is decoded by its own means: a step writes all answers."""

    def __init__(self, lm: CausalLM | Seq2SeqLM) -> None:
        self.lm: Any = replace(lm, progress=None)  # whoever asks counts answers
        self.requests: list[Request] = []

    def read(self, new: Sequence[Request], waiting: Sequence[Request]) -> list[list[Request]]:
        """Those that are asked for in the same way."""
        alike: dict[tuple[Sampling, Ends], list[Request]] = {}
        for request in new:
            alike.setdefault((request.sampling, request.ends), []).append(request)
        return list(alike.values())

    def step(self, come: Sequence[list[Request]] = ()) -> None:
        """Every answer, to its end."""
        for requests in come:
            for request, tokens in zip(requests, self._written(requests), strict=True):
                for token in tokens:
                    request.give(token, None, self.lm.tokenizer)
                request.done = True

    def _written(self, requests: Sequence[Request]) -> list[list[int]]:
        prompts, first = [r.ids for r in requests], requests[0]
        if self.lm.peft_task == "CAUSAL_LM":
            written = self.lm.runner.write(self.lm, prompts, first.sampling, first.ends, [r.index for r in requests])
            return list(written)
        from luthier.models.encoder_decoder_answers import generate

        return generate(self.lm, prompts, first.sampling)
