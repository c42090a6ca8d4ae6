"""LoRA GRPO by TRL's GRPOTrainer with PEFT: the peer's side of bench/grpo_vs_trl.py, in the peer's own environment.

    trl_grpo.py WORK SETTINGS

SETTINGS: a JSON object of GRPOConfig fields. WORK/job.json holds what both sides share, WORK/prompts.json the prompts.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer
from trl_common import VERSIONS, Clock, lora_of, settings_of

import measure


def vowels(completions: list[Any], **_: Any) -> list[float]:
    """The share of an answer's characters that are vowels."""
    texts = [c if isinstance(c, str) else c[0]["content"] for c in completions]
    return [sum(c in "aeiou" for c in text) / max(len(text), 1) for text in texts]


def main(work: Path, settings: dict[str, Any]) -> None:
    """Train the steps and print the figures."""
    job = json.loads((work / "job.json").read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    clock, before = Clock(), measure.product_rate()
    shared = settings_of(job | {"batch": 1, "max_length": 0})
    for name in ("max_length", "per_device_train_batch_size"):
        del shared[name]
    answers, objective = job["prompts"] * job["answers"], job["objective"]
    each = settings.pop("answers_at_once")
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(prefix="trl-"),
        **{
            **shared,
            "max_steps": job["steps"],
            "per_device_train_batch_size": each,
            "gradient_accumulation_steps": answers // each,
            "num_generations": job["answers"],
            "max_completion_length": objective["new_tokens"],
            "temperature": objective["temperature"],
            "beta": objective["beta"],
            "loss_type": "dapo",
            "seed": job["seed"],
            **settings,
        },
    )
    prompts = json.loads((work / "prompts.json").read_text(encoding="utf-8"))
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32, attn_implementation="sdpa"),
        reward_funcs=vowels,
        args=config,
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": text}]} for text in prompts]),
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
        peft_config=lora_of(job),
        callbacks=[clock],
    )
    trainer.train()
    peak = measure.peak_bytes()
    told = [entry for entry in trainer.state.log_history if "reward" in entry]
    length = sum(entry["completions/mean_length"] for entry in told) / len(told)
    measure.give(
        **measure.drawn(clock.watch, answers * job["steps"], length),
        **measure.figures(clock.watch, before, peak),
        rewards=[entry["reward"] for entry in told],
        versions=measure.versions(*VERSIONS),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
