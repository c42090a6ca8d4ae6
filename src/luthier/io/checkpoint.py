"""Checkpoints of a run: the last few, each one file of tensors, with everything else as JSON in its header.

    RUN/checkpoint/state-00000120.safetensors     after 120 steps
    RUN/checkpoint/state-00000120/                the same, written by several ranks (`luthier.training.ranks`)

What is to be kept is copied; a thread writes the copy while training goes on, one at a time. A file is whole or absent,
and its header has a checksum, so that one which something else has damaged is known, and the one before is taken.
"""

from __future__ import annotations

import json
import shutil
import time
import warnings
import zlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from luthier.core.errors import LuthierError
from luthier.io.files import write_tensors

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "checkpoint"  # in a run folder
EARLIER = "state"  # the name of the only file there, in runs of earlier versions
STATE = "state.json"  # in a folder that several ranks wrote
RANDOM = "random"  # random state, in a folder that of each rank behind a dot


@dataclass(frozen=True)
class Found:
    """What a checkpoint holds. damaged: why those that were written later could not be read, by file name."""

    path: Path
    state: dict[str, Any]
    tensors: dict[str, Tensor]
    damaged: dict[str, str]


class Checkpoints:
    """Those of a run folder. keep: how many stay; older ones go when a newer one is whole.

    Used in a `with` block, which ends when the last one is written.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder / FOLDER, keep
        self._writing: Future[None] | None = None
        self._begun, self._cost = time.monotonic(), 0.0  # the last one: when, and the seconds that training waited

    def __enter__(self) -> Self:
        self._begun = time.monotonic()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.wait()
        elif self._writing is not None:
            wait([self._writing])

    @property
    def ready(self) -> bool:
        """Whether another one can be begun without waiting. Raises what the last one failed by."""
        if self._writing is None or not self._writing.done():
            return self._writing is None
        self.wait()
        return True

    def due(self, seconds: float) -> bool:
        """Whether another one is to be begun: so long after the last, and it takes a twentieth of the time at most."""
        return self.ready and time.monotonic() - self._begun > max(seconds, 20 * self._cost)

    def wait(self) -> None:
        """Until what was begun is written. Raises OSError where it could not be; those before it are whole then."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def begin(self, step: int, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Copy state (JSON values) and tensors, and have them written. Waits for the one before."""
        import torch

        self.wait()
        begun = time.monotonic()
        whole = torch.contiguous_format
        copies = {name: t.detach().to("cpu", copy=True, memory_format=whole) for name, t in tensors.items()}
        path = self.folder / f"{EARLIER}-{step:08d}.safetensors"
        writer = ThreadPoolExecutor(1, "checkpoint")
        self._writing = writer.submit(self._write, path, json.dumps(state), copies)
        writer.shutdown(wait=False)  # once that is done
        self._taken(begun)

    def _taken(self, begun: float | None = None) -> None:
        """The next one is due so long after this; begun: when training began to wait for it."""
        self._begun = time.monotonic()
        self._cost = self._begun - (self._begun if begun is None else begun)

    def _write(self, path: Path, state: str, tensors: dict[str, Tensor]) -> None:
        try:
            write_tensors(path, tensors, {"luthier": state, "sum": _sum(tensors)})
        except OSError as error:
            why = f"{error.strerror or error}; the checkpoints before it are whole: the same command goes on from there"
            raise OSError(error.errno, why, str(path)) from error
        self._forget()

    def _forget(self) -> None:
        """Remove all but the newest."""
        for old in self._files()[self.keep :]:
            _remove(old)

    def _files(self) -> list[Path]:
        """All, the newest first."""
        found = [*self.folder.glob(f"{EARLIER}.safetensors"), *self.folder.glob(f"{EARLIER}-[0-9]*")]
        return sorted(found, key=_step, reverse=True)

    def drop(self, step: int) -> None:
        """Remove those from that step on: what they hold is no good."""
        self.wait()
        for path in self._files():
            if _step(path) >= step:
                _remove(path)

    def newest(self) -> Found | None:
        """The newest that can be read; later ones, which are damaged, and what a killed writer left are removed.

        Raises LuthierError where there are some and none can be read.
        """
        for left in self.folder.glob(f".{EARLIER}*.tmp"):
            _remove(left)
        damaged: dict[Path, str] = {}
        for path in self._files():
            try:
                state, tensors = _read_parts(path) if path.is_dir() else _read(path)
            except ValueError as error:
                damaged[path] = str(error)
                continue
            for bad in damaged:
                _remove(bad)
            return Found(path, state, tensors, {bad.name: why for bad, why in damaged.items()})
        if damaged:
            path, why = next(iter(damaged.items()))
            more = f", and {len(damaged) - 1} before it" if damaged.keys() - {path} else ""
            raise LuthierError(
                f"{path}: the checkpoint is damaged ({why}){more}: remove {self.folder}, and the run begins anew"
            )
        return None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _step(path: Path) -> int:
    """Steps that were done by then; -1 for the file of an earlier version, which does not say."""
    return int(path.stem.partition("-")[2] or -1)


def _sum(tensors: Mapping[str, Tensor]) -> str:
    """Of all bytes, in the order of the names (CRC-32)."""
    import torch

    found = 0
    for name in sorted(tensors):
        found = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """State and tensors. Raises ValueError where something else has changed the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            about: dict[str, str] = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        state: dict[str, Any] = json.loads(about["luthier"])
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from None
    if about.get("sum", "") not in ("", _sum(tensors)):
        raise ValueError("its bytes are not those that were written")
    return state, tensors


def _read_parts(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """State and whole tensors of a folder. Raises ValueError where something else has changed it."""
    import torch
    from safetensors import SafetensorError
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    reader = HuggingFaceStorageReader(str(folder))
    try:
        state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
        known: Any = reader.read_metadata().state_dict_metadata
        tensors = {name: torch.empty(about.size, dtype=about.properties.dtype) for name, about in known.items()}
        with warnings.catch_warnings():  # "no_dist" warns that it is what was asked for
            warnings.simplefilter("ignore", UserWarning)
            load(tensors, storage_reader=reader, no_dist=True)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, CheckpointException) as error:
        raise ValueError(str(error).split("\n")[0]) from None
    tensors[RANDOM] = next(t for name, t in sorted(tensors.items()) if name.startswith(f"{RANDOM}."))
    return state, tensors


def parted(prefix: str, state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The JSON values of a state, and its tensors under names that begin with the prefix."""
    from torch import Tensor

    tensors = {f"{prefix}.{key}": value for key, value in state.items() if isinstance(value, Tensor)}
    return {key: value for key, value in state.items() if not isinstance(value, Tensor)}, tensors


def joined(prefix: str, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The inverse of `parted`, from all tensors of a checkpoint."""
    own = {k.removeprefix(f"{prefix}."): t for k, t in tensors.items() if k.startswith(f"{prefix}.")}
    return {**values, **own}
