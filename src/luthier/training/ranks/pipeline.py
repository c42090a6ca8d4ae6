"""Pipelines: each rank has some of the blocks, and a step's passes go from rank to rank, one behind the other.

One forward pass, one backward (1F1B; Narayanan et al. 2019, "PipeDream"); with several pieces of the model a rank,
interleaved (Narayanan et al. 2021), by torch's schedules. All passes of a step have one length: what is short is filled
with a text of its own that nobody reads. The first stage looks tokens up, the last one knows the loss; what lies
outside the blocks is everywhere (`outside`): tied weights need no care. Passes outside training go from rank to rank
too (`Relayed`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage
from torch.distributed.pipelining.schedules import Schedule1F1B, ScheduleInterleaved1F1B

from luthier.core.batch import Batch
from luthier.core.errors import Refused
from luthier.core.example import Example
from luthier.core.methods import Objective
from luthier.core.phrases import say
from luthier.data.pack import pack
from luthier.models.attention.packed import Packed
from luthier.models.blocks import final_norm, part_only
from luthier.models.causal import CausalLM
from luthier.models.inference.feature_cache import FeatureCache
from luthier.models.runner import PackedRunner
from luthier.training.ranks.sharded import Pass, Sharded, packed
from luthier.training.steps import Losses

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM


@dataclass(frozen=True)
class Piece:
    """Blocks of one stage, from `low` to `high`. index: of `count` stages. owner: of the ranks of a pipeline."""

    index: int
    count: int
    low: int
    high: int
    owner: int

    @property
    def first(self) -> bool:
        """Whether it looks tokens up."""
        return self.index == 0

    @property
    def last(self) -> bool:
        """Whether its states are those that heads read."""
        return self.index == self.count - 1


def pieces(blocks: int, ranks: int, interleave: int) -> list[Piece]:
    """The stages, of nearly equal numbers of blocks, dealt out in turn. Raises Refused where blocks are too few."""
    if (count := ranks * interleave) > blocks:
        raise Refused(say("said_ranks_stages", stages=count, blocks=blocks))
    bounds = [blocks * at // count for at in range(count + 1)]
    return [Piece(at, count, bounds[at], bounds[at + 1], at % ranks) for at in range(count)]


class Stage(Pass):
    """A piece of the model: from states (1, T, d), or none in the first one, to states behind its blocks."""

    def __init__(self, lm: CausalLM, blocks: nn.ModuleList, piece: Piece) -> None:
        super().__init__(blocks[piece.low : piece.high])
        self.lm, self.blocks, self.piece = lm, [blocks], piece  # in a list: these are not all its own
        self.batches: Sequence[Batch] = ()

    def forward(self, given: Any, which: Tensor | None = None) -> Any:
        """which: of `batches`; without, whatever it is given is called."""
        if which is None:
            return given()
        found = self.run(self.batches[int(which)], None if self.piece.first else given)
        # what nothing below trains still has a gradient for those who wait for it
        return found if found.requires_grad or not torch.is_grad_enabled() else found.requires_grad_()

    def run(self, batch: Batch, states: Tensor | None) -> Tensor:
        """The states behind its blocks."""
        piece = self.piece
        layout = Packed(batch.segments, behind=batch.behind)
        with part_only(self.lm.decoder, self.blocks[0], (piece.low, piece.high), states):
            return self.lm.forward(batch.ids[None], batch.positions[None], layout, embeds=states)


@dataclass(frozen=True)
class Relayed(PackedRunner):
    """Forward passes outside training: every rank of a pipeline asks for the same and gets all states."""

    executor: Pipeline | None = None

    def states(self, lm: CausalLM, batch: Batch) -> Tensor:
        assert self.executor is not None
        return self.executor.relayed(batch)[0]

    def hidden(self, lm: CausalLM, ids: Tensor, positions: Tensor, segments: Sequence[int]) -> Tensor:
        nothing = torch.zeros(0, dtype=torch.long)
        return self.states(lm, Batch(ids, positions, tuple(segments), nothing, nothing, (), ()))


class Pipeline(Sharded):
    """One of several processes, with some of the blocks. It may share them with others, as any `Sharded` does."""

    def _cut(self, lm: TrainableLM) -> Any:
        if not packed(lm) or final_norm(lm.decoder) is None or lm.learned_prefix is not None:
            raise Refused(say("said_ranks_pipeline", kind=type(lm.model).__name__))
        degrees = self.ranks.degrees
        self.pieces = pieces(len(lm.blocks), degrees.pipeline, degrees.interleave)
        self.own = [piece for piece in self.pieces if piece.owner == self.ranks.at("pipeline")]
        found = super()._cut(lm)
        mine = {at for piece in self.own for at in range(piece.low, piece.high)}
        for at, block in enumerate(lm.blocks):
            if at not in mine:
                block.to("meta")
        return found

    def _blocks(self, lm: TrainableLM) -> Sequence[nn.Module]:
        return [lm.blocks[at] for piece in self.own for at in range(piece.low, piece.high)]

    def _shard(self, lm: TrainableLM, blocks: Sequence[nn.Module]) -> list[Any]:
        whole = cast(CausalLM, lm)
        made = []
        for piece in self.own:
            stage = Stage(whole, lm.blocks, piece)
            made.append(self._root(stage, list(lm.blocks[piece.low : piece.high])))
        whole.runner = Relayed(self)
        self._schedules: dict[tuple[int, int], Any] = {}
        return made

    def _pass(
        self, part: Sequence[Example], divisors: Mapping[str, float], objective: Objective, trunk: FeatureCache | None
    ) -> dict[str, Tensor]:
        """Outside training: every rank of the pipeline finds the same."""
        named = super(Sharded, self)._pass(part or self._spare, divisors, objective, trunk)
        share = 1 / self.ranks.degrees.pipeline
        return {name: value * share for name, value in self._counted(named, bool(part)).items()}

    @torch.no_grad()
    def states(self, examples: Sequence[Example]) -> Tensor:
        with self.outside.gathered():
            return super(Sharded, self).states(examples)

    def relayed(self, batch: Batch) -> Tensor:
        """The last states (1, T, d) of a batch, on every rank of the pipeline."""
        group, here = self.ranks.mesh["pipeline"].get_group(), self.ranks.at("pipeline")
        like = self.lm.head.weight
        states = torch.empty(1, len(batch.ids), like.shape[1], dtype=like.dtype, device=self.ranks.device)
        for piece in self.pieces:
            if piece.owner == here:
                stage = next(module for module in self.modules if module.piece == piece)
                states = stage(partial(stage.run, batch, None if piece.first else states)).contiguous()
                if not torch.is_grad_enabled():
                    stage.reshard()
            source = dist.get_global_rank(group, piece.owner)
            dist.broadcast(states, source, group=group)
        return states

    def _step(self, examples: Sequence[Example], objective: Objective) -> Losses:
        divisors, found = objective.divisors(examples), Losses()
        parts = self._passes(examples)
        parts += [[]] * (self._most(len(parts)) - len(parts))
        batches = [pack(part or self._spare, divisors, self.lm.device, share=self.lm.shares) for part in parts]
        length = max(len(batch.ids) for batch in batches)
        filled = [_filled(batch, length, cast(CausalLM, self.lm).fill) for batch in batches]

        def loss(states: Tensor, which: Tensor) -> Tensor:
            at = int(which)
            batch = batches[at]
            named = objective.loss(self._outputs(self.lm.pick(states[0], batch), batch), batch)
            named = self._counted(named, bool(parts[at]))
            return self._told(named, divisors, found) * self.scaling.factor

        for module in self.modules:
            module.batches = filled
        self._run(len(parts), length, loss)
        self._collect()
        return found

    def _most(self, count: int) -> int:
        """Passes of a step: at least one a stage, and where they interleave, as many for each rank."""
        ranks = self.ranks.degrees.pipeline
        count = max(count, len(self.pieces))
        return -(-count // ranks) * ranks if len(self.own) > 1 else count

    def _run(self, count: int, length: int, loss: Any) -> None:
        """Go through so many passes of this length, there and back."""
        self._loss = loss
        if (count, length) not in self._schedules:
            stages: Any = [self._stage(module, length) for module in self.modules]
            kind: Any = ScheduleInterleaved1F1B if len(stages) > 1 else Schedule1F1B
            self._schedules[count, length] = kind(
                stages if len(stages) > 1 else stages[0], count, lambda *given: self._loss(*given), scale_grads=False
            )
        which = torch.arange(count)
        given = (which,) if self.own[0].first else ()
        self._schedules[count, length].step(*given, which=which, target=which, return_outputs=False)

    def _stage(self, module: Any, length: int) -> PipelineStage:
        like, piece = self.lm.head.weight, module.piece
        states = torch.empty(1, length, like.shape[1], dtype=like.dtype, device="meta", requires_grad=True)
        given = torch.empty(1, dtype=torch.long, device="meta") if piece.first else states
        return PipelineStage(
            module, piece.index, piece.count, self.ranks.device, input_args=given, output_args=states,
            group=self.ranks.mesh["pipeline"].get_group(),
        )  # fmt: skip


def _filled(batch: Batch, length: int, fill: int) -> Batch:
    """With a text behind it that makes it as long as that, and is not read."""
    if not (more := length - len(batch.ids)):
        return batch
    ids = torch.cat([batch.ids, batch.ids.new_full((more,), fill)])
    positions = torch.cat([batch.positions, torch.arange(more, device=batch.ids.device)])
    behind = (*batch.behind, None) if batch.behind else ()
    return replace(batch, ids=ids, positions=positions, segments=(*batch.segments, more), behind=behind)
