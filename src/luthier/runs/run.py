"""One run: data -> base -> method -> adapted model -> run folder.

    RUN/recipe.yaml  metrics.jsonl  checkpoint/  adapter/ or model/  eval.json  environment.json

`eval.json` is written last: a folder that has it is complete, one that has not resumes from its checkpoint.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from luthier.core.errors import LuthierError, Refused, Unfit
from luthier.core.example import renumbered
from luthier.core.lm import LM, WordedLM
from luthier.core.methods import Direct, Objective, Patch
from luthier.core.phrases import Phrase, say
from luthier.core.progress import Report
from luthier.core.records import Text
from luthier.core.split import Split
from luthier.core.tasks import GIVES, preferring, unfit
from luthier.data.templates.files import read_template
from luthier.data.unwritten import chat_only, check_written
from luthier.evals import cuts
from luthier.io import config
from luthier.io.config import Recipe
from luthier.io.files import from_yaml, is_taken, sync_folder
from luthier.io.kept import run_labels as run_labels
from luthier.models.base import TrainableLM
from luthier.models.layers.nf4 import linear_bytes
from luthier.models.limit import within
from luthier.models.loading.bundled import cache_dir
from luthier.runs.adapters import save_patch
from luthier.runs.inputs import AGAIN
from luthier.runs.judges import teacher_of
from luthier.runs.loaded import reward_of
from luthier.runs.start import go_on, goes_on
from luthier.training.attach import prepared, unmet
from luthier.training.context import Context
from luthier.training.early_stopping import ROWS, Callback, EarlyStop
from luthier.training.loop import Loop, Trained
from luthier.training.world import Alone, World

Say = Callable[[Report], None]


@dataclass
class Outcome:
    """What a method gave. trainable: numbers that were trained. loop: None for direct methods. notes: what to know.

    base_bytes: of the linear weights of the base in memory, and what they would take in bf16; None where they are not
    here.
    """

    lm: LM
    trainable: int = 0
    trained: Trained | None = None
    mergeable: bool | None = None
    learning_rate: float | None = None
    loop: Loop | None = None
    save_as: str = "adapter"
    base_bytes: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


@contextmanager
def adapted(
    lm: WordedLM, recipe: Recipe, data: Split, folder: Path | None = None, cache: Path | None = None,
    say: Say | None = None, world: World | None = None,
) -> Iterator[Outcome]:  # fmt: skip
    """The base adapted by the recipe, for the length of a `with` block; afterwards the base is what it was.

    lm: the recipe's base, with what the recipe starts from folded in (`started`). `data.test` is removed before any
    method sees the data. world: who trains; where these are several, the outcome is a checkpoint alone. Raises Refused
    where the method does not suit.
    """
    whole, data = data, replace(data, test=())
    method = config.options(recipe)
    refuse_remote(lm, method)
    if world and world.several:
        refuse_several(method, recipe.method)
    plain = linear_bytes(lm.stacks) if isinstance(lm, TrainableLM) else None
    if recipe.template:
        lm = lm.asked(only=read_template(Path(recipe.template), data.labels))
    lm = chat_only(lm, whole)
    ctx = Context(lm, data, recipe.seed, cache=cache or cache_dir(), folder=folder, say=say, world=world or Alone())
    ctx.teacher_lm, ctx.reward = teacher_of(recipe), reward_of(recipe, ctx.meter)
    if isinstance(method, Direct):
        lm = within(lm, recipe.objective.get("max_length"))
        if data.task not in method.tasks:
            raise Unfit(unfit(recipe.method, method.tasks, data.task))
        ctx = replace(ctx, lm=lm)
        if reason := unmet(ctx, method) or method.refuses(ctx):
            raise Refused(reason)
        told = check_written(lm, whole)
        torch.manual_seed(recipe.seed)
        yield Outcome(method.adapt(ctx), base_bytes=plain, notes=(*told, *ctx.notes))
        return
    objective = objective_of(recipe, method, data, lm)
    if ctx.world.several and "sampling" in objective.needs:
        raise Refused(Phrase("said_ranks_sampling"))
    if ctx.world.several and goes_on(recipe):
        raise Refused(Phrase("said_ranks_start"))
    told = check_written(lm, whole)
    with contextmanager(_train)(method, objective, ctx, recipe) as outcome:
        outcome.base_bytes, outcome.notes = method.base_bytes(outcome.lm) or plain, (*told, *outcome.notes)
        yield outcome


def refuse_remote(lm: LM, method: Patch | Direct) -> None:
    """Raise Refused where the model is only reached over a network and the method needs more than its answers."""
    if getattr(lm, "remote", False) and not (isinstance(method, Direct) and method.remote):
        raise Refused(say("said_refused_remote"))


def refuse_several(method: Patch | Direct, name: str) -> None:
    """Raise Refused where several processes were started for what one does."""
    if isinstance(method, Direct):
        raise Refused(say("said_ranks_direct", name=name))


def objective_of(recipe: Recipe, patch: Patch, data: Split, lm: WordedLM) -> Objective:
    """The recipe's objective, or the patch's own for the task: labels by a head where a model cannot say them."""
    if data.task not in patch.objectives:
        raise Unfit(unfit(recipe.method, [t for t in GIVES if t in patch.objectives], data.task))
    default = patch.objectives[data.task]
    if data.task == "classification" and lm.lacks("logprobs"):
        default = "classify"
    if data.task == "preference":
        default = preferring(data.train)
    found: Objective = config.objective(recipe, default)
    if data.task not in found.tasks:
        name = say("said_objective", name=recipe.objective.get("name", default))
        raise Refused(unfit(name, found.tasks, data.task))
    if found.record is Text and data.task != "text" and not data.documents:
        name = recipe.objective.get("name", default)
        raise Refused(say("said_refused_documents", method=f"{recipe.method}/{name}"))
    return found


def _train(method: Patch, objective: Objective, ctx: Context, recipe: Recipe) -> Iterator[Outcome]:
    def watching(work: TrainableLM, chosen: Objective) -> Callback:
        training = recipe.training
        if training.early_stop is None and training.evaluate_every is None:
            return Callback()
        if "sampling" in chosen.needs:
            raise Refused(say("said_refused_early"))
        examples = renumbered(chosen.encode(work, ctx.data, ctx.data.validation[:ROWS]))
        return EarlyStop(examples, training.evaluate_every, training.early_stop)

    training = recipe.training
    with prepared(ctx, method, objective, training, folder=ctx.folder, say=ctx.say, watching=watching) as ready:
        lm, loop = ready.ctx.policy, ready.loop
        if goes_on(recipe):
            go_on(lm, method, recipe)
        trained = loop.run()
        if ctx.world.several:
            loop.save()
            loop.executor.release()
            yield Outcome(lm, ready.trainable, trained, loop=loop)
            return
        examples, rows = loop.objective.kept(loop.examples), loop.objective.rows(ctx.data)
        cut = cuts.of_training(examples, len(rows), lm.limit)
        method.fold(lm)
        lm.save_extra = lambda target: save_patch(lm, method, target)
        mergeable = method.mergeable(lm) and lm.label_head is None
        yield Outcome(
            lm, ready.trainable, trained, mergeable, loop.training.learning_rate, loop, method.save_as,
            notes=(*method.notes(lm), *ready.ctx.notes, *cut),
        )  # fmt: skip


def save_adapted(outcome: Outcome, folder: Path) -> int:
    """Write `adapter/` or `model/` into the run folder, whole or not at all; gives its size in bytes."""
    target = folder / outcome.save_as
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{outcome.save_as}.", dir=folder))
    try:
        temporary.chmod(0o755)
        outcome.lm.save(temporary)
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
        sync_folder(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return sum(f.stat().st_size for f in target.rglob("*") if f.is_file())


def begun(folder: Path) -> bool:
    """Whether a run folder holds anything that was trained."""
    return any((folder / name).exists() for name in ("checkpoint", "search.jsonl", "adapter", "model", "eval.json"))


def check_folder(folder: Path, recipe: str) -> None:
    """Refuse a folder for a run of this recipe (YAML) that holds another run or something else.

    A run that is not finished may go on at a lower learning rate.
    """
    if not is_taken(folder, "recipe.yaml", "run") or not begun(folder):
        return
    path = folder / "recipe.yaml"
    if path.read_text(encoding="utf-8", errors="replace") == recipe:
        return
    if (folder / "eval.json").exists() or not config.slower(config.read_values(path), from_yaml(recipe)):
        raise LuthierError(f"{folder} holds a run of another recipe: {AGAIN}")
