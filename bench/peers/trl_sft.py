"""LoRA SFT by TRL's SFTTrainer with PEFT: the peer's side of bench/sft_vs_trl.py, in the peer's own environment.

    trl_sft.py WORK SETTINGS [--same]

SETTINGS: a JSON object of SFTConfig fields, with `attention` beside them. Rows are given as token
ids and labels (TRL takes them as they are), so that both sides learn the same tokens. With --same the batches come in
our order and each step has our learning rate, so that the losses can be compared.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer
from trl_common import VERSIONS, lora_of, settings_of, take_our_rates

import measure


class Clock(TrainerCallback):  # type: ignore[misc]
    """Time from the end of the first step to the end of the last, and the real tokens in between."""

    def __init__(self) -> None:
        self.watch, self.steps, self.peak = measure.Watch(), 0, 0

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Called by the trainer after each optimiser step."""
        self.steps += 1
        self.watch.stop() if self.steps > 1 else self.watch.start()


class Counting(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer that notes how many real tokens each step's batches hold."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sizes: list[int] = []

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        """Count, then train as SFTTrainer does."""
        mask = inputs.get("attention_mask")
        self.sizes.append(int(inputs["input_ids"].numel() if mask is None else mask.sum()))
        return super().training_step(model, inputs, *args, **options)


def trainer_of(work: Path, job: dict[str, Any], settings: dict[str, Any], clock: Clock) -> Counting:
    """The trainer with the job's settings, TRL's own where the job says nothing, and our start of A and B."""
    folder, attention = job["model"], settings.pop("attention", "sdpa")
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(prefix="trl-"),
        **{
            **settings_of(job),
            **settings,
        },
    )
    trainer = Counting(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention),
        args=config,
        train_dataset=Dataset.from_list(json.loads((work / "rows.json").read_text(encoding="utf-8"))),
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=lora_of(job),
        callbacks=[clock],
    )
    set_peft_model_state_dict(trainer.model, load_file(work / "lora.safetensors"))
    return trainer


def main(work: Path, settings: dict[str, Any], same: bool) -> None:
    """Train one epoch and print the figures."""
    job = json.loads((work / "job.json").read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    clock = Clock()
    if same:
        settings = {"train_sampling_strategy": "sequential", **settings}
    trainer = trainer_of(work, job, settings, clock)
    if same:
        take_our_rates(trainer, work, job)
    before = measure.product_rate()
    trainer.train()
    peak = measure.peak_bytes()
    per_step = trainer.args.gradient_accumulation_steps
    tokens = sum(trainer.sizes[per_step:])
    measure.give(
        tokens=tokens,
        seconds=clock.watch.seconds,
        tokens_per_second=tokens / clock.watch.seconds,
        others=clock.watch.others,
        peak_bytes=peak,
        steps=clock.steps,
        losses=[entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        product_rate=[before, measure.product_rate()],
        versions=measure.versions(*VERSIONS),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), "--same" in sys.argv[3:])
