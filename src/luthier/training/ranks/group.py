"""The processes that torchrun started: who is there, what they agree on, how one that fails says so to all.

torchrun gives each process RANK, WORLD_SIZE and an address to meet at. On CPUs they talk over gloo, on GPUs over NCCL,
each with the card of its LOCAL_RANK. Whoever fails leaves its reason where all meet, so that the others, whose next
exchange breaks, end with that reason and not with that of the network.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.io.checkpoint import Checkpoints
from luthier.io.config import ParallelConfig
from luthier.io.metrics_file import MetricsFile

if TYPE_CHECKING:
    from luthier.core.example import Example
    from luthier.core.methods import ParamGroup, Patch
    from luthier.io.config import TrainingConfig
    from luthier.models.base import TrainableLM
    from luthier.training.executor import Single

PATIENCE = timedelta(minutes=10)  # for one exchange: a rank may load, or write a checkpoint, for so long
NETWORK = ("gloo/", "Connection closed by peer", "Connection reset", "NCCL")  # in what a broken exchange raises
DAYS = timedelta(days=30)  # for what the first one does alone
REASON, FIRST = "luthier/failed", "luthier/first/"  # where the ranks meet: of the first that failed; what it has done

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """Those that train together, as one of them sees it. mesh: by the kinds of parallelism. all_of: in one row.

    rank, size: which one this is, and of how many. writing: the group that checkpoints are agreed in, beside training.
    waits: numbers the times that all waited for the first.
    """

    rank: int
    size: int
    degrees: ParallelConfig
    mesh: DeviceMesh
    all_of: DeviceMesh
    writing: dist.ProcessGroup
    waits: Iterator[int] = field(default_factory=count)

    @property
    def several(self) -> bool:
        """Always: see `World`."""
        return True

    @property
    def leads(self) -> bool:
        """Whether it is the first one."""
        return not self.rank

    def first(self, call: Callable[[], T]) -> T | None:
        """See `World`. What the others wait for may take days: text is read, a tokenizer learned."""
        store = dist.distributed_c10d._get_default_store()
        made = FIRST + str(next(self.waits))
        found = None
        if self.leads:
            try:
                found = call()
            except Exception as error:
                _left(store, self.rank, error)
                store.set(made, "failed")
                raise
            store.set(made, "done")
        store.wait([made], DAYS)
        if store.get(made) != b"done":
            raise LuthierError(say("said_ranks_failed", **_reason(store)))
        return found

    @property
    def device(self) -> torch.device:
        """Where this one computes."""
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")

    def at(self, kind: str) -> int:
        """Which one it is of those that share one kind of parallelism."""
        return self.mesh.get_local_rank(kind)

    @property
    def share(self) -> int:
        """Which of the shares of a step's examples is its own."""
        return self.at("replicate") * self.mesh["shard"].size() + self.at("shard")

    def summed(self, values: Sequence[float]) -> list[float]:
        """Each number summed over all ranks, in float64."""
        found = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(found)
        return [float(x) for x in found.tolist()]

    def all(self, true: bool) -> bool:
        """Whether it is true on every rank."""
        return self.summed([float(not true)]) == [0.0]

    def executor(
        self, lm: TrainableLM, patch: Patch, groups: Sequence[ParamGroup], training: TrainingConfig,
        examples: Sequence[Example], epsilon: float,
    ) -> Single:  # fmt: skip
        from luthier.training.ranks.pipeline import Pipeline
        from luthier.training.ranks.sharded import Sharded

        return (Pipeline if self.degrees.pipeline > 1 else Sharded)(self, lm, patch, groups, training, epsilon)

    def checkpoints(self, folder: Path, keep: int) -> Checkpoints:
        from luthier.training.ranks.checkpoints import RankedCheckpoints

        return RankedCheckpoints(folder, keep, self)

    def metrics(self, path: Path, step: int) -> MetricsFile | None:
        return None if self.rank else MetricsFile(path, step)


def meshed(degrees: ParallelConfig, device: str) -> DeviceMesh:
    """The ranks by (pipeline, tensor, replicate, shard): those that exchange most, of one block, stand side by side."""
    data = (degrees.replicate, degrees.data // degrees.replicate)
    ranks = torch.arange(degrees.size).reshape(degrees.pipeline, *data, degrees.tensor)
    return DeviceMesh(device, ranks.permute(0, 3, 1, 2), mesh_dim_names=("pipeline", "tensor", "replicate", "shard"))


@contextmanager
def joined(parallel: ParallelConfig | None) -> Iterator[Ranks]:
    """All of torchrun's processes, for the length of a `with` block. Without degrees they share out examples.

    Raises LuthierError where the degrees do not give the number of processes.
    """
    size = int(os.environ["WORLD_SIZE"])
    degrees = parallel or ParallelConfig(data=size)
    if degrees.size != size:
        asked = {"data": degrees.data, "tensor": degrees.tensor, "pipeline": degrees.pipeline}
        raise LuthierError(say("said_ranks_degrees", product=degrees.size, size=size, **asked))
    with met():
        yield among(degrees)


def among(degrees: ParallelConfig) -> Ranks:
    """This process as one of those that have met."""
    mesh = meshed(degrees, "cuda" if torch.cuda.is_available() else "cpu")
    all_of = init_device_mesh(mesh.device_type, (degrees.size,), mesh_dim_names=("all",))
    return Ranks(dist.get_rank(), degrees.size, degrees, mesh, all_of, dist.new_group(backend="gloo"))


@contextmanager
def met() -> Iterator[None]:
    """The processes know of each other, for the length of a `with` block."""
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    store: Any = dist.distributed_c10d._get_default_store()
    try:
        yield
    except Exception as error:  # the group is left as it is: to take leave of the others would mean to wait for them
        if (told := _told(error, dist.get_rank(), store)) is error:
            raise
        raise told from error
    else:
        dist.destroy_process_group()


def _told(error: Exception, rank: int, store: Any) -> Exception:
    """Leave the reason for the others, or take theirs where this one only noticed."""
    noticed = isinstance(error, dist.DistError) or any(mark in str(error) for mark in NETWORK)
    try:
        if not noticed:
            _left(store, rank, error)
            return error
        store.wait([REASON], timedelta(seconds=5))
        return LuthierError(say("said_ranks_failed", **_reason(store)))
    except Exception:  # where they meet is gone too, or nobody said anything
        return LuthierError(say("said_ranks_gone", rank=rank, reason=str(error).split("\n")[0])) if noticed else error


def _left(store: Any, rank: int, error: Exception) -> None:
    """Leave a reason; that of whoever failed first stays."""
    store.compare_set(REASON, "", f"{rank}\n{error}")


def _reason(store: Any) -> dict[str, str]:
    rank, _, why = store.get(REASON).decode("utf-8", "replace").partition("\n")
    return {"rank": rank, "reason": why}


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that is cut over ranks; every rank must ask."""
    full: Any = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()
