"""Pre-training by transformers' Trainer: a peer's side of bench/pretrain_vs_litgpt.py, in the environment of `trl`.

    trainer_pretrain.py WORK SETTINGS

SETTINGS: a JSON object of TrainingArguments. Nothing is evaluated, saved or reported; losses are kept as tensors.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from peer_rows import rows_of
from torch import Tensor
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments
from trl_common import Clock

import measure


class Warmed(Clock):
    """Time from the end of the last warm step to the end of the last one."""

    def __init__(self, warm: int) -> None:
        super().__init__()
        self.warm = warm

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Called by the trainer before each optimiser step."""

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Called by the trainer after each optimiser step."""
        self.steps += 1
        self.watch.start() if self.steps == self.warm else self.watch.stop()


class Keeping(Trainer):  # type: ignore[misc]
    """A Trainer that keeps the loss of each micro-batch, as a share of its step's."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.losses: list[Tensor] = []

    def training_step(self, *args: Any, **options: Any) -> Tensor:
        """Keep what it gives."""
        self.losses.append(super().training_step(*args, **options))
        return self.losses[-1]


def main(work: Path, settings: dict[str, Any]) -> None:
    """Train and print the figures."""
    job = json.loads((work / "job.json").read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    micro = settings["per_device_train_batch_size"]
    config = TrainingArguments(
        output_dir=tempfile.mkdtemp(prefix="trainer-"), gradient_accumulation_steps=job["batch"] // micro,
        num_train_epochs=1, learning_rate=job["lr"], lr_scheduler_type="constant", weight_decay=0.0,
        max_grad_norm=job["clip"], optim="adamw_torch_fused", use_cpu=True, bf16=False, save_strategy="no",
        logging_strategy="no", report_to=[], disable_tqdm=True, train_sampling_strategy="sequential", **settings,
    )  # fmt: skip
    clock, rows = Warmed(job["warm"]), rows_of(work, job)
    trainer = Keeping(
        model=AutoModelForCausalLM.from_pretrained(work / "model", dtype=torch.float32), args=config,
        train_dataset=[{"input_ids": row, "labels": row} for row in rows], callbacks=[clock],
    )  # fmt: skip
    trainer.train()
    tokens, each = job["steps"] * job["batch"] * job["length"], job["batch"] // micro
    losses = [float(torch.stack(trainer.losses[at : at + each]).sum()) for at in range(0, len(trainer.losses), each)]
    measure.give(
        tokens=tokens, seconds=clock.watch.seconds, tokens_per_second=tokens / clock.watch.seconds,
        others=clock.watch.others, peak_bytes=measure.peak_bytes(), losses=losses,
        versions=measure.versions("transformers", "accelerate", "torch"),
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
