"""A cluster of Ray as a pool: each shard is a task of one core, done again elsewhere where its worker dies.

    luthier corpus run recipe.yaml --out s3://bucket/clean --ray 10.0.0.1:6379

All machines have this version of the package, and see the input and the folder of what comes out under the same names:
by a shared file system or by an address. `check` asks every machine before the first shard.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.corpus import check_installed
from luthier.corpus.pool import Pool, Todo, Work
from luthier.io.files import write_text
from luthier.io.places import is_far
from luthier.version import __version__

RETRIES = 5  # of a task whose worker dies
WAIT = 5.0  # seconds until a machine counts as not there
ASKED = 60.0  # and until one that is there has told of itself


@contextmanager
def joined(address: str) -> Iterator[Pool]:
    """The cluster at an address, HOST:PORT, ray://HOST:PORT or auto, for as long. Raises LuthierError where none is."""
    check_installed("ray", extra="ray")
    _answers(address)
    import ray

    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except Exception as error:  # of many kinds: no cluster, another version, a wrong token
        raise LuthierError(f"--ray {address}: {' '.join(str(error).split())}") from None
    try:
        yield Cluster(address)
    finally:
        ray.shutdown()


def _answers(address: str) -> None:
    """Raise LuthierError where nothing listens there: Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdecimal():
        raise LuthierError(f"--ray {address}: HOST:PORT of a cluster's head, ray://HOST:PORT, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=WAIT).close()
    except (OSError, OverflowError) as error:
        raise LuthierError(
            f"--ray {address}: no cluster answers there ({error}): is it up (`ray status`), can this machine reach it?"
        ) from None


class Cluster(Pool):
    """The machines that this process has joined. address: as people named it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def in_turn(self, work: Work, todo: Todo, done: int) -> Iterator[int]:
        import ray

        yield done
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(_do)
        rest = iter(todo)
        at_once = 2 * max(int(ray.cluster_resources().get("CPU", 1)), 1)
        here = str(Path.cwd())
        waiting = [task.remote(here, work, given) for given in islice(rest, at_once)]
        while waiting:
            finished, waiting = ray.wait(waiting)
            for one in finished:
                self._had(one)
                waiting += [task.remote(here, work, given) for given in islice(rest, 1)]
                done += 1
                yield done

    def _had(self, one: Any, seconds: float | None = None) -> Any:
        """What a task gives; raises what it raised."""
        import ray

        try:
            return ray.get(one, timeout=seconds)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, (LuthierError, OSError)):
                raise error.cause from None
            if isinstance(error.cause, ImportError):
                raise LuthierError(f"--ray {self.address}: on a machine of it {error.cause}: {INSTALL}") from None
            raise
        except ray.exceptions.RayError as error:
            raise LuthierError(
                f"--ray {self.address}: {' '.join(str(error).split())[:400]}: the same command goes on from here"
            ) from None

    def check(self, folder: Path, inputs: Sequence[Path]) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        told = folder / f".seen-{uuid.uuid4().hex[:8]}"
        new = not is_far(folder) and not folder.exists()
        write_text(told, "asked whether all machines see this folder\n")
        try:
            asked = [
                (node["NodeManagerAddress"], ray.remote(num_cpus=0)(_about).options(
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                ).remote(str(Path.cwd()), [told, *inputs]))
                for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")
            ]  # fmt: skip
            if not asked:
                raise LuthierError(f"--ray {self.address}: no machine of it has a core")
            for name, one in asked:
                self._judge(name, self._had(one, ASKED), folder, inputs)
        finally:
            told.unlink(missing_ok=True)
            if new:
                folder.rmdir()

    def _judge(self, name: str, about: dict[str, Any], folder: Path, inputs: Sequence[Path]) -> None:
        for what, own in OWN.items():
            if about[what] != own:
                raise LuthierError(
                    f"--ray {self.address}: {name} has {what} {about[what]}, this machine {own}: {INSTALL}"
                )
        for path, seen in zip([folder, *inputs], about["seen"], strict=True):
            if not seen:
                raise LuthierError(
                    f"--ray {self.address}: {name} does not see {path}: name a folder that all machines share, or an "
                    "address such as s3://bucket/folder"
                )


OWN = {"Luthier": __version__, "Python": platform.python_version()}
INSTALL = f"install luthier[corpus,ray]=={__version__} there"


def _in(folder: str) -> None:
    """Names of files are meant from where the command was given."""
    if Path(folder).is_dir():
        os.chdir(folder)


def _do(here: str, work: Work, given: tuple[Any, ...]) -> None:
    _in(here)
    work(*given)


def _about(here: str, paths: Sequence[Path]) -> dict[str, Any]:
    _in(here)
    return {**OWN, "seen": [path.exists() for path in paths]}
