"""What both sides of a benchmark measure in the same way; imports nothing but torch and the standard library.

A side is a script that prints one JSON object as its last line. Its environment is its own, so this file is all that
ours and a peer's have in common.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def product_rate(seconds: float = 1.0, size: int = 1024, multiply: Callable[[Any, Any], object] | None = None) -> float:
    """GFLOP/s of float32 matrix products over about so many seconds: less than usual when the cores are shared.

    multiply: another way to take the product of two square matrices than torch's own.
    """
    import torch

    a = torch.randn(size, size)
    out = a @ a  # the first product starts the threads
    way = multiply or (lambda x, y: torch.mm(x, y, out=out))
    way(a, a)
    done, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        way(a, a)
        done += 1
    return 2 * size**3 * done / (time.perf_counter() - begin) / 1e9


def peak_bytes() -> int:
    """The most memory this process has held so far, as Linux counts it (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def cores() -> set[int]:
    """The cores that this process may use: `taskset` gives a measurement some of them, for others the rest."""
    return os.sched_getaffinity(0)


def _busy() -> float:
    """CPU seconds that our cores spent working since the machine started, what a host took away included."""
    ours, total = {f"cpu{i}" for i in cores()}, 0
    for name, *fields in map(str.split, Path("/proc/stat").read_text().splitlines()):
        if name in ours:
            spent = [int(x) for x in fields[:8]]
            total += sum(spent) - spent[3] - spent[4]  # without idle and waiting for a disk
    return total / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """CPU seconds of this process, and of its children that have ended."""
    return sum(os.times()[:4])


class Watch:
    """Wall seconds between `start` and `stop`, CPU seconds of this process and its children (`own`), and the share of

    the cores that other processes took meanwhile.
    """

    def __init__(self) -> None:
        self.seconds = self.others = self.own = 0.0
        self._at = (0.0, 0.0, 0.0)

    def start(self) -> None:
        """Begin to count; a second call begins anew."""
        self._at = (time.perf_counter(), _own(), _busy())

    def stop(self) -> None:
        """Set `seconds`, `own` and `others`; may be called again, later."""
        wall, own, busy = self._at
        self.seconds, self.own = time.perf_counter() - wall, _own() - own
        foreign = (_busy() - busy) - self.own
        self.others = max(0.0, foreign / (self.seconds * len(cores())))


def measured(work: Callable[[], T]) -> tuple[T, Watch, dict[str, Any]]:
    """What the work gave, its watch, and the figures that every side tells: how long, beside whom, memory and rates.

    The rate of matrix products is taken before and after, so that what else ran on the cores can be seen.
    """
    before, watch = product_rate(), Watch()
    watch.start()
    found = work()
    watch.stop()
    return found, watch, figures(watch, before, peak_bytes())


def warmed(begun: float, warm: Callable[[], object], work: Callable[[], object]) -> dict[str, Any]:
    """Figures of work that was warmed up first: seconds, start-up (from `begun`, by perf_counter), peak, others' share.

    The peak is the larger one of this process's and of its children that have ended.
    """
    from resource import RUSAGE_CHILDREN, getrusage

    warm()
    start, watch = time.perf_counter() - begun, Watch()
    watch.start()
    work()
    watch.stop()
    peak = max(peak_bytes(), 1024 * getrusage(RUSAGE_CHILDREN).ru_maxrss)
    return {"seconds": watch.seconds, "start": start, "peak_bytes": peak, "others": watch.others}


def clocked(owner: Any, name: str, spent: list[float]) -> None:
    """Have the seconds of each call of a function of this module or class appended."""
    plain = getattr(owner, name)

    def watched(*given: Any) -> Any:
        begin = time.perf_counter()
        try:
            return plain(*given)
        finally:
            spent.append(time.perf_counter() - begin)

    setattr(owner, name, watched)


def figures(watch: Watch, before: float, peak: int) -> dict[str, Any]:
    """What every side tells of a watched run. before: the rate of matrix products when it began."""
    rates = [before, product_rate()]
    return {"seconds": watch.seconds, "others": watch.others, "peak_bytes": peak, "product_rate": rates}


def drawn(watch: Watch, answers: int, length: float) -> dict[str, float]:
    """How fast answers of so many tokens on average were drawn and learned from."""
    rate = answers / watch.seconds
    return {"samples_per_second": rate, "tokens_per_second": length * rate, "length": length}


def versions(*names: str) -> dict[str, str]:
    """Versions of these packages in this environment."""
    out = {}
    for name in names:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "not installed"
    return out


def give(**figures: Any) -> None:
    """Print the side's result: the last line of its output."""
    print(json.dumps(figures), flush=True)


def asked(prepare: Callable[[Path, dict[str, Any]], object]) -> tuple[str, Path, dict[str, Any]] | None:
    """What a script of ours is to do in a folder with its `job.json`; None where it was to prepare, which is done."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    if what == "prepare":
        prepare(folder, job)
        return None
    return what, folder, job
