"""LoRA SFT: Luthier against TRL's SFTTrainer with PEFT, on the same rows, tokens, start, threads and number format.

    make bench NAME=sft_vs_trl

Two peers: TRL as it comes (the same batches in the same order, so the losses must agree), and TRL at the fastest of
its documented settings for a CPU (packing and sorting by length are tried first, each once). Ratios are of real tokens
a second, medians over rounds in which all sides run in turn. The last line is the ratio to TRL at its best.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import peer
from peer import THREADS

ROWS, ROUNDS = 32, 2
SETTINGS: dict[str, Any] = {
    "batch": 8, "lr": 2e-4, "rank": 8, "alpha": 16.0, "max_length": 512, "clip": 1.0, "seed": 0, "threads": THREADS,
}  # fmt: skip
TRIED: dict[str, dict[str, Any]] = {
    "sorted by length": {"train_sampling_strategy": "group_by_length"},
    "packing, batch 4": {"packing": True, "per_device_train_batch_size": 4},
    "packing, batch 2": {"packing": True, "per_device_train_batch_size": 2},
}


def job_of(data: Path) -> dict[str, Any]:
    """The settings with the model's folder and the rows as they stand in the file."""
    from luthier.models.loading.bundled import embedded_model

    rows = json.loads(data.read_text(encoding="utf-8"))[:ROWS]
    return SETTINGS | {"model": str(embedded_model()), "rows": rows}


def line(figures: peer.Figures) -> str:
    """What a run is about, in a line."""
    return (
        f"{figures['tokens_per_second']:.1f} tokens/s, peak {figures['peak_bytes'] / 1e9:.2f} GB, "
        f"matrix products {figures['product_rate'][0]:.0f} GFLOP/s"
    )


def main() -> None:
    """Measure and write the result."""
    data = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/alpaca_en_1k.json")
    if not data.exists():
        sys.exit(f"{data}: not here; give a file of instruction, input and output as the argument")
    python = peer.environment("trl")
    with tempfile.TemporaryDirectory(prefix="sft-") as name:
        work = Path(name)
        (work / "job.json").write_text(json.dumps(job_of(data)), encoding="utf-8")
        ours: list[str | Path] = [sys.executable, peer.HERE / "ours_sft.py"]
        theirs: list[str | Path] = [python, peer.HERE / "peers" / "trl_sft.py"]
        size = peer.side([*ours, "prepare", work], THREADS)
        print(f"{ROWS} rows, {size['tokens']} tokens, the longest has {size['longest']}", flush=True)
        first = peer.side([*ours, "run", work], THREADS)
        (work / "rates.json").write_text(json.dumps(first["rates"]), encoding="utf-8")
        speeds = {}
        for title, settings in TRIED.items():
            tried = peer.side([*theirs, work, json.dumps(settings)], THREADS)
            speeds[title] = tried["tokens_per_second"]
            print(f"  TRL, {title}: {line(tried)}", flush=True)
        best = max(speeds, key=lambda title: speeds[title])
        found = peer.rounds(
            {
                "luthier": lambda: peer.side([*ours, "run", work], THREADS),
                "TRL as it comes": lambda: peer.side([*theirs, work, "{}", "--same"], THREADS),
                f"TRL at its best ({best})": lambda: peer.side([*theirs, work, json.dumps(TRIED[best])], THREADS),
            },
            ROUNDS,
            line,
        )
    report(found, speeds)


def report(found: dict[str, list[peer.Figures]], tried: dict[str, float]) -> None:
    """Print the ratios, check the losses, write the file."""
    (_, own), (_, plain), (best, packed) = found.items()
    losses, theirs = own[0]["losses"], plain[0]["losses"]
    apart = max(abs(a - b) for a, b in zip(losses, theirs, strict=True))
    speed = {name: peer.middle(runs, "tokens_per_second") for name, runs in found.items()}
    peak = {name: peer.middle(runs, "peak_bytes") for name, runs in found.items()}
    shares = {n: median(f["share_of_rate"][n] for f in own) for n in own[0]["share_of_rate"]}
    as_it_comes, at_best = (speed["luthier"] / speed[name] for name in list(speed)[1:])
    peer.save(
        "sft_vs_trl",
        {
            "settings": SETTINGS | {"rows": ROWS, "rounds": ROUNDS, "dtype": "float32"},
            "versions": own[0]["versions"] | packed[0]["versions"],
            "tokens_per_second": speed,
            "peak_bytes": peak,
            "tried": tried,
            "losses": {"luthier": losses, "TRL as it comes": theirs, "largest difference": apart},
            "ratio_as_it_comes": as_it_comes,
            "ratio_at_best": at_best,
            "share_of_matrix_product_rate": shares,
            "memory_to_best": peak["luthier"] / peak[best],
            "runs": found,
        },
    )
    print(f"losses of the same batches: at most {apart:.4f} apart over {len(losses)} steps")
    for name, share in shares.items():
        print(
            f"counted operations over time: {share:.0%} of the matrix-product rate of {name}, measured in the same run"
        )
    print(f"peak memory against TRL at its best: {peak['luthier'] / peak[best]:.2f}")
    print(f"real tokens/s against TRL as it comes: {as_it_comes:.2f}")
    print(f"ratio {at_best:.2f}")


if __name__ == "__main__":
    main()
