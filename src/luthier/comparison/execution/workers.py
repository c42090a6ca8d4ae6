"""How many workers share a comparison on a CPU, and how fast each of them trains beside the others.

One small model's products do not fill several cores: on the embedded model two workers of one thread each did in 137
processor seconds what one worker took 196 for with two threads (docs/LOG.md). So every core gets a worker, as far as
there are trials and memory for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from luthier.core.errors import LuthierError
from luthier.core.split import Split
from luthier.models.base import TrainableLM
from luthier.models.machine import device, memory, threads

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM
    from luthier.core.methods import Objective, Patch
    from luthier.training.context import Meter, Reward

PER_PARAMETER = 20  # bytes: full tuning's weights, their float32 masters, gradients and AdamW's two averages
BESIDES = 1.5e9  # bytes: libraries, and the activations of a micro-batch
STEPS = 8  # of a short run, as far as the budget and a batch of one row go
ENDLESS = 10**9  # tokens
LOOKED_AT = 64  # training rows whose length is taken for all
ROWS = 256  # of the products that stand for another worker's training


def crew(lm: WordedLM, wanted: int | None, trials: int) -> tuple[int, int]:
    """(workers, threads of each) for this many trials on at most `wanted` cores; sets this process's threads."""
    cores = threads(wanted)
    if not isinstance(lm, TrainableLM) or device() != "cpu":
        return 1, cores
    need = PER_PARAMETER * sum(p.numel() for p in lm.model.parameters()) + BESIDES
    workers = max(1, min(cores, trials, int(memory().get("available", 0) / need)))
    return workers, threads(cores // workers)


def measure_rate(
    lm: WordedLM, data: Split, batch: int, seconds: float = 4.0, patch: Patch | None = None,
    wanted: Objective | None = None, steps: int | None = None, max_length: int | None = None,
    reward: Reward | None = None, meter: Meter | None = None,
) -> float:  # fmt: skip
    """Tokens a second of training a patch (LoRA) on this data on this machine; LoRA's turns a time budget into tokens.

    Ends after `seconds`, or after `steps` (None: no limit) besides the first, which warms up. Of an objective that
    draws answers the first counts, too: it is made of a whole rollout. reward: what that is judged by, on this meter.
    """
    from luthier.io.config import TrainingConfig
    from luthier.patches.lora import Lora
    from luthier.training.attach import prepared
    from luthier.training.context import Context, Meter

    tokens, spent, took = 0, 0.0, -1
    wanted = wanted or _objective(lm, data, max_length)
    training, some = TrainingConfig(tokens=ENDLESS, batch=batch), data.train[: 16 * batch]
    with prepared(
        Context(lm, data, reward=reward, meter=meter or Meter()), patch or Lora(), wanted, training, some=some
    ) as ready:
        loop, whole = ready.loop, "sampling" in wanted.needs
        start = time.perf_counter()
        for examples in loop.objective.batches(loop.ctx, loop.examples, batch, loop.cursor):
            start = start if whole else time.perf_counter()
            loop.executor.forward_backward(examples, loop.objective)
            loop.executor.forget()
            took += 1
            if took or whole:  # the first step warms up
                spent += time.perf_counter() - start
                tokens += sum(example.tokens for example in examples)
            if spent > seconds or took == steps:
                return (tokens + loop.ctx.meter.total) / spent if whole else tokens / spent
            start = time.perf_counter()
    raise AssertionError("batches are endless")


def _objective(lm: WordedLM, data: Split, max_length: int | None) -> Objective:
    from luthier.objectives.classify import Classify
    from luthier.objectives.sft import Sft

    made = Classify if data.labels and lm.lacks("logprobs") else Sft
    return made(max_length) if max_length else made()


def row_tokens(lm: TrainableLM, data: Split, max_length: int | None = None) -> float:
    """Tokens of a training row, as most methods read it; 0 where that cannot be told."""
    work = lm.asked(template=lm.wordings(data.labels)[0], labels=data.labels)
    try:
        examples = _objective(lm, data, max_length).encode(work, data, data.train[:LOOKED_AT])
    except LuthierError:  # a fact about the rows: every method that trains meets and tells it
        return 0.0
    return float(sum(example.tokens for example in examples) / max(len(examples), 1))


def fitting_batch(row: float, wanted: int, tokens: int) -> int:
    """Rows of a step: `wanted`, or as many fewer as give a run of so many tokens STEPS steps; 1 at least.

    row: tokens of one. A search whose runs have one step says nothing: the first step is taken at a tenth of the rate.
    """
    return max(1, min(wanted, int(tokens / (STEPS * row)))) if row else wanted


@contextmanager
def beside(workers: int, lm: TrainableLM) -> Iterator[None]:
    """The machine as it is while this many others train: their products with the base's weights fill other cores.

    A rate that is measured on an otherwise idle machine is higher than what a shared comparison reaches.
    """
    ended = threading.Event()
    others = [threading.Thread(target=_multiply, args=(lm, ended), daemon=True) for _ in range(workers)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        ended.set()
        for other in others:
            other.join()


def _multiply(lm: TrainableLM, ended: threading.Event) -> None:
    import torch

    weights = [p.detach() for p in lm.model.parameters() if p.dim() == 2]
    with torch.no_grad():
        while not ended.is_set():
            for weight in weights:
                torch.mm(weight.new_ones(ROWS, weight.shape[1]), weight.T)
                if ended.is_set():
                    break
