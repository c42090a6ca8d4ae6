"""A patch put on a model, the heads that an objective reads beside it, and the loop over both, ready to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from luthier.core.errors import Refused
from luthier.core.methods import Method, Objective, ParamGroup, Patch
from luthier.core.phrases import say
from luthier.core.split import Split
from luthier.models.labelling import HEADS
from luthier.models.layers.surgery import placed
from luthier.training.context import Context
from luthier.training.loop import Loop

if TYPE_CHECKING:
    from luthier.core.progress import Report
    from luthier.core.records import Record
    from luthier.io.config import TrainingConfig
    from luthier.models.base import TrainableLM
    from luthier.training.early_stopping import Callback

Model = TypeVar("Model", bound="TrainableLM")
ON = "_patch_that_is_on"  # an attribute of the model


def refusal(ctx: Context, patch: Patch, objective: Objective) -> str | None:
    """A fact about the model, in a sentence, when the pair cannot be used on it; else None."""
    if other := carried(ctx.policy):
        return say("said_refused_second", name=type(other).__name__)
    asked = replace(ctx, patch=patch, objective=objective)
    return patch.refuses(asked) or objective.refuses(asked)


def unmet(ctx: Context, method: Method) -> str | None:
    """Why what the recipe names besides is not what an objective or a direct method uses; None where it is."""
    for name, there in (("teacher", ctx.teacher_lm), ("reward", ctx.reward)):
        if (name in method.needs) != (there is not None):
            key = "said_refused_needs" if there is None else "said_refused_unused"
            return say(key, name=type(method).__module__.rpartition(".")[2], what=name)
    return None


def carried(lm: TrainableLM) -> Patch | None:
    """The patch that is on the model."""
    patch = getattr(lm.model, ON, None)
    return patch if patch is not None and patch.is_on(lm) else None


def forget(lm: TrainableLM) -> None:
    """The patch that is on the model was folded into it: the model is a base now, for another patch."""
    delattr(lm.model, ON)


def put_on(lm: TrainableLM, patch: Patch) -> list[ParamGroup]:
    """Attach the patch. Raises Refused where another one is on: it would be silently without effect, or undone."""
    if other := carried(lm):
        raise Refused(say("said_refused_second", name=type(other).__name__))
    groups = patch.attach(lm)
    setattr(lm.model, ON, patch)
    return groups


@contextmanager
def attached(
    lm: Model, patch: Patch, objective: Objective, labels: tuple[str, ...], seed: int
) -> Iterator[tuple[Model, list[ParamGroup], Objective]]:
    """The patch, and the heads that the objective wants, on the base; all gone afterwards."""
    if reason := refusal(Context(lm), patch, objective):
        raise Refused(reason)
    torch.manual_seed(seed)
    work = replace(lm.asked(template=lm.wordings(labels)[0], labels=labels), longest=None, room=0)
    if not patch.identity:  # states behind it are not the base's, which keeps its own by content
        work = replace(work, trunks={})
    groups = [add_head(work, name, len(labels)) for name in objective.heads if name != "vocab"]
    try:
        groups += put_on(work, patch)
        yield work, groups, objective
    finally:
        patch.detach(work)
        remove_heads(work)
        lm.model.requires_grad_(False)


def add_head(lm: TrainableLM, kind: str, count: int) -> ParamGroup:
    """A head of that kind on the model: the one that answers, one that only training reads ("value"), or its own, which
    trains where its weights do."""
    if (own := lm.own_head(kind)) is not None:
        setattr(lm.model, f"{kind}_head", own)
        return ParamGroup([])
    head = placed(HEADS[kind](lm.width, count), lm.device)
    if head.answers:
        lm.model.label_head = head
        return ParamGroup(["label_head.weight", "label_head.bias"])
    more = getattr(lm.model, "more_heads", None) or torch.nn.ModuleDict()
    more[kind] = head
    lm.model.more_heads = more
    # Adam moves each weight alike, so that a reading moves with their number: a critic's must not outrun what it reads
    scale = min(4 / lm.width**0.5, 1.0)
    return ParamGroup([f"more_heads.{kind}.weight", f"more_heads.{kind}.bias"], lr_scale=scale)


def remove_heads(lm: TrainableLM) -> None:
    """Take every head off again."""
    for name in ("label_head", "more_heads", "mask_head"):
        if hasattr(lm.model, name):
            delattr(lm.model, name)


@dataclass
class Ready:
    """A loop that has not begun. trainable: numbers that train."""

    ctx: Context
    loop: Loop
    trainable: int


@contextmanager
def prepared(
    ctx: Context, patch: Patch, objective: Objective, training: TrainingConfig, *, some: Sequence[Record] | None = None,
    folder: Path | None = None, say: Callable[[Report], None] | None = None,
    watching: Callable[[TrainableLM, Objective], Callback] | None = None,
) -> Iterator[Ready]:  # fmt: skip
    """Patch, heads, dataset and loop on `ctx.policy` for the length of a `with` block.

    some: of the training rows, in place of all.
    watching: makes what looks at the loop. Raises Refused where the pair does not suit.
    """
    data: Split = ctx.data if some is None else replace(ctx.data, train=tuple(some))
    if reason := unmet(ctx, objective):
        raise Refused(reason)
    with attached(ctx.policy, patch, objective, data.labels, ctx.seed) as (work, groups, chosen):
        inner = replace(ctx, lm=work, patch=patch, objective=chosen)
        chosen.keep_limit(work, data)
        examples = chosen.dataset(inner, data)
        watch = watching(work, chosen) if watching else None
        loop = Loop(inner, patch, chosen, groups, examples, training, folder, say, watch)
        names = {n for group in groups for n in group.names}
        count = sum(p.numel() for n, p in work.model.named_parameters() if n in names)
        yield Ready(inner, loop, count)
