"""What a corpus costs by its size, and that one of ten times the memory limit runs.

    make bench NAME=corpus_scale
    python bench/corpus_scale.py --sizes 2,8 --limited 0      (a try, nothing is written)

Read, language, rules by language, exact and near duplicates, from files to files, one process; sizes in MB of JSON
Lines, start-up left out. Then the same in a control group that may have so much memory, on ten times as much text.
Writes results/corpus_scale.json with a picture of seconds by size (a straight line of slope 1 is linear cost), and
results/corpus_limited.json. The last line is the largest cost of a megabyte by the smallest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import corpus_texts
import measure
import peer
import picture

SIZES, LIMIT, RATE, FILE = (10, 40, 160, 640, 2000), 600, 0.5, 40  # MB, MB, share of words, MB of one file
STAGES = ["language", "filter", "exact", "near"]


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=lambda text: tuple(map(int, filter(None, text.split(",")))), default=SIZES)
    parser.add_argument("--limited", type=int, default=10 * LIMIT, help="MB of the corpus under the limit; 0: none")
    given = corpus_texts.asked(parser)
    found = {size: measured(given.data, size, 0) for size in given.sizes}
    about = {"stages": STAGES, "workers": 1, "versions": measure.versions("numba", "pyarrow", "numpy")}
    if given.sizes == SIZES:
        peer.save("corpus_scale", about | {"by MB": found})
        panel = picture.panel("Seconds by megabytes", "MB", {s: f["seconds"] for s, f in found.items()}, log=True)
        (peer.HERE / "results" / "corpus_scale.svg").write_text(picture.svg([panel]), encoding="utf-8")
    if given.limited:
        limited = measured(given.data, given.limited, given.limited * 10**5)
        if given.limited == 10 * LIMIT:
            peer.save("corpus_limited", about | {"MB": given.limited, "limit in MB": LIMIT} | limited)
    cost = [f["seconds"] / size for size, f in found.items()]
    if cost:
        print(f"ratio {max(cost) / min(cost):.2f}")


def measured(data: Path, size: int, limit: int) -> dict[str, Any]:
    """One run over so many MB. limit: bytes of memory, 0 for none."""
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        files(data, Path(name) / "input", size)
        found = run(Path(name), limit)
    print(f"  {size} MB{f' under {limit // 10**6} MB' if limit else ''}: {line(found, size)}", flush=True)
    return found


def files(data: Path, folder: Path, size: int) -> None:
    """Documents of together so many MB, in files of `FILE`."""
    folder.mkdir()
    for number in range(-(-size // FILE)):
        mine = min(FILE, size - number * FILE)
        corpus_texts.write(data, folder / f"{number:04d}.jsonl", mine * 10**6, (RATE,), seed=number)


def run(work: Path, limit: int = 0) -> dict[str, Any]:
    """Seconds and the most memory of all processes together (PSS). limit: bytes that they may have together."""
    command: list[str | Path] = [sys.executable, peer.HERE / "ours_corpus.py", work, json.dumps(STAGES), "count"]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join((str(peer.HERE), str(peer.HERE.parent / "src"))),
    }
    with group(limit) as joins:
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=joins)
        peak = [0]
        watcher = threading.Thread(target=_watch, args=(child, peak), daemon=True)
        watcher.start()
        out, _ = child.communicate()
    if child.returncode:
        sys.exit(f"ours_corpus.py ended with {child.returncode}")
    figures = json.loads(out.strip().splitlines()[-1])
    return {"seconds": figures["seconds"], "documents kept": figures["kept"], "peak_bytes": peak[0]}


@contextmanager
def group(limit: int) -> Iterator[Callable[[], None] | None]:
    """What puts a process into a control group of the kernel that may have so many bytes; None for no limit."""
    if not limit:
        yield None
        return
    first = Path("/sys/fs/cgroup/memory")
    place = (first if first.is_dir() else Path("/sys/fs/cgroup")) / f"luthier-{os.getpid()}"
    try:
        place.mkdir()
        (place / ("memory.limit_in_bytes" if first.is_dir() else "memory.max")).write_text(str(limit))
    except OSError as error:
        sys.exit(f"no control group can be made here ({error}): --limited 0")

    def joins() -> None:
        (place / "cgroup.procs").write_text(str(os.getpid()))

    try:
        yield joins
    finally:
        place.rmdir()


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
