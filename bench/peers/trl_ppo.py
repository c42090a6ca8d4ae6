"""LoRA PPO by TRL's PPOTrainer with PEFT: the peer's side of bench/ppo_vs_trl.py, in the peer's own environment.

    trl_ppo.py WORK SETTINGS

SETTINGS: {"answers_at_once", "head_only": whether the critic's backbone stands still}. WORK/job.json holds what both
sides share, WORK/prompts.json the prompts, WORK/reward the reward model, which the critic begins as.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
from trl.experimental.ppo import PPOConfig, PPOTrainer
from trl_common import VERSIONS, lora_of

import measure


class Clock(TrainerCallback):  # type: ignore[misc]
    """Time from the beginning of training to the end of its last step."""

    def __init__(self) -> None:
        self.watch = measure.Watch()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Called by the trainer before the first rollout."""
        self.watch.start()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Called by the trainer after all passes over a rollout."""
        self.watch.stop()


def main(work: Path, settings: dict[str, Any]) -> None:
    """Train the rollouts and print the figures."""
    job = json.loads((work / "job.json").read_text(encoding="utf-8"))
    objective, each = job["objective"], settings["answers_at_once"]
    torch.set_num_threads(job["threads"])
    clock, before = Clock(), measure.product_rate()
    config = PPOConfig(
        output_dir=tempfile.mkdtemp(prefix="trl-"),
        per_device_train_batch_size=each,
        gradient_accumulation_steps=job["prompts"] // each,
        local_rollout_forward_batch_size=each,
        total_episodes=job["prompts"] * job["steps"],
        num_ppo_epochs=objective["epochs"],
        num_mini_batches=1,
        response_length=objective["new_tokens"],
        temperature=objective["temperature"],
        stop_token="eos",
        missing_eos_penalty=1.0,
        learning_rate=job["lr"],
        num_sample_generations=0,
        max_grad_norm=job["clip"],
        seed=job["seed"],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(job["model"], padding_side="left")
    if tokenizer.pad_token is None or tokenizer.pad_token == tokenizer.eos_token:
        tokenizer.pad_token = "<|endoftext|>"
    prompts = json.loads((work / "prompts.json").read_text(encoding="utf-8"))
    rows = [
        tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False)
        for text in prompts
    ]
    data = Dataset.from_list([{"input_ids": tokenizer(row, add_special_tokens=False)["input_ids"]} for row in rows])

    def judge() -> Any:
        found: Any = AutoModelForSequenceClassification.from_pretrained(
            work / "reward", num_labels=1, dtype=torch.float32
        )
        found.config.pad_token_id = tokenizer.pad_token_id
        return found

    critic, reward = judge(), judge().eval().requires_grad_(False)
    if settings["head_only"]:
        critic.model.requires_grad_(False)
    lengths: list[float] = []
    trainer = PPOTrainer(
        args=config,
        processing_class=tokenizer,
        model=AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32, attn_implementation="sdpa"),
        ref_model=None,
        reward_model=reward,
        value_model=critic,
        train_dataset=data,
        eval_dataset=data,
        peft_config=lora_of(job),
        callbacks=[clock],
    )
    import trl.experimental.ppo.ppo_trainer as module

    plain = module.truncate_response

    def seen(stop: int, pad: int, responses: Any) -> Any:
        found = plain(stop, pad, responses)
        ends = (responses == stop).int()
        first = torch.where(ends.any(1), ends.argmax(1) + 1, responses.shape[1])
        lengths.extend(first.float().tolist())
        return found

    module.truncate_response = seen
    trainer.train()
    peak, answers = measure.peak_bytes(), job["prompts"] * job["steps"]
    length = sum(lengths) / len(lengths)
    measure.give(
        **measure.drawn(clock.watch, answers, length),
        **measure.figures(clock.watch, before, peak),
        versions=measure.versions(*VERSIONS),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
