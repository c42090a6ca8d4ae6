"""LoRA DPO: Luthier against TRL's DPOTrainer with PEFT, on the same pairs, tokens, start, threads and number format.

    make bench NAME=dpo_vs_trl
    python bench/dpo_vs_trl.py --data FOLDER                  (with dpo_en_300.json in it)
    python bench/dpo_vs_trl.py --pairs 8 --rounds 1           (a try, nothing is written)

Both take the same eight pairs a step, in the same order and with the same learning rates, truncated at the length that
is the default of both, so the losses must agree. What is counted is the whole work: the reference's log-probabilities,
which TRL computes before it trains, and every step. TRL's side is the fastest of its documented settings for a CPU,
each tried once on a few pairs: how many pairs go through the model at once, gradient checkpointing (its
default), and no padding, which its documentation calls unavailable for now. Figures are medians over rounds in which
both sides run in turn. The last line is our pairs a second over TRL's.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import peer
from peer import THREADS

DATA, FILE, PAIRS, ROUNDS = Path("../shared/data"), "dpo_en_300.json", 32, 2
FEW = 4  # pairs on which each of TRL's settings is tried
GOAL, MEMORY, CLOSE = 1.8, 0.6, 1e-3  # what was asked for: times as fast, share of the memory, losses apart
SETTINGS: dict[str, Any] = {
    "batch": 8, "lr": 2e-4, "rank": 8, "alpha": 16.0, "beta": 0.1, "max_length": 1024, "clip": 1.0, "seed": 0,
    "threads": THREADS,
}  # fmt: skip
ONE, TWO = ({"per_device_train_batch_size": n, "gradient_accumulation_steps": SETTINGS["batch"] // n} for n in (1, 2))
TRIED: dict[str, dict[str, Any]] = {
    "one pair at once": ONE,
    "two pairs at once": TWO,
    "one pair at once, checkpointing": ONE | {"gradient_checkpointing": True},
    "one pair at once, padding-free": ONE | {"padding_free": True},
}


def line(figures: peer.Figures) -> str:
    """What a run is about, in a line."""
    return (
        f"{figures['pairs_per_second']:.4f} pairs/s ({figures['seconds']:.0f} s, {figures['reference_seconds']:.0f} of "
        f"them for the reference), peak {figures['peak_bytes'] / 1e9:.2f} GB, "
        f"matrix products {figures['product_rate'][0]:.0f} GFLOP/s"
    )


class Sides:
    """Both programs on the first pairs of the file, in a folder of their own."""

    def __init__(self, work: Path, data: Path, pairs: int) -> None:
        from luthier.models.loading.bundled import embedded_model

        self.work, self.python = work, peer.environment("trl")
        work.mkdir()
        rows = json.loads((data / FILE).read_text(encoding="utf-8"))[:pairs]
        (work / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
        (work / "job.json").write_text(json.dumps(SETTINGS | {"model": str(embedded_model())}), encoding="utf-8")
        self.size = self.ours("prepare")

    def ours(self, what: str = "run") -> peer.Figures:
        """Our side, or what comes before both."""
        return peer.side([sys.executable, peer.HERE / "ours_dpo.py", what, self.work], THREADS)

    def theirs(self, settings: dict[str, Any], *more: str) -> peer.Figures:
        """TRL with these settings."""
        script = peer.HERE / "peers" / "trl_dpo.py"
        return peer.side([self.python, script, self.work, json.dumps(settings), *more], THREADS)


def tried(sides: Sides) -> dict[str, peer.Figures]:
    """TRL's settings, each once; what does not fit into the machine's memory is left out, and said."""
    found = {}
    for title, settings in TRIED.items():
        try:
            found[title] = sides.theirs(settings)
        except SystemExit as error:
            if "memory" not in str(error):
                raise
            print(f"  TRL, {title}: does not fit into the memory that is left here", flush=True)
            continue
        kept = "" if _stands(found, title) else "; TRL padded all the same: not counted as a setting"
        print(f"  TRL, {title}: {line(found[title])}{kept}", flush=True)
    return found


def _stands(ways: dict[str, peer.Figures], title: str) -> bool:
    """Whether TRL did what the setting asks for: without padding it may go on with padding, and say so."""
    return bool(ways[title]["padding_free"]) == bool(TRIED[title].get("padding_free"))


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    if not (given.data / FILE).exists():
        sys.exit(f"{given.data / FILE}: not here; --data names the folder that has {FILE}")
    with tempfile.TemporaryDirectory(prefix="dpo-") as name:
        ways = tried(Sides(Path(name) / "tried", given.data, min(FEW, given.pairs)))
        best = max((title for title in ways if _stands(ways, title)), key=lambda title: ways[title]["pairs_per_second"])
        sides = Sides(Path(name) / "all", given.data, given.pairs)
        size = sides.size
        print(f"{size['pairs']} pairs, {size['tokens']} tokens, {size['longest']} in the longest sequence", flush=True)
        rates = sides.work / "rates.json"

        def ours() -> peer.Figures:
            found = sides.ours()
            rates.write_text(json.dumps(found["rates"]), encoding="utf-8")
            return found

        way = f"TRL at its best ({best})"
        both = {"luthier": ours, way: lambda: sides.theirs(TRIED[best], "--rates")}
        found = peer.rounds(both, given.rounds, line)
    report(found, ways, size, written=(given.pairs, given.rounds) == (PAIRS, ROUNDS))


def report(
    found: dict[str, list[peer.Figures]], ways: dict[str, peer.Figures], size: peer.Figures, written: bool
) -> None:
    """Print the ratios, check the losses, write the file."""
    (_, own), (way, other) = found.items()
    apart = max(abs(a - b) for a, b in zip(own[0]["losses"], other[0]["losses"], strict=True))
    speed = {name: peer.middle(runs, "pairs_per_second") for name, runs in found.items()}
    peak = {name: peer.middle(runs, "peak_bytes") for name, runs in found.items()}
    steps = [size["pairs"] / (peer.middle(r, "seconds") - peer.middle(r, "reference_seconds")) for r in (own, other)]
    ratio, memory, alone = speed["luthier"] / speed[way], peak["luthier"] / peak[way], steps[0] / steps[1]
    result = {
        "settings": SETTINGS | size | {"rounds": len(own), "dtype": "float32"},
        "versions": own[0]["versions"] | other[0]["versions"],
        "pairs_per_second": speed,
        "peak_bytes": peak,
        "tried": {n: {k: f[k] for k in ("pairs_per_second", "peak_bytes", "padding_free")} for n, f in ways.items()},
        "losses": {"luthier": own[0]["losses"], "TRL": other[0]["losses"], "largest difference": apart},
        "ratio": ratio,
        "ratio of the steps alone, without the reference": alone,
        "memory_to_best": memory,
        "runs": found,
    }
    if written:
        peer.save("dpo_vs_trl", result)
    print(f"losses of the same batches: {apart:.6f} apart at most; {_told(apart <= CLOSE)} ({CLOSE})")
    print(f"peak memory against TRL at its best: {memory:.2f}; {_told(memory <= MEMORY)} (at most {MEMORY})")
    print(f"pairs/s of the steps alone, without the reference: {alone:.2f} times TRL's")
    print(f"pairs/s of the whole: {_told(ratio >= GOAL)} (at least {GOAL})")
    print(f"ratio {ratio:.2f}")


def _told(reached: bool) -> str:
    return "as asked" if reached else "NOT as asked"


if __name__ == "__main__":
    main()
