"""What a small model learns from raw text: the recipes that come with the product, and an hour of the English one.

    python bench/pretrain_quality.py english chinese
    python bench/pretrain_quality.py hour              # one thread

Each run is `luthier pretrain` in a new folder: text, tokenizer, shards, model, evaluation. Its bits a byte of held-out
text stand beside what `xz -9` and a byte 5-gram need for the same bytes given the same training text; seconds are of
the whole command. One seed, so that the interval is of the text, not of training. The last line is the smallest of the
baselines' bits by ours: above 1 where the model tells the text better.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import measure
import peer

RECIPES = peer.HERE.parent / "recipes"
RUNS: dict[str, tuple[str, list[str]]] = {
    "english": ("tiny-en.yaml", []),
    "chinese": ("tiny-zh.yaml", []),
    "hour": ("tiny-en.yaml", ["shape.depth=6", "training.tokens=4500000", "threads=1"]),
}
TOLD = (
    "parameters", "tokens", "bits_per_byte", "bits_per_byte_ci95", "byte_5gram", "xz", "below_5gram", "choices",
)  # fmt: skip


def main() -> None:
    """Run what is asked for, one after another; print and write each result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=RUNS, default=list(RUNS))
    ratios = []
    for name in parser.parse_args().names:
        with tempfile.TemporaryDirectory(prefix="pretrain-") as work:
            found = ran(name, Path(work) / "run")
        peer.save(f"pretrain_{name}", found)
        bits = found["bits_per_byte"]
        ratios.append(min(found["byte_5gram"], found["xz"]) / bits)
        others = f"byte 5-gram {found['byte_5gram']:.3f}, xz {found['xz']:.3f}"
        print(f"{name}: {bits:.3f} bits a byte in {found['seconds'] / 60:.1f} minutes; {others}")
    print(f"ratio {min(ratios):.2f}")


def ran(name: str, folder: Path) -> peer.Figures:
    """The command to its end; what it wrote, and how long it took."""
    recipe, settings = RUNS[name]
    begin = time.perf_counter()
    peer.luthier("pretrain", str(RECIPES / recipe), *settings, "--out", str(folder))
    seconds = time.perf_counter() - begin
    written = json.loads((folder / "eval.json").read_text("utf-8"))
    return {
        "command": f"python bench/pretrain_quality.py {name}", "recipe": recipe, "settings": settings,
        "seconds": seconds, **{key: written[key] for key in TOLD},
        "heldout_bytes": Path(written["heldout_text"]).stat().st_size,
        "train_bytes": Path(written["train_text"]).stat().st_size,
        "versions": measure.versions("luthier", "torch", "transformers"),
    }  # fmt: skip


if __name__ == "__main__":
    main()
