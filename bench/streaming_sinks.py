"""Streaming with attention sinks against reading the window anew for each token: time a token, and memory.

    make bench NAME=streaming_sinks
    python bench/streaming_sinks.py --busy --tokens 256     # one thread, CPU seconds: on a machine in use

The embedded model (float32) writes 4,096 tokens behind a window that is full, 4 first tokens and the last 1,020, one by
one. After each eighth of them the peer is timed: one pass over as many tokens as the window keeps, logits of the last
place alone, by the same kernels, which is what writing within a window takes where keys of other positions cannot be
kept. Memory is that of the keys and values and that of the process, after each eighth; what it grows by from the first
to the last is said. The ratio is of seconds a token, medians; it is the last line.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

import measure
import peer
from luthier.core.records import Sampling
from luthier.core.window import Window, window_of
from luthier.io.config import Recipe
from luthier.models.ends import Ends
from luthier.models.inference.streaming import Stream
from luthier.models.kernels.fast import fast
from luthier.models.loading.of_recipe import load_base

TOKENS, WINDOW, PARTS, AGAIN, GOAL = 4096, "4+1020", 8, 2, 10.0


def resident() -> int:
    """Bytes that this process holds now."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def text(lm: Any, count: int) -> list[int]:
    """Tokens of the embedded handbook, over and over."""
    import luthier

    folder = Path(luthier.__path__[0]) / "data" / "embedded" / "handbook"
    words = "\n\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md")))
    ids = list(lm.tokenizer(words)["input_ids"])
    return (ids * (count // len(ids) + 1))[:count]


def run(lm: Any, window: Window, tokens: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Times and memory of both, part by part."""
    stream, ids = Stream(lm, window), text(lm, window.reach)
    whole, places = torch.tensor(ids, device=lm.device), torch.arange(len(ids), device=lm.device)
    stream.read(ids[:-1])
    answer = stream.write(ids[-1:], Sampling(tokens), Ends(()))
    found: dict[str, Any] = {"stream": [], "anew": [], "kept": [], "resident": []}
    for part in range(PARTS):
        size = tokens // PARTS
        begun = clock()
        for _ in range(size):
            next(answer)
        found["stream"].append((clock() - begun) / size)
        with torch.no_grad(), fast(lm.model):
            begun = clock()
            for _ in range(AGAIN):
                lm.head.logits(lm.hidden(whole, places, [len(ids)])[-1:])
            found["anew"].append((clock() - begun) / AGAIN)
        found["kept"].append(stream.size)
        found["resident"].append(resident())
        print(
            f"  {(part + 1) * size} tokens: {1000 * found['stream'][-1]:.1f} ms a token, the window anew "
            f"{1000 * found['anew'][-1]:.0f} ms; keys and values {stream.size / 1e6:.1f} MB, process "
            f"{found['resident'][-1] / 1e6:.0f} MB",
            flush=True,
        )
    return found


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--busy", action="store_true", help="one thread, CPU seconds; nothing is written")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="written, at least 8")
    parser.add_argument("--window", default=WINDOW, help="first and last tokens that are kept")
    given = parser.parse_args()
    window, threads = window_of(given.window, "--window"), 1 if given.busy else peer.THREADS
    if window is None or given.tokens < PARTS:
        parser.error("a window such as 4+1020 is needed, and 8 tokens at least")
    lm: Any = load_base(Recipe(dtype="float32", threads=threads))
    found = run(lm, window, given.tokens, time.process_time if given.busy else time.perf_counter)
    grown = found["resident"][-1] - found["resident"][0]
    flat = len(set(found["kept"])) == 1
    print(f"keys and values: {'the same all along' if flat else 'NOT flat'}; the process grew by {grown / 1e6:.1f} MB")
    ratio = median(found["anew"]) / median(found["stream"])
    result = {
        "tokens": given.tokens, "window": given.window, "seconds a token": median(found["stream"]),
        "seconds anew": median(found["anew"]), "kept": found["kept"], "resident": found["resident"], "ratio": ratio,
        "versions": measure.versions("torch", "transformers"),
    }  # fmt: skip
    if not given.busy and (given.tokens, given.window) == (TOKENS, WINDOW):
        peer.save("streaming_sinks", result)
    print(f"at least {GOAL:g} asked for")
    print(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
