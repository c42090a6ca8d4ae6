"""Pre-training: Luthier's loop against LitGPT's and transformers' Trainer, same Llama, rows, steps, threads, float32.

    make bench NAME=pretrain_vs_litgpt
    python bench/pretrain_vs_litgpt.py --rounds 1 --sizes small      (a try, nothing is written)

Ours is `luthier.training.loop.Loop` with `lm` on a stream of tokens; LitGPT's is its `pretrain.fit` on its model, in an
environment of its own; the Trainer's is that of `trl`. AdamW, every weight trained, vocabulary head tied, one stream of
real text cut at the same places. Each peer is tried with what its documentation has for speed (rows at once,
torch.compile, fused AdamW) and runs at its best. The losses of all steps must agree. Tokens/s are medians over rounds
in which all sides run in turn, from the end of the last warm step on. The share is of the rate of matrix products at
the model's own shapes, of 6 operations a number of a matrix and those of attention. The last line is the smallest ratio
to the faster peer.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import corpus_texts
import peer
from peer import THREADS

ROUNDS, APART = 3, 2e-3  # nats that the losses of a step may differ by: rounding, grown over the steps
SHARED: dict[str, Any] = {"length": 512, "lr": 1e-3, "clip": 1.0, "seed": 0, "threads": THREADS}
SIZES: dict[str, dict[str, Any]] = {
    "small": {"depth": 5, "vocabulary": 4096, "batch": 8, "micro": 4, "warm": 2, "steps": 8},
    "large": {"depth": 12, "vocabulary": 16384, "batch": 4, "micro": 4, "warm": 1, "steps": 4},
}  # fmt: skip
ASKED = {"small": 0.45, "large": 0.70}  # shares of the rate of matrix products
OURS, LITGPT, TRAINER = "luthier", "LitGPT", "Trainer"


def tries(batch: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Settings by which each peer is tried: as it comes, and what its documentation has for speed."""
    few = max(batch // 4, 1)
    return {
        LITGPT: {
            "plain": {"micro": batch, "compile": False, "fused": True},
            "compiled": {"micro": batch, "compile": True, "fused": True},
            f"compiled, {few} rows at once": {"micro": few, "compile": True, "fused": True},
        },
        TRAINER: {
            "plain": {"per_device_train_batch_size": batch},
            "compiled": {"per_device_train_batch_size": batch, "torch_compile": True},
            f"plain, {few} rows at once": {"per_device_train_batch_size": few},
        },
    }  # fmt: skip


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    given = corpus_texts.asked(parser)
    pythons = {LITGPT: peer.environment("litgpt"), TRAINER: peer.environment("trl")}
    found = {size: compared(size, given.data, given.rounds, pythons) for size in given.sizes}
    for size, one in found.items():
        told(size, one)
    ratio = min(one["ratio"] for one in found.values())
    if given.rounds == ROUNDS and len(found) == len(SIZES):
        peer.save("pretrain_vs_litgpt", {"settings": SHARED, "rounds": ROUNDS, "ratio": ratio, "sizes": found})
    print(f"ratio {ratio:.2f}")


def compared(size: str, data: Path, rounds: int, pythons: dict[str, str]) -> peer.Figures:
    """All sides at one size."""
    job = SHARED | SIZES[size] | {"data": str(data.resolve())}
    with tempfile.TemporaryDirectory(prefix="pretrain-") as name:
        work = Path(name)
        (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
        own: list[str | Path] = [sys.executable, peer.HERE / "ours_pretrain.py"]
        made = peer.side([*own, "prepare", work], THREADS)
        print(f"{size}: {made['parameters'] / 1e6:.1f} million parameters, {made['tokens']:,} tokens", flush=True)
        scripts = {LITGPT: "litgpt_pretrain.py", TRAINER: "trainer_pretrain.py"}

        def run(who: str, settings: dict[str, Any]) -> peer.Figures:
            return peer.side([pythons[who], peer.HERE / "peers" / scripts[who], work, json.dumps(settings)], THREADS)

        tried: dict[str, dict[str, float]] = {}
        for who, ways in tries(job["batch"]).items():
            tried[who] = {title: run(who, way)["tokens_per_second"] for title, way in ways.items()}
            print(f"  {who}: {', '.join(f'{title} {speed:.0f}' for title, speed in tried[who].items())} tokens/s")
        best = {who: max(speeds, key=speeds.__getitem__) for who, speeds in tried.items()}
        sides: dict[str, Callable[[], peer.Figures]] = {OURS: partial(peer.side, [*own, "train", work], THREADS)}
        for who, title in best.items():
            sides[who] = partial(run, who, tries(job["batch"])[who][title])
        runs = peer.rounds(sides, rounds, line)
    return {"job": SIZES[size], **made, "tried": tried, "best": best, **summed(runs), "runs": runs}


def line(figures: peer.Figures) -> str:
    """What a run is about, in a line."""
    share = f", {figures['share_of_rate']:.0%} of the rate" if "share_of_rate" in figures else ""
    return f"{figures['tokens_per_second']:.0f} tokens/s, peak {figures['peak_bytes'] / 1e9:.2f} GB{share}"


def summed(runs: Mapping[str, list[peer.Figures]]) -> peer.Figures:
    """Medians, and what they say of ours. Ends the program where losses show that the work was not the same."""
    losses = {who: own[0]["losses"] for who, own in runs.items()}
    apart = max(abs(a - b) for own in losses.values() for a, b in zip(losses[OURS], own, strict=True))
    if apart > APART:
        sys.exit(f"the sides did not do the same: losses {losses}")
    speed = {who: peer.middle(own, "tokens_per_second") for who, own in runs.items()}
    peak = {who: peer.middle(own, "peak_bytes") for who, own in runs.items()}
    return {
        "tokens_per_second": speed, "peak_bytes": peak, "apart": apart,
        "share_of_rate": peer.middle(runs[OURS], "share_of_rate"),
        "product_rate": peer.middle(runs[OURS], "product_rate"),
        "ratio": speed[OURS] / max(speed[LITGPT], speed[TRAINER]),
        "versions": {name: told for own in runs.values() for name, told in own[0]["versions"].items()},
    }  # fmt: skip


def told(size: str, one: peer.Figures) -> None:
    """Print a size's figures."""
    speed, peak = one["tokens_per_second"], one["peak_bytes"]
    print(f"{size}, {one['parameters'] / 1e6:.1f} million parameters")
    for who in speed:
        way = f" ({one['best'][who]})" if who in one["best"] else ""
        print(f"  {who}{way}: {speed[who]:.0f} tokens/s, peak {peak[who] / 1e9:.2f} GB")
    print(f"  losses at most {one['apart']:.1e} nats apart; {one['share_of_rate']:.0%} of {one['product_rate']:.0f} "
          f"GFLOP/s, the rate of matrix products at its shapes (asked {ASKED[size]:.0%}); {one['ratio']:.2f} times the "
          "faster peer")  # fmt: skip


if __name__ == "__main__":
    main()
