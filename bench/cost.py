"""What a training step costs against its length, its batch, and the number of blocks that train.

    make bench NAME=cost
    python bench/cost.py --lengths 128,256 --batches 1,2 --blocks 0,1,2 --rounds 1 --dry        (a try)

LoRA on one row of 128 to 2,048 tokens, and on 1 to 16 rows of 128: products cost the same for every token, attention
grows with the square of the length. `layers` with its n top blocks and `head`: what lies below the lowest trained block
runs once per row and has no backward pass, so that a step costs so much for each block above it. Medians over rounds in
turn. Writes results/cost.json and a picture of the lines beside it.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import measure
import peer
import picture
from peer import Figures

ROWS_OF = 128  # tokens of a row where the batch or the blocks change
BLOCK_ROWS = 4  # rows of a step where the blocks change


def numbers(text: str) -> list[int]:
    """Numbers with commas between them."""
    return [int(part) for part in text.split(",")]


def arguments() -> argparse.Namespace:
    """The settings of the measurement."""
    parser = argparse.ArgumentParser(description="What a training step costs.")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--lengths", type=numbers, default=[128, 256, 512, 1024, 2048])
    parser.add_argument("--batches", type=numbers, default=[1, 2, 4, 8, 16])
    parser.add_argument("--blocks", type=numbers, default=[0, 1, 2, 4, 8, 16, 30], help="0 is `head` alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    return parser.parse_args()


class Steps:
    """A patch's training steps on rows of random words, one at a time."""

    def __init__(self, lm: Any, method: str, options: dict[str, Any], rows: int, length: int) -> None:
        from luthier.core import catalog
        from luthier.core.example import Example
        from luthier.io.config import TrainingConfig
        from luthier.objectives.classify import Classify
        from luthier.objectives.sft import Sft
        from luthier.training.attach import attached
        from luthier.training.context import Context
        from luthier.training.loop import Loop

        self.patch = catalog.load(catalog.find(method, "patches"))(**options)
        objective = Sft() if method == "lora" else Classify()
        self.attached = attached(lm, self.patch, objective, ("no", "yes"), 0)
        self.lm, groups, _ = self.attached.__enter__()
        learned = tuple(range(length // 2, length - 1)) if method == "lora" else (length - 1,)
        ids = [tuple((31 * i + 7 * r) % 40_000 + 100 for i in range(length)) for r in range(rows)]
        targets = [tuple(row[w + 1] for w in learned) if method == "lora" else (r % 2,) for r, row in enumerate(ids)]
        examples = [Example(r, row, learned, t) for r, (row, t) in enumerate(zip(ids, targets, strict=True))]
        training = TrainingConfig(tokens=10**9, batch=rows, learning_rate=1e-5)
        self.loop = Loop(Context(self.lm), self.patch, objective, groups, examples, training)

    def seconds(self) -> float:
        """One step, as `Loop.run` takes it."""
        from luthier.models.kernels.fast import fast

        with fast(self.lm.model):
            start = time.perf_counter()
            self.loop._step(self.loop.examples)
            return time.perf_counter() - start

    def close(self) -> None:
        """The base as it was."""
        self.attached.__exit__(None, None, None)


def measured(lm: Any, settings: dict[int, tuple[str, dict[str, Any], int, int]], rounds: int) -> dict[int, float]:
    """Seconds a step by setting: method, its options, rows, tokens of each. The first step of each is not counted."""
    found: dict[int, list[float]] = {key: [] for key in settings}
    for _ in range(rounds):
        for key, (method, options, rows, length) in settings.items():
            steps = Steps(lm, method, options, rows, length)
            try:
                steps.seconds()
                found[key].append(steps.seconds())
            finally:
                steps.close()
    return {key: median(values) for key, values in found.items()}


def slope(seconds: dict[int, float]) -> float:
    """The power of x with which seconds grow, by least squares of the logarithms; 1 is linear."""
    points = [(math.log(x), math.log(y)) for x, y in seconds.items() if x]
    mx, my = (sum(column) / len(points) for column in zip(*points, strict=True))
    return float(sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points))


def line(seconds: dict[int, float]) -> tuple[float, float]:
    """Seconds of no block and of each block, by least squares."""
    points = [(n, s) for n, s in seconds.items() if n]
    mx, my = (sum(column) / len(points) for column in zip(*points, strict=True))
    each = sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)
    return my - each * mx, each


def table(title: str, seconds: dict[int, float], tokens: Sequence[int]) -> None:
    """Print seconds a step and a thousand tokens."""
    print(f"\n{title:>10}  seconds a step  a thousand tokens")
    for (key, s), n in zip(seconds.items(), tokens, strict=True):
        print(f"{key:>10}  {s:14.3f}  {1000 * s / n:17.3f}")


def main() -> None:
    """Measure, print the tables, write the result and its picture."""
    from luthier.io.config import Recipe
    from luthier.models.loading.of_recipe import load_base

    given, threads = arguments(), min(2, len(os.sched_getaffinity(0)))
    lm: Any = load_base(Recipe(model=given.model, dtype="float32", threads=threads))
    blocks = [n for n in given.blocks if n <= len(lm.blocks)]
    by_length = measured(lm, {n: ("lora", {}, 1, n) for n in given.lengths}, given.rounds)
    table("tokens", by_length, given.lengths)
    by_batch = measured(lm, {n: ("lora", {}, n, ROWS_OF) for n in given.batches}, given.rounds)
    table("rows", by_batch, [n * ROWS_OF for n in given.batches])
    ways = {n: ("layers", {"n": n}, BLOCK_ROWS, ROWS_OF) if n else ("head", {}, BLOCK_ROWS, ROWS_OF) for n in blocks}
    by_blocks = measured(lm, ways, given.rounds)
    table("blocks", by_blocks, [BLOCK_ROWS * ROWS_OF] * len(blocks))
    powers = {"length": slope(by_length), "batch": slope(by_batch)}
    print(f"\nseconds grow with length to the power {powers['length']:.2f}, with the batch to {powers['batch']:.2f}")
    rest, each = line(by_blocks) if sum(n > 0 for n in blocks) > 1 else (math.nan, math.nan)
    print(f"layers: {rest:.3f} s and {each:.3f} s for each block that trains; those below cost nothing")
    if not given.dry:
        found = {"length": by_length, "batch": by_batch, "blocks": by_blocks}
        save(found, {"rounds": given.rounds, "threads": threads}, powers, {"rest": rest, "each_block": each})


def save(found: dict[str, dict[int, float]], settings: Figures, powers: Figures, layers: Figures) -> None:
    """`results/cost.json` and `results/cost.svg`."""
    peer.save(
        "cost",
        {
            "settings": settings
            | {"dtype": "float32", "tokens of a row": ROWS_OF, "rows where blocks change": BLOCK_ROWS},
            "versions": measure.versions("luthier", "torch", "transformers"),
            "seconds_a_step": found,
            "grows_with_the_power": powers,
            "layers_seconds": layers,
        },
    )
    panels = [
        picture.panel("LoRA, one row", "tokens of the row", found["length"], log=True),
        picture.panel(f"LoRA, rows of {ROWS_OF} tokens", "rows", found["batch"], log=True),
        picture.panel("layers (0: head)", "blocks that train", found["blocks"], log=False),
    ]
    (peer.HERE / "results" / "cost.svg").write_text(picture.svg(panels), encoding="utf-8")
    print("written to bench/results/cost.svg")


if __name__ == "__main__":
    main()
