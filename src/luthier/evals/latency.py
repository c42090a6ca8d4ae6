"""Latency: how long one question alone takes."""

from __future__ import annotations

import statistics
import time
from secrets import token_hex
from typing import Any

from luthier.core.lm import LM
from luthier.core.records import Prompt
from luthier.core.split import Split
from luthier.data.prompts import prompt_of
from luthier.evals.task import answer_one
from luthier.models.endpoint.remote import answering, is_remote
from luthier.models.machine import Clock

ROWS = 5
TOKENS = 32  # of a written answer


def latency(lm: LM, data: Split) -> dict[str, Any]:
    """latency_ms: the median over a few validation rows. waiting: share of the time without a core."""
    rows = (data.validation or data.train)[: ROWS + 1]
    asked = [prompt_of(record) for record in rows]
    _seconds(lm, data, asked[0])  # the first one warms up
    clock = Clock()
    taken = [_seconds(lm, data, prompt) for prompt in asked[1:] or asked]
    return {"latency_ms": statistics.median(taken) * 1000, "waiting": clock.read()["waiting"]}


def _seconds(lm: LM, data: Split, asked: Prompt) -> float:
    """To answer one question alone; what an endpoint gave earlier took as long as it took then."""
    if isinstance(asked, str) and not is_remote(lm):
        asked = f"{asked} {token_hex(4)}"  # never seen before, so that no features on disk answer
    start, before = time.perf_counter(), answering(lm)
    answer_one(lm, data, asked, TOKENS)
    return answering(lm) - before if is_remote(lm) else time.perf_counter() - start
