"""Writing with transformers' generate: the peer's side of bench/generate_vs_transformers.py, in its own environment.

    transformers_generate.py WORK SETTINGS

SETTINGS: a JSON object: batch (rows in one call, those of like length together), cache ("static"), compiled (true: the
forward pass through torch.compile), prefix (true: the cache of what all prompts share is computed once and repeated,
and padding stands behind it). Rows are padded on the left; a stopping criterion ends each at its own length.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache, GenerationConfig, StoppingCriteria

import measure


class AtLength(StoppingCriteria):  # type: ignore[misc]
    """Ends each row when it has as many new tokens as it may have."""

    def __init__(self, begun: int, rooms: list[int]) -> None:
        self.begun, self.rooms = begun, torch.tensor(rooms)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return input_ids.shape[1] - self.begun >= self.rooms


def write(model: Any, job: dict[str, Any], settings: dict[str, Any]) -> list[list[int]]:
    """All answers."""
    prompts, rooms = job["prompts"], job["rooms"]
    answers: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    shared = job["shared"] if settings.get("prefix") else 0
    cache = DynamicCache(config=model.config)
    if shared:
        model(input_ids=torch.tensor([prompts[0][:shared]]), past_key_values=cache, use_cache=True, logits_to_keep=1)
    for at in range(0, len(order), settings["batch"]):
        rows = order[at : at + settings["batch"]]
        longest = max(len(prompts[i]) for i in rows)
        gaps = [longest - len(prompts[i]) for i in rows]
        pairs = [(prompts[i], gap) for i, gap in zip(rows, gaps, strict=True)]
        ids = torch.tensor([[*p[:shared], *[0] * gap, *p[shared:]] for p, gap in pairs])
        mask = torch.tensor([[1] * shared + [0] * gap + [1] * (len(p) - shared) for p, gap in pairs])
        given: dict[str, Any] = {}
        if shared:
            given["past_key_values"] = own = copy.deepcopy(cache)
            own.batch_repeat_interleave(len(rows))
        config = GenerationConfig(
            max_new_tokens=max(rooms[i] for i in rows), do_sample=False, pad_token_id=0, eos_token_id=None,
            cache_implementation=settings.get("cache"),
        )  # fmt: skip
        stops = [AtLength(longest, [rooms[i] for i in rows])]
        out = model.generate(
            input_ids=ids, attention_mask=mask, generation_config=config, stopping_criteria=stops, **given
        )
        for i, new in zip(rows, out[:, longest:].tolist(), strict=True):
            answers[i] = new[: rooms[i]]
    return answers


@torch.inference_mode()
def main(work: Path, settings: dict[str, Any]) -> None:
    """Write every answer twice, the second time measured; on a busy machine two of them the first time."""
    job = json.loads((work / "job.json").read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    model: Any = AutoModelForCausalLM.from_pretrained(
        job["model"], dtype=torch.float32, attn_implementation="sdpa"
    ).eval()
    model.generation_config = GenerationConfig()
    if settings.get("compiled"):
        model.forward = torch.compile(model.forward)
    few = {"prompts": job["prompts"][:2], "rooms": job["rooms"][:2]} if job["busy"] else {}
    write(model, job | few, settings)
    answers, watch, figures = measure.measured(lambda: write(model, job, settings))
    measure.give(
        tokens_per_second=sum(map(len, answers)) / (watch.own if job["busy"] else watch.seconds),
        answers=answers,
        **figures,
        versions=measure.versions("torch", "transformers"),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
