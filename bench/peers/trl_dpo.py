"""LoRA DPO by TRL's DPOTrainer with PEFT: the peer's side of bench/dpo_vs_trl.py, in the peer's own environment.

    trl_dpo.py WORK SETTINGS [--rates]

SETTINGS: a JSON object of DPOConfig fields. Pairs are given as token ids, so that both sides learn the same tokens, and
in our order. The reference's log-probabilities are computed before training, by the trainer, and are a part of the
time. With --rates each step has our learning rate, so that the losses can be compared.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer
from trl_common import VERSIONS, Clock, lora_of, settings_of, take_our_rates

import measure


class Given(DPOTrainer):  # type: ignore[misc]
    """DPOTrainer on pairs of token ids, which notes how long its reference took."""

    reference = measure.Watch()

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, *args: Any, **options: Any) -> Any:
        self.reference.start()
        found = super()._precompute_ref_logps(*args, **options)
        self.reference.stop()
        return found


def trainer_of(work: Path, job: dict[str, Any], settings: dict[str, Any], clock: Clock) -> Given:
    """The trainer with the job's settings, TRL's own where the job says nothing, and our start of A and B."""
    config = DPOConfig(
        output_dir=tempfile.mkdtemp(prefix="trl-"),
        **{
            **settings_of(job),
            "beta": job["beta"],
            "precompute_ref_log_probs": True,
            "train_sampling_strategy": "sequential",
            **settings,
        },
    )
    trainer = Given(
        model=AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32, attn_implementation="sdpa"),
        args=config,
        train_dataset=Dataset.from_list(json.loads((work / "pairs.json").read_text(encoding="utf-8"))),
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
        peft_config=lora_of(job),
        callbacks=[clock],
    )
    set_peft_model_state_dict(trainer.model, load_file(work / "lora.safetensors"))
    return trainer


def keep_to_memory() -> None:
    """Fail where more is asked for than the machine has left, rather than be killed, or have others killed."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    left = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    resource.setrlimit(resource.RLIMIT_DATA, (left, left))


def main(work: Path, settings: dict[str, Any], same: bool) -> None:
    """Train one epoch and print the figures."""
    keep_to_memory()
    job = json.loads((work / "job.json").read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    clock, before = Clock(), measure.product_rate()
    trainer = trainer_of(work, job, settings, clock)
    if same:
        take_our_rates(trainer, work, job)
    trainer.train()
    peak = measure.peak_bytes()
    spent = (trainer.reference, clock.watch)
    seconds = sum(watch.seconds for watch in spent)
    measure.give(
        pairs_per_second=len(trainer.train_dataset) / seconds,
        seconds=seconds,
        reference_seconds=trainer.reference.seconds,
        others=sum(watch.others * watch.seconds for watch in spent) / seconds,
        peak_bytes=peak,
        losses=[entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        padding_free=bool(trainer.padding_free),
        product_rate=[before, measure.product_rate()],
        versions=measure.versions(*VERSIONS),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), "--rates" in sys.argv[3:])
