"""Writing by Luthier: our side of bench/generate_vs_transformers.py.

ours_generate.py prepare WORK [--busy]    # WORK/job.json: prompts as token ids and how long each answer is
ours_generate.py run WORK                 # every answer, once measured
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import measure
from luthier.core.records import Message, Sampling
from luthier.io.config import Recipe
from luthier.io.files import read_json, write_json
from luthier.models.ends import Ends
from luthier.models.inference.engine import Engine
from luthier.models.loading.of_recipe import load_base
from peer import THREADS

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM

ROWS, SHORT, LONG = 16, 20, 200  # prompts, and tokens of the shortest and the longest one besides the system prompt
FEWEST, MOST = 8, 64  # new tokens
SYSTEM = (
    "You answer the messages of customers of a small shop for hand-made lamps. Be brief and friendly. Say what happens "
    "next and when. Never promise a refund before the lamp has come back; a lamp that came broken is replaced at once, "
    "and the customer need not return it. Orders leave the workshop within three working days, parcels take two more. "
    "Say that you do not know when you do not know, and give the telephone number of the workshop, 0355 201 17."
)


def prepare(work: Path, busy: bool) -> None:
    """Prompts of evenly spread lengths, cut from the embedded handbook, and lengths of answers in no order."""
    from luthier.models.loading.bundled import embedded_model

    threads = 1 if busy else THREADS
    lm: Any = load_base(Recipe(dtype="float32", threads=threads))
    folder = Path(sys.modules["luthier"].__path__[0]) / "data" / "embedded" / "handbook"
    words = " ".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))).split()
    frame = len(_ids(lm, ""))
    prompts, at = [], 0
    for row in range(ROWS):
        wanted, taken = SHORT + round((LONG - SHORT) * row / (ROWS - 1)), 1
        while len(_ids(lm, " ".join(words[at : at + taken]))) - frame < wanted - 1:
            taken += 1
        prompts.append(_ids(lm, " ".join(words[at : at + taken])))
        at += taken
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(1)).tolist()
    rooms = [FEWEST + round((MOST - FEWEST) * i / (ROWS - 1)) for i in range(ROWS)]
    shared = next(i for i, column in enumerate(zip(*prompts, strict=False)) if len(set(column)) > 1)
    job = {
        "model": str(embedded_model()), "threads": threads, "prompts": [prompts[i] for i in order], "rooms": rooms,
        "shared": shared, "busy": busy,
    }  # fmt: skip
    write_json(work / "job.json", job)
    measure.give(shared=shared, own=sum(len(p) - shared for p in prompts), new=sum(rooms))


def _ids(lm: CausalLM, text: str) -> list[int]:
    return list(lm.encode_prompt((Message("system", SYSTEM), Message("user", text))))


def run(job: dict[str, Any]) -> None:
    """Write every answer twice, the second time measured; on a busy machine two of them the first time."""
    lm: Any = load_base(Recipe(dtype="float32", threads=job["threads"]))
    engine = Engine(lm)

    def write(count: int = ROWS) -> list[list[int]]:
        asked = sorted(range(count), key=lambda i: len(job["prompts"][i]))
        answers = {i: engine.submit(job["prompts"][i], Sampling(job["rooms"][i]), ends=Ends(())) for i in asked}
        return [[token.id for token in answers[i]] for i in range(len(asked))]

    write(2 if job["busy"] else ROWS)
    answers, watch, figures = measure.measured(write)
    measure.give(
        tokens_per_second=sum(map(len, answers)) / (watch.own if job["busy"] else watch.seconds),
        answers=answers,
        margins=[margins(lm, p, a) for p, a in zip(job["prompts"], answers, strict=True)],
        **figures,
        versions=measure.versions("luthier", "torch", "transformers"),
    )


@torch.no_grad()
def margins(lm: CausalLM, prompt: list[int], answer: list[int]) -> list[float]:
    """By how much the best logit is ahead of the next at each token of an answer, from the whole text at once."""
    ids = torch.tensor([*prompt, *answer[:-1]])
    hidden = lm.hidden(ids, torch.arange(len(ids)), [len(ids)])[len(prompt) - 1 :]
    return [float(a - b) for a, b in lm.head.logits(hidden).topk(2).values]


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    if sys.argv[1] == "prepare":
        prepare(folder, "--busy" in sys.argv)
    else:
        run(read_json(folder / "job.json"))
