"""What of a model lies outside its blocks: embedding, last norm, vocabulary head, other heads; cut over all ranks.

Every rank keeps an equal part of each parameter, whatever kinds of parallelism there are, and has it whole for a step:
whoever reads it there (the first stage of a pipeline, the last) finds it, and tied weights need no care. Gradients are
summed over all ranks at the end of a step. Of a model whose blocks cannot be gathered one by one, all of it is here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

from luthier.models.kernels.vocabulary_head import wide


class Outside:
    """Parameters of a model, cut in place over a mesh of one dimension. inside: ids of those left alone."""

    def __init__(self, model: nn.Module, inside: Collection[int], mesh: DeviceMesh) -> None:
        self.mesh = mesh
        self.places: dict[nn.Parameter, list[tuple[nn.Module, str]]] = {}  # by the part that is kept
        self.whole: dict[nn.Parameter, nn.Parameter] = {}  # while they are gathered
        self.sums: dict[nn.Parameter, Tensor] = {}  # gradients of this rank since the last reduction
        self.names: dict[str, nn.Parameter] = {}
        made: dict[int, nn.Parameter] = {}
        for path, module in model.named_modules(remove_duplicate=True):
            for name, p in list(module.named_parameters(recurse=False)):
                if id(p) in inside:
                    continue
                if id(p) not in made:
                    how = Shard(0) if p.ndim else Replicate()
                    part: Any = distribute_tensor(p.detach(), mesh, [how], src_data_rank=None)
                    made[id(p)] = nn.Parameter(part, requires_grad=p.requires_grad)
                    self.names[f"{path}.{name}" if path else name] = made[id(p)]
                    self.places[made[id(p)]] = []
                self.places[made[id(p)]].append((module, name))
        self._kept = list(made)  # ids stay taken as long as this is here
        for kept, places in self.places.items():
            _put(places, kept)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """They are whole, for the length of a `with` block; inside another one nothing happens."""
        if self.whole:
            yield
            return
        for part, places in self.places.items():
            full = cast(Any, part.detach()).full_tensor()
            self.whole[part] = nn.Parameter(full, requires_grad=part.requires_grad)
            _put(places, self.whole[part])
        try:
            yield
        finally:
            for part, places in self.places.items():
                _put(places, part)
            self.whole.clear()

    @torch.no_grad()
    def collect(self) -> None:
        """Add the gradients of a pass, which are in the format of the parameters, to those before."""
        for part, full in self.whole.items():
            if full.grad is not None:
                grad, full.grad = wide(full.grad), None
                self.sums[part] = self.sums[part].add_(grad) if part in self.sums else grad

    @torch.no_grad()
    def summed(self) -> dict[nn.Parameter, Tensor]:
        """This rank's part of each gradient, summed over all ranks."""
        found = {}
        for part in self.places:
            if not part.requires_grad:
                continue
            grad = self.sums.pop(part, None)
            if grad is None:  # nothing here reads it; others may
                grad = wide(torch.zeros(part.shape, dtype=part.dtype, device=self.mesh.device_type))
            sums = DTensor.from_local(grad, self.mesh, [Partial()], run_check=False)
            found[part] = sums.redistribute(placements=cast(Any, part).placements).to_local()
        self.sums.clear()
        return found


def _put(places: list[tuple[nn.Module, str]], p: nn.Parameter) -> None:
    for module, name in places:
        module._parameters[name] = p
