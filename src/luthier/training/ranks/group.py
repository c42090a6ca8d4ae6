"""The processes that torchrun started: who is there, what they agree on, how one that fails says so to all.

torchrun gives each process RANK, WORLD_SIZE and an address to meet at. On CPUs they talk over gloo, on GPUs over NCCL,
each with the card of its LOCAL_RANK. Whoever fails leaves its reason where all meet, so that the others, whose next
exchange breaks, end with that reason and not with that of the network.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.io.checkpoint import Checkpoints
from luthier.io.metrics_file import MetricsFile

if TYPE_CHECKING:
    from luthier.core.example import Example
    from luthier.core.methods import ParamGroup, Patch
    from luthier.io.config import TrainingConfig
    from luthier.models.base import TrainableLM
    from luthier.training.executor import Single

PATIENCE = timedelta(minutes=10)  # for one exchange: a rank may load, or write a checkpoint, for so long
NETWORK = ("gloo/", "Connection closed by peer", "Connection reset", "NCCL")  # in what a broken exchange raises
REASON = "luthier/failed"  # where the ranks meet: of the first that failed


@dataclass(frozen=True)
class Ranks:
    """Those that train together, as one of them sees it. mesh: by the kinds of parallelism.

    rank, size: which one this is, and of how many. writing: the group that checkpoints are agreed in, beside training.
    """

    rank: int
    size: int
    mesh: DeviceMesh
    writing: dist.ProcessGroup

    @property
    def device(self) -> torch.device:
        """Where this one computes."""
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")

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
        from luthier.training.ranks.sharded import Sharded

        return Sharded(self, lm, patch, groups, training, epsilon)

    def checkpoints(self, folder: Path, keep: int) -> Checkpoints:
        from luthier.training.ranks.checkpoints import RankedCheckpoints

        return RankedCheckpoints(folder, keep, self)

    def metrics(self, path: Path, step: int) -> MetricsFile | None:
        return None if self.rank else MetricsFile(path, step)


def started() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def first() -> bool:
    """Whether this process is the one that writes and tells, alone or not."""
    return not started() or os.environ["RANK"] == "0"


@contextmanager
def joined(data: int) -> Iterator[Ranks]:
    """All of torchrun's processes, for the length of a `with` block. data: how many share out a step's examples.

    Raises LuthierError where the degrees do not give the number of processes.
    """
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if data != size:
        raise LuthierError(say("said_ranks_degrees", data=data, product=data, size=size))
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    store: Any = dist.distributed_c10d._get_default_store()
    try:
        mesh = init_device_mesh("cuda" if cuda else "cpu", (data,), mesh_dim_names=("data",))
        yield Ranks(rank, size, mesh, dist.new_group(backend="gloo"))
    except Exception as error:
        if (told := _told(error, rank, store)) is error:
            raise
        raise told from error
    finally:
        dist.destroy_process_group()


def _told(error: Exception, rank: int, store: Any) -> Exception:
    """Leave the reason for the others, or take theirs where this one only noticed."""
    noticed = isinstance(error, dist.DistError) or any(mark in str(error) for mark in NETWORK)
    try:
        if not noticed:
            store.set(REASON, f"{rank}\n{error}")
            return error
        store.wait([REASON], timedelta(seconds=5))
        other, _, why = store.get(REASON).decode("utf-8", "replace").partition("\n")
    except Exception:  # where they meet is gone too, or nobody said anything
        return LuthierError(say("said_ranks_gone", rank=rank, reason=str(error).split("\n")[0])) if noticed else error
    return LuthierError(say("said_ranks_failed", rank=other, reason=why))


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that is cut over ranks; every rank must ask."""
    full: Any = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()
