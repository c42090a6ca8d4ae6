"""A cluster of Ray as a pool: each shard is a task of one core, done again elsewhere where its worker dies.

    luthier corpus run recipe.yaml --out s3://bucket/clean --ray 10.0.0.1:6379

All machines have this version of the package and of what shards hang on, and see under the same names what is read and
the folder of what comes out: by a shared file system or by an address. `check` asks every machine before the first
shard; machines that come later are not asked.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.corpus import check_installed
from luthier.corpus.pool import Pool, Todo, Work, take_threads
from luthier.io.files import write_text
from luthier.io.places import is_far, is_fault, unlink
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
        again: Any = [ConnectionError, TimeoutError]  # Ray's types know of True and False alone
        task = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=again)(_do)
        rest, here, waiting = iter(todo), str(Path.cwd()), list[Any]()
        while True:
            more = 2 * max(int(ray.cluster_resources().get("CPU", 1)), 1) - len(waiting)  # machines come and go
            waiting += [task.remote(here, work, given) for given in islice(rest, max(more, 0))]
            if not waiting:
                return
            finished, waiting = ray.wait(waiting)
            for one in finished:
                self._had(one)
                done += 1
                yield done

    def _had(self, one: Any, name: str = "", seconds: float | None = None) -> Any:
        """What a task gives; raises what it raised. name: of the machine that was asked."""
        import ray

        where = f"--ray {self.address}{f', {name}' if name else ''}"
        try:
            return ray.get(one, timeout=seconds)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, (LuthierError, OSError)):
                raise error.cause from None
            if is_fault(error.cause) or isinstance(error.cause, ImportError):
                raise LuthierError(f"{where}: {_one_line(error.cause)}") from None
            if "failed to import" in str(error.cause):  # Ray's own words where a machine lacks what a task is made of
                raise LuthierError(f"{where}: the package is not there, or another version: {INSTALL}") from None
            raise
        except ray.exceptions.GetTimeoutError:
            raise LuthierError(f"{where}: it said nothing in {seconds:.0f} s: is it overloaded?") from None
        except ray.exceptions.RayError as error:
            raise LuthierError(f"{where}: {_one_line(error)}: the same command goes on from here") from None

    def check(self, folder: Path, inputs: Sequence[Path]) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        inputs = list(dict.fromkeys(inputs))
        told = folder / f".seen-{uuid.uuid4().hex[:8]}"
        write_text(told, "asked whether all machines see this folder\n")
        try:
            asked = [
                (node["NodeManagerAddress"], ray.remote(num_cpus=0)(_about).options(
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                ).remote(str(Path.cwd()), [told, *inputs]))
                for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")
            ]  # fmt: skip
            for name, one in asked:
                self._judge(name, self._had(one, name, ASKED), folder, inputs)
        finally:
            unlink(told)

    def _judge(self, name: str, about: dict[str, Any], folder: Path, inputs: Sequence[Path]) -> None:
        for what, own in OWN.items():
            if about[what] != own:
                they = f"{name} has {what} {about[what]}, this machine {own}"
                raise LuthierError(f"--ray {self.address}: {they}: {INSTALL}")
        for path, seen in zip([folder, *inputs], about["seen"], strict=True):
            if not seen:
                raise LuthierError(
                    f"--ray {self.address}: {name} does not see {path}: name a folder that all machines share, or an "
                    "address such as s3://bucket/folder"
                )


def _version(name: str) -> str:
    return version(name) if find_spec(name) else "none"


# what shards hang on
OWN = {
    "Luthier": __version__, "Python": ".".join(platform.python_version_tuple()[:2]),
    **{name: _version(name) for name in ("pyarrow", "numpy", "numba", "tokenizers")},
}  # fmt: skip
INSTALL = f"install luthier[corpus,ray]=={__version__} there, and what it needs in the same versions"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__


def _in(folder: str) -> None:
    """Names of files are meant from where the command was given; where that is not, only addresses are known."""
    if Path(folder).is_dir():
        os.chdir(folder)


def _do(here: str, work: Work, given: tuple[Any, ...]) -> None:
    near = [one for one in given if isinstance(one, Path) and not is_far(one)]
    if any(not path.is_absolute() for path in near) and not Path(here).is_dir():
        raise LuthierError(f"{platform.node()} does not see {here}, where the command was given: see --ray in the docs")
    _in(here)
    take_threads(1)  # a task has one core
    work(*given)


def _about(here: str, paths: Sequence[Path]) -> dict[str, Any]:
    _in(here)
    return {**OWN, "seen": [path.exists() for path in paths]}
