"""Every patch that `peft` has too, under the same plain loop on the same batches: our tokens a second over theirs.

    make bench NAME=patches_vs_peft
    python bench/patches_vs_peft.py --rows 8 --rounds 1 --methods lora,ia3        (a try, nothing is written)

Patches are found through the catalog: what exports PEFT's configuration is built from that very configuration on the
other side; what cannot be measured is left out with its reason. A step is a forward and a backward pass, clipping and
AdamW. Ours is a step of the training loop. Theirs is the faster of two plain ones, each tried once: the batch padded to
its longest row, or row by row. Both sides take the same rows in turn; a figure is the median over the rounds. The last
line is the lowest ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

import measure
import peer
from peft_base import peft_base

DATA, LENGTH = Path("../shared/data/alpaca_en_1k.json"), 256
GOAL = 1.0
Step = Callable[[Sequence[int]], float]  # trains on the rows with these numbers; gives the loss


NOT_OF_PEFT_LAYOUT: dict[str, Callable[[Any, int], dict[str, Any]]] = {
    "llama_adapter": lambda patch, blocks: {
        "peft_type": "ADAPTION_PROMPT", "adapter_len": patch.tokens, "adapter_layers": patch.count(blocks),
    },
}  # fmt: skip


@dataclass
class Job:
    """A patch and what to call it."""

    title: str
    patch: Any


def jobs(names: str) -> list[Job]:
    """The patches of the catalog that learn from rows; LoRA with magnitudes apart, too, where it can."""
    from luthier.core import catalog
    from luthier.core.errors import LuthierError

    found = []
    for entry in catalog.entries("patches").values():
        if names and entry.name not in names.split(","):
            continue
        try:
            cls = catalog.load(entry)
        except LuthierError as error:
            print(f"{entry.name:16} left out: {error}")
            continue
        if not (cls.peft_type or entry.name in NOT_OF_PEFT_LAYOUT):
            continue
        found.append(Job(entry.name, cls()))
        if entry.name == "lora" and "dora" in {f.name for f in fields(cls)}:
            found.append(Job("lora, dora", cls(dora=True)))
    return found


def peft_config(job: Job, lm: Any, exported: dict[str, Any]) -> dict[str, Any]:
    """What makes the same method in PEFT: as it trains, not as it is saved."""
    if job.title in NOT_OF_PEFT_LAYOUT:
        return NOT_OF_PEFT_LAYOUT[job.title](job.patch, len(lm.blocks))
    return exported | ({"prefix_projection": True} if exported["peft_type"] == "PREFIX_TUNING" else {})


class Ours:
    """Our loop with the patch attached, one step at a time."""

    def __init__(self, lm: Any, job: Job, data: Any, batch: int) -> None:
        from luthier.core.example import renumbered
        from luthier.io.config import TrainingConfig
        from luthier.objectives.sft import Sft
        from luthier.training.attach import attached
        from luthier.training.context import Context
        from luthier.training.loop import Loop

        objective = Sft(max_length=LENGTH)
        self.attached = attached(lm, job.patch, objective, (), 0)
        self.lm, groups, _ = self.attached.__enter__()
        try:
            examples = renumbered(objective.encode(self.lm, data, data.train))
            training = TrainingConfig(tokens=10**9, batch=batch, learning_rate=1e-4, warmup=0.0)
            self.loop = Loop(Context(self.lm), job.patch, objective, groups, examples, training)
            self.exported = job.patch.export(self.lm)[1]
        except BaseException:
            self.close()
            raise

    def step(self, rows: Sequence[int]) -> float:
        """As `Loop.run` takes it."""
        from luthier.models.kernels.fast import fast

        with fast(self.lm.model):
            self.loop._step([self.loop.examples[i] for i in rows])
        return self.loop.done.loss

    def close(self) -> None:
        """The base as it was."""
        self.attached.__exit__(None, None, None)


class Theirs:
    """PEFT's model in a plain loop."""

    def __init__(
        self, folder: str, title: str, config: dict[str, Any], rows: list[tuple[list[int], list[int]]]
    ) -> None:
        import peft

        base = peft_base(folder, title == "qlora")
        cls = peft.PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType(config["peft_type"])]
        known = {f.name for f in fields(cls)}
        given = {k: v for k, v in config.items() if k in known and k not in ("peft_type", "rank_pattern")}
        self.model: Any = peft.get_peft_model(base, cls(**given | {"task_type": "CAUSAL_LM"})).train()
        self.params = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.params, lr=1e-4, weight_decay=0.0, fused=True)
        self.rows, self.steps, self.padded = rows, 0, True

    def step(self, chosen: Sequence[int]) -> float:
        """Forward and backward passes, clipping, AdamW, and what AdaLoRA does after it."""
        rows = [self.rows[i] for i in chosen]
        learned = sum(sum(label >= 0 for label in labels[1:]) for _, labels in rows)
        total = 0.0
        for part in [rows] if self.padded else [[row] for row in rows]:
            ids, mask, labels = padded(part)
            loss = self.model(input_ids=ids, attention_mask=mask, labels=labels).loss
            if not self.padded:  # the mean over a row, made its share of the mean over the batch
                loss = loss * (labels[:, 1:] >= 0).sum() / learned
            loss.backward()
            total += float(loss.detach())
        nn.utils.clip_grad_norm_(self.params, 1.0)
        self.optimizer.step()
        self.steps += 1
        if hasattr(self.model.base_model, "update_and_allocate"):
            self.model.base_model.update_and_allocate(self.steps)
        self.optimizer.zero_grad(set_to_none=True)
        return total

    def settle(self, chosen: Sequence[int]) -> None:
        """Choose the faster way by one step each, after one that warms up."""
        self.step(chosen)
        seconds = {}
        for self.padded in (True, False):
            seconds[self.padded] = timed(self.step, chosen)[0]
        self.padded = seconds[True] <= seconds[False]


def padded(rows: Sequence[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor, Tensor]:
    """ids, mask and labels (rows, longest)."""
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([a + [0] * (longest - len(a)) for a, _ in rows])
    labels = torch.tensor([b + [-100] * (longest - len(b)) for _, b in rows])
    mask = torch.tensor([[1] * len(a) + [0] * (longest - len(a)) for a, _ in rows])
    return ids, mask, labels


def timed(step: Step, rows: Sequence[int]) -> tuple[float, float]:
    """Seconds and the loss."""
    start = time.perf_counter()
    loss = step(rows)
    return time.perf_counter() - start, loss


def labelled(examples: Sequence[Any], virtual: int) -> list[tuple[list[int], list[int]]]:
    """Ids and labels of our examples, without our virtual tokens: PEFT puts its own."""
    out = []
    for e in examples:
        labels = [-100] * len(e.ids)
        for where, target in zip(e.where, e.targets, strict=True):
            labels[where + 1] = target
        out.append((list(e.ids)[virtual:], labels[virtual:]))
    return out


def compared(lm: Any, job: Job, data: Any, given: argparse.Namespace) -> dict[str, Any]:
    """One method."""
    ours = Ours(lm, job, data, given.batch)
    try:
        config = peft_config(job, ours.lm, ours.exported)
        rows = labelled(ours.loop.examples, len(ours.lm.virtual))
        theirs = Theirs(given.folder, job.title, config, rows)
        batches = [range(at, at + given.batch) for at in range(0, len(rows) - given.batch + 1, given.batch)]
        first = timed(ours.step, batches[0])[1]
        theirs.settle(batches[0])
        pairs = [
            (timed(ours.step, b), timed(theirs.step, b)) for _ in range(given.rounds) for b in batches[1:] or batches
        ]
    finally:
        ours.close()
    own, other = ([pair[i][0] for pair in pairs] for i in (0, 1))
    return {
        "ours_seconds": median(own),
        "theirs_seconds": median(other),
        "theirs": "padded batch" if theirs.padded else "row by row",
        "ratio": median(b / a for a, b in zip(own, other, strict=True)),
        "first_loss": first,
        "trained": [sum(p.numel() for p in ours.loop.executor.params.values()), sum(p.numel() for p in theirs.params)],
    }


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description="Every patch that peft has: our tokens a second over theirs.")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rows", type=int, default=16, help="rows of the data; the first batch only warms up")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--methods", default="", help="such as lora,ia3; all by default, and only then a file is written"
    )
    given = parser.parse_args()
    if not given.data.exists():
        sys.exit(f"{given.data}: not here; give a file of rows with instruction, input and output with --data")
    warnings.simplefilter("ignore")

    from luthier.core.errors import LuthierError
    from luthier.io.config import Recipe
    from luthier.models.loading.bundled import embedded_model
    from luthier.models.loading.of_recipe import load_base, trainable
    from ours_sft import chats

    threads = min(2, len(os.sched_getaffinity(0)))
    given.folder = str(embedded_model())
    lm = trainable(load_base(Recipe(dtype="float32", threads=threads)))
    data = chats(json.loads(given.data.read_text(encoding="utf-8"))[: given.rows])
    found: dict[str, Any] = {}
    for job in jobs(given.methods):
        try:
            result = found[job.title] = compared(replace(lm), job, data, given)
        except (LuthierError, ImportError, ValueError, TypeError, RuntimeError) as error:  # a peer may raise anything
            print(f"{job.title:16} left out: {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
            continue
        print(
            f"{job.title:16} ours {result['ours_seconds']:6.2f} s a step, peft {result['theirs_seconds']:6.2f} s "
            f"({result['theirs']}): ratio {result['ratio']:.2f}", flush=True,
        )  # fmt: skip
    if not found:
        sys.exit("nothing was measured")
    if not given.methods:
        versions = measure.versions("luthier", "peft", "torch", "transformers")
        settings = {k: getattr(given, k) for k in ("rows", "batch", "rounds")} | {
            "threads": threads,
            "dtype": "float32",
        }
        peer.save("patches_vs_peft", {"settings": settings, "goal": GOAL, "versions": versions, "methods": found})
    print(f"ratio {min(r['ratio'] for r in found.values()):.2f}")


if __name__ == "__main__":
    main()
