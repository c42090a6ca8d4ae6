"""Where shards are worked on: in processes of this machine, or on a cluster (`cluster`).

    work(*given) for each of todo --Pool--> files, whole or absent, wherever that was done

What is done with a shard hangs on nothing but what it is given, so that a pool does it anew elsewhere where a worker
dies, and every pool leaves the same bytes.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError

Work = Callable[..., None]
Todo = Sequence[tuple[Any, ...]]
THREADS = "RAYON_NUM_THREADS"


class Pool(ABC):
    """Workers."""

    @abstractmethod
    def in_turn(self, work: Work, todo: Todo, done: int) -> Iterator[int]:
        """Do all of it; yields how many are done, with those that were before. Raises what the work raises.

        work: a function of a module, which workers import.
        """

    def check(self, folder: Path, inputs: Sequence[Path]) -> None:  # noqa: B027 - a pool of here sees what we see
        """Raise LuthierError where workers cannot see what they are to read, or where they are to write."""


class Here(Pool):
    """Processes of this machine; with one worker this process itself."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers

    def in_turn(self, work: Work, todo: Todo, done: int) -> Iterator[int]:
        yield done
        workers = min(self.workers, len(todo))
        if workers <= 1:
            for given in todo:
                work(*given)
                done += 1
                yield done
            return
        begin = os.getpid(), len(os.sched_getaffinity(0)) // workers
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=begin) as pool:
            rest = iter(todo)
            waiting = {pool.submit(work, *given) for given in islice(rest, 2 * workers)}  # a crawl has very many shards
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    try:
                        future.result()
                    except BrokenProcessPool:
                        raise LuthierError(
                            "a worker was ended from outside, as when memory runs out: give fewer --workers; the same "
                            "command goes on from here"
                        ) from None
                    waiting |= {pool.submit(work, *given) for given in islice(rest, 1)}
                    done += 1
                    yield done


def take_threads(number: int) -> None:
    """Have the tokenizers' library take so many threads at most, unless people say how many. By itself it takes one for
    each core, in every worker, and threads that wait for a core cost a fifth of the time."""
    os.environ.setdefault(THREADS, str(max(number, 1)))


def threads() -> int:
    """How many the tokenizers' library takes in this process."""
    told = os.environ.get(THREADS, "")
    return int(told if told.isdecimal() else 0) or len(os.sched_getaffinity(0))


def _begin(parent: int, number: int) -> None:
    """What a worker begins with: its share of the cores, and an end soon after the process that started it, since a
    pool's workers outlive a parent that is killed."""
    take_threads(number)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
