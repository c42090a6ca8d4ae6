"""Started by torchrun, or alone: some steps of a patch and an objective on a tiny model; losses and norms as JSON.

torchrun --nproc-per-node 2 stepping.py MODEL_FOLDER OUT.json '{"patch": "lora", "objective": "sft", …}'
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "shared"))
import torch

import tiny
from contract import Pair, made
from luthier.core.example import renumbered
from luthier.core.progress import Report
from luthier.io.config import ParallelConfig, TrainingConfig
from luthier.training.attach import attached
from luthier.training.context import Context
from luthier.training.loop import Loop
from luthier.training.ranks import group
from luthier.training.world import Alone


def main() -> None:
    """Train, and write what each step gave."""
    folder, out, given = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    torch.set_num_threads(1)
    parallel: dict[str, int] = given.get("parallel", {})
    pair = Pair(given["patch"], given["objective"], given["rows"])
    lm = tiny.fresh(folder)
    lm.model.to(getattr(torch, given.get("dtype", "float32")))
    with group.joined(ParallelConfig(**parallel)) if parallel else nullcontext(Alone()) as world:
        patch, objective = made(pair.patch, folder), made(pair.objective, folder)
        with attached(lm, patch, objective, pair.split.labels, 0) as (work, groups, _):
            ctx = Context(work, data=pair.split, seed=0, patch=patch, world=world)
            encoded = renumbered(objective.encode(work, pair.split, pair.split.train))
            examples = objective.dataset(ctx, ctx.data) if objective.needs else encoded
            training = TrainingConfig(**{"tokens": 10**9, "epochs": 3, "learning_rate": 1e-3} | given["training"])
            told: list[dict[str, Any]] = []

            def say(report: Report) -> None:
                told.append(dict(vars(report)))
                if report.step == given.get("stop"):
                    loop.save()
                    loop.finished = True

            place = Path(given["folder"]) if "folder" in given else None
            loop = Loop(ctx, patch, objective, groups, examples, training, place, say)
            loop.run()
            weights = {
                n: float(group.whole(p.detach()).double().square().sum()) for n, p in loop.executor.weights().items()
            }
            numbers = sum(m.numel() for m in loop.executor.masters.values())
            if isinstance(world, group.Ranks):
                each: list[Any] = [None] * world.size
                torch.distributed.all_gather_object(each, (weights, numbers))
                weights, numbers = {n: x for one, _ in each for n, x in one.items()}, max(n for _, n in each)
            held = sum(t.numel() for t in loop.executor.tensors().values() if not hasattr(t, "full_tensor"))
            if getattr(world, "rank", 0) == 0:
                steps = [{k: step[k] for k in ("loss", "gradient_norm", "tokens") if k in step} for step in told]
                found = {"steps": steps, "weights": weights, "numbers": numbers, "plain": held}
                out.write_text(json.dumps(found), encoding="utf-8")
            sys.stdout.flush()
            os._exit(0)  # what is cut over ranks cannot be taken off


if __name__ == "__main__":
    main()
