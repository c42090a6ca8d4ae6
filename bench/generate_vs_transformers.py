"""Writing: Luthier against transformers' generate, the same prompts, ends, model, threads and number format.

    make bench NAME=generate_vs_transformers
    python bench/generate_vs_transformers.py --busy      # one thread, CPU seconds, one round: on a machine in use

16 conversations behind one system prompt, of 20 to 200 tokens each besides, are answered greedily with 8 to 64 tokens:
where each answer ends is given, so both sides write the same number. The peer runs at the fastest of its documented
settings, each tried once: left padding with SDPA, all rows in one batch or rows of like length in several, a static
cache, a compiled model, the system prompt's cache computed once. Tokens must be the same but where two logits are
closer than 1e-3. The ratio is of new tokens a second from prompts to answers, medians over rounds in which both run in
turn; it is the last line.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peer
from peer import THREADS

ROUNDS, ROWS, GOAL, TIE = 3, 16, 1.5, 1e-3
TRIED: dict[str, dict[str, Any]] = {
    "one batch": {"batch": ROWS},
    "batches of 8 of like length": {"batch": 8},
    "batches of 4 of like length": {"batch": 4},
    "one batch, system prompt cached": {"batch": ROWS, "prefix": True},
    "batches of 8, system prompt cached": {"batch": 8, "prefix": True},
    "one batch, static cache": {"batch": ROWS, "cache": "static"},
    "one batch, static cache, compiled": {"batch": ROWS, "cache": "static", "compiled": True},
}


def line(figures: peer.Figures) -> str:
    """What a run is about, in a line."""
    return (
        f"{figures['tokens_per_second']:.1f} tokens/s, peak {figures['peak_bytes'] / 1e9:.2f} GB, "
        f"matrix products {figures['product_rate'][0]:.0f} GFLOP/s, others took {figures['others']:.0%}"
    )


def checked(own: peer.Figures, other: peer.Figures) -> int:
    """How many answers part at a tie; an answer that parts elsewhere is an error."""
    parted = 0
    for row, (a, b) in enumerate(zip(own["answers"], other["answers"], strict=True)):
        assert len(a) == len(b), f"row {row}: {len(a)} and {len(b)} tokens"
        at = next((i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), None)
        if at is not None:
            assert own["margins"][row][at] <= TIE, f"row {row} parts at token {at}, no tie"
            parted += 1
    return parted


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--busy", action="store_true", help="one thread, CPU seconds, one round; nothing is written")
    busy = parser.parse_args().busy
    threads = 1 if busy else THREADS
    if busy:
        peer.QUIET = 1.0
    python = peer.environment("transformers")
    with tempfile.TemporaryDirectory(prefix="generate-") as name:
        work = Path(name)
        ours: list[str | Path] = [sys.executable, peer.HERE / "ours_generate.py"]
        theirs: list[str | Path] = [python, peer.HERE / "peers" / "transformers_generate.py", work]
        size = peer.side([*ours, "prepare", work, *(["--busy"] if busy else [])], threads)
        print(f"{ROWS} prompts, {size['shared']} tokens shared, {size['own']} their own; {size['new']} new", flush=True)
        tried: dict[str, peer.Figures] = {}
        for title, settings in TRIED.items():
            tried[title] = peer.side([*theirs, json.dumps(settings)], threads)
            print(f"  transformers, {title}: {line(tried[title])}", flush=True)
        best = max(tried, key=lambda title: tried[title]["tokens_per_second"])
        sides: dict[str, Callable[[], peer.Figures]] = {
            "luthier": lambda: peer.side([*ours, "run", work], threads),
            f"transformers ({best})": lambda: peer.side([*theirs, json.dumps(TRIED[best])], threads),
        }
        own, other = peer.rounds(sides, 1 if busy else ROUNDS, line).values()
    parted = max(checked(own[0], figures) for figures in (*tried.values(), *other))
    one, two = peer.middle(own, "tokens_per_second"), peer.middle(other, "tokens_per_second")
    result = {
        "dtype": "float32",
        "threads": threads,
        "goal": GOAL,
        "rows": ROWS,
        "tokens": size,
        "luthier_tokens_per_second": one,
        "transformers_tokens_per_second": two,
        "best": best,
        "tried": {title: figures["tokens_per_second"] for title, figures in tried.items()},
        "ratio": one / two,
        "answers_that_part_at_a_tie": parted,
        "peak_bytes": [peer.middle(own, "peak_bytes"), peer.middle(other, "peak_bytes")],
        "product_rates": [[f["product_rate"] for f in own], [f["product_rate"] for f in other]],
        "others": [[f["others"] for f in own], [f["others"] for f in other]],
        "versions": [own[0]["versions"], other[0]["versions"]],
    }
    if not busy:
        peer.save("generate_vs_transformers", result)
    print(f"luthier {one:.1f} tokens/s, transformers ({best}) {two:.1f}; {parted} of {ROWS} answers part at a tie")
    print(f"ratio {one / two:.2f}")


if __name__ == "__main__":
    main()
