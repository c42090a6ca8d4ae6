"""What this machine and installation can do: measured where it matters, and what is missing with the command for it.

Nothing is downloaded, and whether a model hub can be reached is not tested.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version

from luthier.core import catalog

Rows = list[tuple[str, str]]
STEPS = 4


def examine(step: Callable[[str], None]) -> dict[str, Rows]:
    """Findings by part, as pairs of what and how; `step` is told STEPS times what begins."""
    step("looking at the machine")
    found = {"machine": machine()}
    step("looking at what is installed")
    found |= {"installed": packages(), "methods": methods(), "model": embedded()}
    step("loading torch")
    found["machine"] += accelerator()
    step("measuring matrix products")
    found["speed"] = speed()
    return found


def machine() -> Rows:
    """Cores, memory and disk."""
    from luthier.models.loading.bundled import cache_dir
    from luthier.models.machine import cores, environment

    cache = cache_dir()
    there = next(p for p in (cache, *cache.parents) if p.exists())
    disk = shutil.disk_usage(there)
    about = environment()
    return [
        ("processor", f"{about['processor'] or 'unknown'}, {cores()} of {os.cpu_count()} cores to use"),
        ("memory", _memory()),
        ("disk of the cache", f"{disk.free / 1e9:.0f} GB free of {disk.total / 1e9:.0f} GB, {cache}"),
        ("system", f"{about['system']}, Python {about['python']}, Luthier {about['luthier']}"),
    ]


def _memory() -> str:
    from luthier.models.machine import memory

    size = memory()
    if not size:
        return "unknown"
    bound = f", this group of processes may use {size['limit'] / 1e9:.1f} GB" if "limit" in size else ""
    return f"{size['available'] / 1e9:.1f} GB available of {size['total'] / 1e9:.1f} GB{bound}"


def accelerator() -> Rows:
    """The GPUs that torch sees."""
    import torch

    if not torch.cuda.is_available():
        return [("GPU", "none that torch can use")]
    out = []
    for i in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(i)
        out.append((f"GPU {i}", f"{torch.cuda.get_device_name(i)}, {free / 1e9:.1f} GB free of {total / 1e9:.1f} GB"))
    return out


def speed() -> Rows:
    """Measured rates of matrix products, and the number format that follows from them."""
    from luthier.models.machine import device, pick_dtype, product_rates, threads

    count = threads()
    rates = product_rates()
    where = device() if device() != "cpu" else f"CPU, {count} {'thread' if count == 1 else 'threads'}"
    out = [(f"{name} products ({where})", f"{rate:.0f} GFLOP/s") for name, rate in rates.items()]
    return [*out, ("number format", f"{pick_dtype(rates=rates)}, unless dtype says otherwise")]


def packages() -> Rows:
    """What Luthier depends on, then each extra: versions, or the command that installs what is missing."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in requires("luthier") or []]
    except PackageNotFoundError:
        return [("luthier", "runs from its source and is not installed: pip install -e .")]
    out: Rows = []
    for extra in ("", *sorted({_extra(r) for r in wanted} - {""})):
        names = [r.name for r in wanted if _extra(r) == extra and (extra or r.marker is None or r.marker.evaluate())]
        missing = [name for name in names if _version(name) is None]
        have = ", ".join(f"{name} {_version(name)}" for name in names if name not in missing)
        title = f"extra {extra}" if extra else "needed"
        out.append((title, have or "nothing of it"))
        if missing:
            out.append((f"missing for {extra}" if extra else "MISSING", f"pip install {' '.join(missing)}"))
    return out


def _extra(requirement: object) -> str:
    """The extra that a requirement belongs to, "" for none."""
    text = str(getattr(requirement, "marker", "") or "")
    return text.split("extra ==", 1)[1].split()[0].strip("\"'") if "extra ==" in text else ""


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def methods() -> Rows:
    """Methods that lack a package of theirs."""
    entries = catalog.entries("direct", "patches", "objectives").values()
    lacking = {e.name: [n for n in e.needs if importlib.util.find_spec(n) is None] for e in entries}
    out = [(name, f"pip install {' '.join(needs)}") for name, needs in lacking.items() if needs]
    return [*out, ("ready", f"{len(lacking) - len(out)} of {len(lacking)} methods and objectives")]


def embedded() -> Rows:
    """Whether the embedded model is at hand."""
    from luthier.models.loading.bundled import FILE, MODULE, NAME, SHA256, cache_dir

    imported = list((cache_dir() / "models").glob(f"{NAME}-{SHA256[:12]}-v*/config.json"))
    if imported:
        state = "in the cache, ready"
    elif (cache_dir() / "gguf" / FILE).is_file() or importlib.util.find_spec(MODULE) is not None:
        state = "its file is here; the first use imports it (10 s)"
    else:
        state = "not here: luthier fetch"
    return [(NAME, state), ("model hub", "not tested")]
