"""Checkpoints that several ranks write together: a folder each, of safetensors, one file a rank, and the rest as JSON.

    RUN/checkpoint/state-00000120/shard-00001-model-00001-of-00001.safetensors …  state.json

Written by torch's distributed checkpoints (DCP), which know where in the whole each part lies, so that any number of
ranks, one alone too, reads them (`luthier.io.checkpoint`). Each rank copies its part and a thread writes it while
training goes on; the folder gets its name, by the first rank, when all parts are there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.io.checkpoint import EARLIER, RANDOM, STATE, Checkpoints, Found
from luthier.io.files import sync_folder, write_text

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.training.ranks.group import Ranks


class RankedCheckpoints(Checkpoints):
    """Those of a run that several ranks train. Every rank calls the same in the same order."""

    def __init__(self, folder: Path, keep: int, ranks: Ranks) -> None:
        super().__init__(folder, keep)
        self.ranks = ranks

    @property
    def ready(self) -> bool:
        """Of this rank alone: one that asks may not wait for the others, who do not."""
        return self._writing is None or self._writing.done()

    def due(self, seconds: float) -> bool:
        """The first rank's clock decides."""
        return self.ranks.summed([float(self.ranks.rank == 0 and super().due(seconds))]) == [1.0]

    def wait(self) -> None:
        super().wait()
        self.ranks.all(True)  # on every rank, so that what is asked for next is there

    def begin(self, step: int, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
        from torch.distributed.checkpoint.state_dict_saver import async_save

        self.wait()
        path = self.folder / f"{EARLIER}-{step:08d}"
        part = path.with_name(f".{path.name}.tmp")
        if not self.ranks.rank:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
        self.ranks.all(True)
        own = {f"{RANDOM}.{self.ranks.rank}" if name == RANDOM else name: t.detach() for name, t in tensors.items()}
        begun: Any = async_save(
            own, storage_writer=HuggingFaceStorageWriter(str(part), save_distributed=True),
            process_group=self.ranks.writing,
        )  # fmt: skip
        writer = ThreadPoolExecutor(1, "checkpoint")
        self._writing = writer.submit(self._named, begun, part, path, json.dumps(state))
        writer.shutdown(wait=False)
        self._taken()

    def _named(self, begun: Future[Any], part: Path, path: Path, state: str) -> None:
        """Give the folder its name, once all that is in it is written."""
        begun.result()
        if self.ranks.rank:
            return
        write_text(part / STATE, state)
        shutil.rmtree(path, ignore_errors=True)
        part.rename(path)
        sync_folder(self.folder)
        self._forget()

    def newest(self) -> Found | None:
        found = super().newest() if not self.ranks.rank else None
        self.ranks.all(True)  # what is damaged is gone
        return found if not self.ranks.rank else super().newest()
