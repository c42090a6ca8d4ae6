"""What both peers of TRL share: the job's settings as its trainers take them, LoRA, and our learning rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peft import LoraConfig
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback

import measure

VERSIONS = ("trl", "peft", "torch", "transformers", "accelerate")


class Clock(TrainerCallback):  # type: ignore[misc]
    """Time from the trainer's first step to the end of its last."""

    def __init__(self) -> None:
        self.watch, self.steps = measure.Watch(), 0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Called by the trainer before each optimiser step."""
        if not self.steps:
            self.watch.start()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Called by the trainer after each optimiser step."""
        self.steps += 1
        self.watch.stop()


def settings_of(job: dict[str, Any]) -> dict[str, Any]:
    """One epoch as the job says it, on the processor, in float32, saving nothing."""
    return {
        "num_train_epochs": 1,
        "per_device_train_batch_size": job["batch"],
        "learning_rate": job["lr"],
        "weight_decay": 0.0,
        "max_grad_norm": job["clip"],
        "lr_scheduler_type": "constant",
        "max_length": job["max_length"],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,  # TRL's default trades speed for memory: 20 % of it in sft_vs_trl
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


def lora_of(job: dict[str, Any]) -> LoraConfig:
    """LoRA on all linear layers of the blocks."""
    return LoraConfig(r=job["rank"], lora_alpha=job["alpha"], target_modules="all-linear", task_type="CAUSAL_LM")


def take_our_rates(trainer: Any, work: Path, job: dict[str, Any]) -> None:
    """Each step has the learning rate that ours had."""
    rates = json.loads((work / "rates.json").read_text(encoding="utf-8"))
    optimizer = trainer.create_optimizer()
    # the scheduler is asked once more after the last step
    trainer.lr_scheduler = LambdaLR(optimizer, lambda step: rates[min(step, len(rates) - 1)] / job["lr"])
