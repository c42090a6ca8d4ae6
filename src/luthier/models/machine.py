"""What the machine does well, measured, and how much memory this process has used."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from luthier.core.phrases import say
from luthier.core.torchrun import beside
from luthier.version import __version__

FORMATS = ("float32", "bfloat16", "float16")
FASTER, SLOW = 1.5, 0.05  # times float32's rate; seconds of one product, after which no third is tried


def cores() -> int:
    """The CPU cores that this process may use, a container's quota (cgroup 2) included."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, max(1, round(int(quota) / int(period)))) if quota != "max" else count
    return count


def threads(wanted: int | None = None) -> int:
    """Set the number of CPU threads (the cores this process may use, unless given) and give it.

    Processes that torchrun started side by side share the cores out.
    """
    import torch

    torch.set_num_threads(wanted or max(cores() // beside(), 1))
    return torch.get_num_threads()


def device() -> str:
    """Where models run: the first GPU, or the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _rate(dtype: Any, where: str, product: Any) -> float:
    """Matrix-product rate in GFLOP/s, best of a few short tries."""
    import torch

    n = 4096 if where == "cuda" else 512
    a = torch.randn(n, n).to(where, dtype)
    best = 0.0
    for at in range(4):  # the first one warms up
        start = time.perf_counter()
        product(a, a)
        if where == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        best = max(best, 2 * n**3 / seconds / 1e9)
        if at and seconds > SLOW:
            break
    return best


def product_rates() -> dict[str, float]:
    """Matrix-product rates in GFLOP/s on the device that models run on, by number format, each at its fastest."""
    import torch

    from luthier.models.kernels.product import product

    return {name: _rate(getattr(torch, name), device(), product) for name in FORMATS}


def pick_dtype(wanted: str = "auto", rates: dict[str, float] | None = None) -> str:
    """The number format: one of 16 bits only where its products are measured to be clearly faster here than float32's.

    Of two such formats bfloat16, which has float32's range.
    """
    if wanted != "auto":
        return wanted
    rates = rates or product_rates()
    fast = [name for name in FORMATS[1:] if rates.get(name, 0.0) > FASTER * rates["float32"]]
    return fast[0] if fast else FORMATS[0]


def slow_format(name: str) -> list[str]:
    """A note where a format that was asked for is slower here than float32; else none."""
    rates = product_rates() if name in FORMATS[1:] else {}
    if rates.get(name, 1.0) >= rates.get(FORMATS[0], 0.0):
        return []
    best = max(rates, key=lambda other: rates[other])
    return [say("said_slow_dtype", dtype=name, rate=f"{rates[name]:.0f}", best=best, most=f"{rates[best]:.0f}")]


def waited() -> float | None:
    """Seconds that this process's threads were ready to run and had no core, since each began; None where not known."""
    total = 0
    try:
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                total += int((task / "schedstat").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return total / 1e9


class Clock:
    """Times a piece of work of this process: by the wall, by its processor time, and by how long it had no core."""

    def __init__(self) -> None:
        self._wall, self._cpu, self._waited = time.monotonic(), time.process_time(), waited()

    def read(self) -> dict[str, float]:
        """seconds, cpu_seconds (of all its threads), and waiting: without a core, as a share of the wall's time."""
        wall, now = time.monotonic() - self._wall, waited()
        lost = max(now - self._waited, 0.0) if now is not None and self._waited is not None else 0.0
        return {
            "seconds": wall,
            "cpu_seconds": time.process_time() - self._cpu,
            "waiting": min(lost / max(wall, 1e-9), 1.0),
        }


def reset_peak_memory() -> None:
    """Start counting the peak anew (Linux: the process's high-water mark; CUDA: the allocator's)."""

    import torch

    _trim()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> int:
    """Bytes: the process's peak resident memory since the last reset, plus the GPU allocator's peak."""
    import torch

    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 + gpu
    except OSError:
        pass
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit + gpu


def held_memory() -> int:
    """Bytes that this process and its workers hold now; 0 where the system does not say."""
    me = os.getpid()
    try:
        pids = [me, *map(int, Path(f"/proc/{me}/task/{me}/children").read_text().split())]
        rows = [row for pid in pids for row in Path(f"/proc/{pid}/status").read_text().splitlines()]
    except OSError:  # another system, or a worker that has just ended
        return 0
    return 1024 * sum(int(row.split()[1]) for row in rows if row.startswith("VmRSS:"))


def _trim() -> None:
    """Memory that is free goes back to the system, where its library can be told so (glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


class Heap:
    """Memory that steps of many sizes have cut up goes back to the system where a process has grown by it: without,
    one that trains LoRA on a small model held half as much again after 17 steps, and was still growing."""

    GROWN, APART = 1.2, 16  # times what the first step left; steps between two looks, since what goes back comes again

    def __init__(self) -> None:
        self.first = self.steps = 0

    def after_step(self) -> None:
        """Look from time to time, and give back what is free."""
        self.steps += 1
        self.first = self.first or held_memory()
        if self.steps % self.APART == 0 and held_memory() > self.GROWN * self.first:
            _trim()


def memory() -> dict[str, int]:
    """Bytes: total, available, and limit (of this group of processes; absent without one). Empty where not known."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        size = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
        found = {"total": size["MemTotal"], "available": size["MemAvailable"]}
    except (OSError, KeyError):
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
        return {"total": pages, "available": pages // 2} if pages else {}
    group = Path("/sys/fs/cgroup")
    most, used = ((group / f"memory.{name}") for name in ("max", "current"))
    if most.is_file() and used.is_file() and (text := most.read_text().strip()).isdigit():
        found["limit"] = int(text)
        kept = 0  # files that were read: given back when memory is wanted
        with contextlib.suppress(OSError, ValueError, StopIteration):
            lines = (group / "memory.stat").read_text().splitlines()
            kept = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
        found["available"] = min(found["available"], max(0, int(text) - int(used.read_text()) + kept))
    return found


def environment() -> dict[str, str]:
    """Versions and machine, for `environment.json`; no names, no paths."""
    out = {"luthier": __version__, "python": platform.python_version()}
    out["system"] = f"{platform.system()} {platform.machine()}"
    for name in ("torch", "transformers", "tokenizers", "scikit-learn", "sacrebleu", "numpy"):
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "not installed"
    out["cores"] = str(os.cpu_count())
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        out["processor"] = next(x.split(":", 1)[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        out["processor"] = platform.processor()
    return out
