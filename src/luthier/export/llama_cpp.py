"""What llama.cpp itself makes of a GGUF file: its tokens, its rendered template, its next tokens.

Uses xllamacpp's server on a port of the loopback interface. Optional: pip install xllamacpp.
"""

from __future__ import annotations

import importlib.util
import json
import urllib.request
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.export.parity import CONVERSATIONS, TEXTS, Before, Check, compare_text, same_choices

WHERE = "llama.cpp"
SECONDS = 120


def is_here() -> bool:
    """Whether xllamacpp is installed."""
    return importlib.util.find_spec("xllamacpp") is not None


class LlamaCpp:
    """A GGUF file loaded by llama.cpp. Raises LuthierError where it cannot be."""

    def __init__(self, path: Path, threads: int) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel, params.n_gpu_layers = 1024, 1, 0
        params.cpuparams.n_threads = threads
        params.warmup, params.verbosity = False, 0
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise LuthierError(f"{path}: llama.cpp cannot load it ({error})") from error

    def _ask(self, what: str, question: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self._server.listening_address}/{what}",
            json.dumps(question).encode(),
            {"Content-Type": "application/json"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy must not see the loopback
        with direct.open(request, timeout=SECONDS) as answer:
            return json.load(answer)

    def tokens(self, text: str) -> list[int]:
        """Token ids of a text, special tokens in it recognised, none added."""
        return list(self._ask("tokenize", {"content": text, "add_special": False, "parse_special": True})["tokens"])

    def rendered(self, messages: list[dict[str, str]]) -> str:
        """The conversation in the file's chat template."""
        return str(self._ask("apply-template", {"messages": messages})["prompt"])

    def next_token(self, ids: list[int]) -> int:
        """The likeliest token after these ids; -1 where llama.cpp does not say which."""
        asked = {"prompt": ids, "n_predict": 1, "temperature": 0, "n_probs": 1, "return_tokens": True}
        answer = self._ask("completion", asked)
        # a token of half a character has no probabilities, one that ends the answer is not among the tokens
        found = answer["tokens"] or [p["id"] for p in answer.get("completion_probabilities", ())]
        return int(found[0]) if found else -1


def compare(before: Before, path: Path, limit: float, threads: int) -> list[Check]:
    """Template, tokens and next tokens at some places of every text against the run.

    limit: how far behind the run's best logit another choice may be.
    """
    import torch

    there = LlamaCpp(path, threads)
    rendered = [there.rendered(c) for c in CONVERSATIONS] if before.rendered else []
    tokens = [there.tokens(text) for text in (*before.rendered, *TEXTS)]
    places = [(i, n) for i, ids in enumerate(before.ids) for n in _places(len(ids))]
    chosen = torch.tensor([there.next_token(before.ids[i][:n]) for i, n in places])
    logits = torch.stack([before.logits[i][n - 1] for i, n in places])
    said = chosen >= 0
    logits, chosen = logits[said], chosen[said]
    return [*compare_text(before, rendered, tokens, WHERE), same_choices(logits, chosen, limit, WHERE)]


def _places(length: int) -> list[int]:
    """How many tokens are read before a choice is asked for: each quarter of the text."""
    return sorted({max(1, length * k // 4) for k in (1, 2, 3, 4)})
