"""What a corpus costs by its size, and that one of ten times the memory limit runs.

    make bench NAME=corpus_scale
    python bench/corpus_scale.py --sizes 2,8 --limited 0      (a try, nothing is written)

Read, language, rules by language, exact and near duplicates, from files to files, one process; sizes in MB of JSON
Lines, start-up left out. Then the same under a limit of its data segment (RLIMIT_DATA), on ten times as much text.
Writes results/corpus_scale.json and a picture of seconds by size: a straight line of slope 1 is linear cost. The last
line is the largest cost of a megabyte by the smallest.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import corpus_texts
import measure
import peer
import picture

SIZES, LIMIT, RATE, FILE = (10, 40, 160, 640, 2000), 600, 0.5, 40  # MB, MB, share of words, MB of one file
STAGES = ["language", "filter", "exact", "near"]


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=lambda text: tuple(map(int, text.split(","))), default=SIZES)
    parser.add_argument("--limited", type=int, default=10 * LIMIT, help="MB of the corpus under the limit; 0: none")
    given = corpus_texts.asked(parser)
    found, limited = {}, None
    for size in given.sizes:
        with tempfile.TemporaryDirectory(prefix="scale-") as name:
            files(given.data, Path(name) / "input", size)
            found[size] = run(Path(name))
            print(f"  {size} MB: {line(found[size], size)}", flush=True)
    if given.limited:
        with tempfile.TemporaryDirectory(prefix="limited-") as name:
            files(given.data, Path(name) / "input", given.limited)
            limited = run(Path(name), given.limited * 10**5)
            print(f"  {given.limited} MB under {given.limited // 10} MB: {line(limited, given.limited)}", flush=True)
    cost = [f["seconds"] / size for size, f in found.items()]
    result = {"stages": STAGES, "workers": 1, "by MB": found, "limited": limited,
              "versions": measure.versions("numba", "pyarrow", "numpy")}  # fmt: skip
    if given.sizes == SIZES and given.limited == 10 * LIMIT:
        peer.save("corpus_scale", result)
        panel = picture.panel("Seconds by megabytes", "MB", {s: f["seconds"] for s, f in found.items()}, log=True)
        (peer.HERE / "results" / "corpus_scale.svg").write_text(picture.svg([panel]), encoding="utf-8")
    print(f"ratio {max(cost) / min(cost):.2f}")


def files(data: Path, folder: Path, size: int) -> None:
    """Documents of together so many MB, in files of `FILE`."""
    folder.mkdir()
    for number in range(-(-size // FILE)):
        mine = min(FILE, size - number * FILE)
        corpus_texts.write(data, folder / f"{number:04d}.jsonl", mine * 10**6, (RATE,), seed=number)


def run(work: Path, limit: int = 0) -> dict[str, Any]:
    """Seconds and the most memory of all processes together (PSS)."""
    command: list[str | Path] = [sys.executable, peer.HERE / "ours_corpus.py", work, json.dumps(STAGES)]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join((str(peer.HERE), str(peer.HERE.parent / "src"))),
    }
    before: Callable[[], None] | None = None
    if limit:
        before = lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))  # noqa: E731
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=before)
    peak = [0]
    watcher = threading.Thread(target=_watch, args=(child, peak), daemon=True)
    watcher.start()
    out, _ = child.communicate()
    if child.returncode:
        sys.exit(f"ours_corpus.py ended with {child.returncode}")
    figures = json.loads(out.strip().splitlines()[-1])
    return {"seconds": figures["seconds"], "documents kept": len(figures["kept"]), "peak_bytes": peak[0]}


def _watch(child: subprocess.Popen[str], peak: list[int]) -> None:
    while child.poll() is None:
        peak[0] = max(peak[0], sum(map(_memory, _tree(child.pid))))
        time.sleep(0.5)


def _tree(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _tree(int(child)))]


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(row.split()[1]) * 1024 for row in lines if row.startswith("Pss:")), 0)


def line(figures: dict[str, Any], size: int) -> str:
    """What a run is about, in a line."""
    return (
        f"{figures['seconds']:.1f} s, {size / figures['seconds']:.1f} MB/s, peak {figures['peak_bytes'] / 1e6:.0f} MB, "
        f"{figures['documents kept']} documents kept"
    )


if __name__ == "__main__":
    main()
