"""Started by torchrun, or alone: some steps of patches and objectives on tiny models; what each gave as JSON.

torchrun --nproc-per-node 2 stepping.py OUT.json '[{"model": FOLDER, "patch": "lora", "objective": "sft", …}, …]'

The cases are made one after the other by the same processes: starting them takes longer than their steps.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "shared"))
import torch

import tiny
from contract import Pair, made
from luthier.core.example import Example, renumbered
from luthier.core.progress import Report
from luthier.core.torchrun import started
from luthier.io.config import ParallelConfig, TrainingConfig
from luthier.training.attach import attached
from luthier.training.context import Context
from luthier.training.loop import Loop
from luthier.training.ranks import group
from luthier.training.world import Alone, World


def main() -> None:
    """Do all cases, and write what they gave."""
    out, cases = Path(sys.argv[1]), json.loads(sys.argv[2])
    torch.set_num_threads(1)
    with group.met() if started() else nullcontext():
        found = [trained(given, world_of(given)) for given in cases]
    if os.environ.get("RANK", "0") == "0":
        out.write_text(json.dumps(found), encoding="utf-8")


def world_of(given: dict[str, Any]) -> World:
    """Of a case."""
    torch.manual_seed(0)
    return group.among(ParallelConfig(**given["parallel"])) if started() else Alone()


def trained(given: dict[str, Any], world: World) -> dict[str, Any]:
    """Steps, rows, weights (sums of squares), and how many numbers the fullest rank has."""
    pair, folder = Pair(given["patch"], given["objective"], given["rows"]), Path(given["model"])
    lm = tiny.fresh(folder)
    lm.model.to(getattr(torch, given.get("dtype", "float32")))
    patch, objective = made(pair.patch, folder), made(pair.objective, folder)
    if "patch_options" in given:
        patch = type(patch)(**given["patch_options"])
    with attached(lm, patch, objective, pair.split.labels, 0) as (work, groups, _):
        ctx = Context(work, data=pair.split, seed=0, patch=patch, world=world)
        encoded = renumbered(objective.encode(work, pair.split, pair.split.train))
        examples = objective.dataset(ctx, ctx.data) if objective.needs else encoded
        training = TrainingConfig(**{"tokens": 10**9, "epochs": 3, "learning_rate": 1e-3} | given["training"])
        told: list[dict[str, Any]] = []
        rows: list[list[int]] = []

        def say(report: Report) -> None:
            told.append({k: v for k, v in vars(report).items() if k in ("loss", "grad_norm", "step", "tokens")})
            if report.step == given.get("stop"):
                loop.save()
                loop.finished = True

        place = Path(given["folder"]) if "folder" in given else None
        loop = Loop(ctx, patch, objective, groups, examples, training, place, say)
        step = loop.executor.forward_backward

        def seen(chosen: Sequence[Example], objective: Any) -> Any:
            rows.append([int(e.row) for e in chosen])
            return step(chosen, objective)

        loop.executor.forward_backward = seen  # type: ignore[assignment]
        loop.run()
        weights = {
            n: float(group.whole(p.detach()).double().square().sum()) for n, p in loop.executor.weights().items()
        }
        tensors = loop.executor.tensors()
        counts = {
            "trained": sum(m.numel() for m in loop.executor.masters.values()),
            "moments": sum(t.numel() for n, t in _local(tensors).items() if n.startswith("adam.exp")),
            "held": sum(p.numel() for p in _local(dict(work.model.named_parameters())).values() if not p.is_meta),
        }
        if isinstance(world, group.Ranks):
            each: list[Any] = [None] * world.size
            torch.distributed.all_gather_object(each, (weights, counts))
            weights = {n: x for one, _ in each for n, x in one.items()}
            counts = {key: max(one[key] for _, one in each) for key in counts}
        loop.executor.release()
    return {"steps": told, "rows": rows, "weights": weights, **counts}


def _local(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: t.to_local() if hasattr(t, "to_local") else t for name, t in tensors.items()}


if __name__ == "__main__":
    main()
