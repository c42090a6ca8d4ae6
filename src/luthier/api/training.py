"""One run of a recipe, in its folder; resumed where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luthier.core.progress import Report
    from luthier.core.split import Split
    from luthier.io.config import Recipe
    from luthier.runs.run import Outcome
    from luthier.runs.session import Facts, Session
    from luthier.training.world import World


def train(
    recipe: Recipe, out: Path | None = None, say: Callable[[Report], None] | None = None, again: bool = False,
    tell: Callable[[str], None] | None = None, more: Callable[[Outcome, Facts], Mapping[str, Any]] | None = None,
    world: World | None = None,
) -> Path:  # fmt: skip
    """One run of a recipe, resumed if it was interrupted; gives the run folder.

    say: told how far it is. again: begin anew, what stands there is set aside. tell: told at its start what is to be
    known about the data. more: facts besides for `eval.json`, measured last, by what was measured before. world: of
    the processes that train it, which torchrun started, where the caller has joined them already. The one that leads
    writes and tells; the others end when their part is done. Raises LuthierError, also where data or model are not
    those that the run began with.
    """
    import hashlib

    from luthier.io import config
    from luthier.training import world as worlds
    from luthier.training.trackers import check

    if world is None:
        with worlds.world(recipe.parallel) as world:
            return train(recipe, out, say, again, tell, more, world)
    recipe = replace(recipe, parallel=None)  # a run goes on by any number of processes
    config.options(recipe)  # a wrong option is said before anything is loaded or written
    check(recipe.track)
    key = hashlib.sha256(config.to_yaml(recipe).encode()).hexdigest()[:8]
    folder = out or Path("runs") / f"{recipe.method}-{Path(recipe.data.path).stem}-{key}"
    with ExitStack() as held:
        session = world.first(lambda: _begun(recipe, folder, again, held, tell))
        if (folder / "eval.json").exists():
            return folder
        session = session or _joined(folder)
        session.world, session.say = world, say
        with _left_empty(folder) if world.leads else nullcontext():
            session.finish(partial(_facts, session.data, more))
    return folder


def _begun(
    recipe: Recipe, folder: Path, again: bool, held: ExitStack, tell: Callable[[str], None] | None
) -> Session | None:
    """The run in a folder that is this command's alone as long as `held` is; None where it is finished."""
    from luthier.io import config
    from luthier.io.files import LOCK, alone
    from luthier.models.machine import pick_dtype
    from luthier.runs import inputs, run

    if again and run.begun(folder):
        inputs.set_aside(folder, "recipe.yaml")
    # what was measured when a run began holds for it: on a busier machine another format may come out
    begun = recipe.dtype == "auto" and run.begun(folder) and (folder / "recipe.yaml").exists()
    dtype = config.read_recipe(folder / "recipe.yaml").dtype if begun else pick_dtype(recipe.dtype)
    recipe = replace(recipe, dtype=dtype)
    run.check_folder(folder, config.to_yaml(recipe))
    if not (folder / "eval.json").exists():
        held.enter_context(alone(folder / LOCK, f"{folder}: another command is training there"))
        run.check_folder(folder, config.to_yaml(recipe))  # another may have begun there meanwhile, and ended
    if (folder / "eval.json").exists():
        inputs.check_finished(folder, recipe)
        return None
    with _left_empty(folder):
        return _made(recipe, folder, tell)


def _made(recipe: Recipe, folder: Path, tell: Callable[[str], None] | None) -> Session:
    """Data and model, which are what the run began with; the recipe is kept."""
    from luthier.core.methods import Patch
    from luthier.data.load import load_split
    from luthier.data.used import said
    from luthier.evals.forgetting import general_loss
    from luthier.io import config
    from luthier.io.files import write_text
    from luthier.models.base import TrainableLM
    from luthier.models.loading.bundled import cache_dir
    from luthier.models.machine import slow_format
    from luthier.planning.before import told
    from luthier.runs import inputs, run
    from luthier.runs.session import Session
    from luthier.runs.start import base_of

    split, found = load_split(recipe.data, folder / "rejected.jsonl")
    found = [*found, *slow_format(recipe.dtype)]
    if tell:
        for note in [*([said(split.used)[0]] if split.used else []), *found]:
            tell(note)
    lm = base_of(recipe)
    if tell:
        for line in told(lm, recipe, split):
            tell(line)
    inputs.keep_or_check(folder, inputs.of_recipe(recipe, split), run.begun(folder))
    write_text(folder / "recipe.yaml", config.to_yaml(recipe))
    trains = isinstance(config.options(recipe), Patch)
    loss = general_loss(lm) if trains and isinstance(lm, TrainableLM) else None
    return Session(lm, recipe, split, folder, cache_dir(), loss, notes=found)


def _joined(folder: Path) -> Session:
    """The run as another process has begun it."""
    from luthier.data.load import load_split
    from luthier.io import config
    from luthier.models.loading.bundled import cache_dir
    from luthier.runs.session import Session
    from luthier.runs.start import base_of

    recipe = config.read_recipe(folder / "recipe.yaml")
    return Session(base_of(recipe), recipe, load_split(recipe.data)[0], folder, cache_dir())


def _facts(
    data: Split, more: Callable[[Outcome, Facts], Mapping[str, Any]] | None, outcome: Outcome, known: Facts
) -> Facts:
    from luthier.evals.latency import latency

    return {"latency_ms": latency(outcome.lm, data)["latency_ms"], **(more(outcome, known) if more else {})}


@contextmanager
def _left_empty(folder: Path) -> Iterator[None]:
    """What is refused before a step was made leaves nothing in its folder."""
    from luthier.core.errors import LuthierError
    from luthier.io.files import LOCK, forget
    from luthier.io.samples_file import SAMPLES
    from luthier.runs import inputs, run

    try:
        yield
    except LuthierError:
        if not run.begun(folder):
            rejected = "rejected.jsonl", "rejected-test.jsonl"
            begun = "recipe.yaml", "environment.json", "metrics.jsonl", SAMPLES
            forget(folder, LOCK, inputs.NAME, *begun, *rejected)
        raise
