"""Classification by likelihood with lm-evaluation-harness: the peer's side of bench/likelihood_vs_lm_eval.py.

    lm_eval_likelihood.py TASK WORK BATCH [ROWS]

BATCH: a number, or auto. One request a row and label, as its multiple-choice tasks make them, through its Hugging Face
model; a label's score is its log-likelihood a UTF-8 byte, as in its acc_norm.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

import measure

WARM = 4


def requests(prompts: list[str], labels: list[str]) -> list[Instance]:
    """One a prompt and label; the space between them is the label's."""
    return [
        Instance(request_type="loglikelihood", doc={}, arguments=(prompt, f" {label}"), idx=i)
        for i, prompt in enumerate(prompts)
        for label in labels
    ]


def main(name: str, work: Path, batch: str, count: int | None) -> None:
    """Score all rows, and print the figures."""
    job = json.loads((work / "job.json").read_text(encoding="utf-8"))
    prompts = json.loads((work / "prompts.json").read_text(encoding="utf-8"))[name][:count]
    labels = job["tasks"][name]["labels"]
    torch.set_num_threads(job["threads"])
    lm = HFLM(
        pretrained=job["model"], device="cpu", dtype="float32", batch_size=batch if batch == "auto" else int(batch),
    )  # fmt: skip
    lm.loglikelihood(requests(prompts[:WARM], labels), disable_tqdm=True)

    def choose() -> list[int]:
        found = lm.loglikelihood(requests(prompts, labels), disable_tqdm=True)
        sizes = torch.tensor([float(len(label.encode())) for label in labels])
        scores = torch.tensor([value for value, _ in found]).view(len(prompts), len(labels)) / sizes
        return scores.argmax(-1).tolist()

    chosen, watch, figures = measure.measured(choose)
    measure.give(
        rows=len(prompts),
        rows_per_second=len(prompts) / watch.seconds,
        chosen=chosen,
        **figures,
        versions=measure.versions("lm_eval", "torch", "transformers"),
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else None)
