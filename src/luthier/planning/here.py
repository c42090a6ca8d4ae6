"""How long operations take on this machine: each is done on random numbers of its shapes, and what it took is kept.

Those that weigh most come first; when the time is over, the others are told by how far these were from what their
arithmetic and their memory would take.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from itertools import starmap
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from luthier.io.files import read_record, write_json
from luthier.models.loading.bundled import cache_dir
from luthier.models.machine import Clock, environment, product_rates
from luthier.planning.dry_run import Operation, Shape

TRIES = 3
BUSY = 0.1  # share of the time without a core, beyond which nothing is kept: it is measured anew another time
FRESH = "a fresh byte"
MARK, SIDE = "a product of two squares", 512  # timed again at each plan, with so many rows
SLOWER = 1.25  # times what it takes now: all that was kept is of a slower hour, and is measured anew
SHARE = 0.5  # of a GPU's products that training reaches
MOST = 256 << 20  # bytes that one operation may read and write to be done here; of longer lists a part is done
RATE, BANDWIDTH = 5e10, 1e10  # FLOP and bytes a second: only to put operations in order
CALL = 2e-5  # seconds of the program around each operation


def seconds(measuring: float, *works: Mapping[Operation, float]) -> list[float]:
    """Of each of these, one operation after another. measuring: seconds of it, at most."""
    weights: dict[Operation, float] = {}
    for work in works:
        for operation, count in work.items():
            weights[operation] = weights.get(operation, 0.0) + count * _roughly(operation)
    known, clock, begun = _known(), Clock(), time.perf_counter()
    before = len(known)
    for operation in sorted(weights, key=lambda o: -weights[o]):
        if time.perf_counter() - begun > measuring:
            break
        if (key := _key(operation)) not in known and (took := _timed(operation)) is not None:
            known[key] = took
    if len(known) > before and clock.read()["waiting"] < BUSY:
        write_json(_path(), known)
    found = {operation: known[key] for operation in weights if (key := _key(operation)) in known}
    rough = sum(_roughly(operation) for operation in found)
    factor = sum(found.values()) / rough if rough else 1.0
    each = {o: found.get(o, factor * _roughly(o)) for o in weights}
    return [sum(count * (each[o] + CALL) for o, count in work.items()) for work in works]


def first_touch() -> float:
    """Seconds that a byte costs which the system has to give, besides what is done with it: measured once."""
    known = _known()
    if FRESH not in known:
        took = []
        fresh = torch.empty(64 << 18)
        for _ in range(2):
            start = time.thread_time()
            fresh.fill_(1.0)
            took.append(time.thread_time() - start)
        known[FRESH] = max(took[0] - took[1], 0.0) / fresh.nbytes
        write_json(_path(), known)
    return known[FRESH]


def on_gpu(flops: float) -> float:
    """Seconds of so much arithmetic, at a share of the rate of products that is measured here."""
    rates = product_rates()
    return flops / (max(rates.values()) * 1e9 * SHARE)


def _roughly(operation: Operation) -> float:
    return operation.flops / RATE + operation.moved / BANDWIDTH


def _key(operation: Operation) -> str:
    told = f"{operation.func} {operation.args} {operation.options}"
    return hashlib.sha256(told.encode()).hexdigest()[:24]


def _path() -> Path:
    about = [torch.get_num_threads(), *(environment()[name] for name in ("torch", "processor", "cores"))]
    return cache_dir() / "rates" / f"{hashlib.sha256(str(about).encode()).hexdigest()[:16]}.json"


def _known() -> dict[str, float]:
    """What was measured before on this machine with as many threads, unless it was slower then than it is now."""
    path, now = _path(), _mark(torch.get_num_threads())
    kept = {key: float(value) for key, value in read_record(path).items()} if path.exists() else {}
    return kept if 0 < kept.get(MARK, 0.0) <= SLOWER * now else {MARK: now}


@cache
def _mark(threads: int) -> float:
    """Seconds of the product by which hours are compared, once a process."""
    a = torch.ones(SIDE, SIDE)
    return _quickest(lambda: a @ a)


def _quickest(call: Callable[[], object]) -> float:
    """Seconds of the thread at best, after a first call that counts for nothing."""
    call()
    took = []
    for _ in range(TRIES):
        start = time.thread_time()  # other programs take their turns, too
        call()
        took.append(time.thread_time() - start)
    return min(took)


def _timed(operation: Operation) -> float | None:
    """Seconds at best; None where it cannot be done by itself."""
    scale, given = _within(operation)
    if scale is None:
        return None
    with torch.no_grad(), suppress(Exception):  # whatever it says of random numbers: it is not measured then
        args, options = [_filled(value) for value in given], {k: _filled(v) for k, v in operation.options}
        return scale * _quickest(lambda: operation.func(*args, **options))
    return None


def _within(operation: Operation) -> tuple[float | None, tuple[Any, ...]]:
    """Its arguments, lists of tensors as far as MOST goes, and how many times larger the whole is; None: too large."""
    if operation.moved <= MOST:
        return 1.0, operation.args
    lists = [value for value in operation.args if isinstance(value, tuple) and value and isinstance(value[0], Shape)]
    if not lists:
        return None, ()
    share, whole = 0, sum(starmap(_size, ((shape,) for shape in lists[0])))
    count = 0
    for shape in lists[0]:
        if count and (share + _size(shape)) * operation.moved > MOST * whole:
            break
        share, count = share + _size(shape), count + 1
    cut = tuple(value[:count] if isinstance(value, tuple) and len(value) == len(lists[0]) else value
                for value in operation.args)  # fmt: skip
    return whole / share, cut


def _size(shape: Shape) -> int:
    size = shape.dtype.itemsize
    for n in shape.size:
        size *= n
    return size


def _filled(value: Any) -> Any:
    """Random numbers in the places of shapes; numbers that are counted are 0, what is true or false is true."""
    if isinstance(value, tuple):
        return [_filled(part) for part in value]
    if not isinstance(value, Shape):
        return value
    need = 1 + sum((n - 1) * step for n, step in zip(value.size, value.stride, strict=True)) if value.size else 1
    flat: Tensor
    if value.dtype.is_floating_point:
        flat = torch.randn(max(need, 1)).to(value.dtype)
    else:
        flat = (
            torch.ones(max(need, 1), dtype=value.dtype)
            if value.dtype is torch.bool
            else torch.zeros(max(need, 1), dtype=value.dtype)
        )
    return flat.as_strided(value.size, value.stride)
