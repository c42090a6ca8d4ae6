"""One run of a recipe, in its folder; resumed where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luthier.core.progress import Report
    from luthier.io.config import Recipe
    from luthier.runs.run import Outcome
    from luthier.runs.session import Facts


def train(
    recipe: Recipe, out: Path | None = None, say: Callable[[Report], None] | None = None, again: bool = False,
    tell: Callable[[str], None] | None = None, more: Callable[[Outcome, Facts], Mapping[str, Any]] | None = None,
) -> Path:  # fmt: skip
    """One run of a recipe, resumed if it was interrupted; gives the run folder.

    say: told how far it is. again: begin anew, what stands there is set aside. tell: told at its start what is to be
    known about the data. more: facts besides for `eval.json`, measured last, by what was measured before. Raises
    LuthierError, also where data or model are not those that the run began with.
    """
    import hashlib

    from luthier.io import config
    from luthier.io.files import LOCK, alone
    from luthier.models.machine import pick_dtype
    from luthier.runs import inputs, run
    from luthier.training.trackers import check

    config.options(recipe)  # a wrong option is said before anything is loaded or written
    check(recipe.track)
    key = hashlib.sha256(config.to_yaml(recipe).encode()).hexdigest()[:8]
    folder = out or Path("runs") / f"{recipe.method}-{Path(recipe.data.path).stem}-{key}"
    if again and run.begun(folder):
        inputs.set_aside(folder, "recipe.yaml")
    # what was measured when a run began holds for it: on a busier machine another format may come out
    begun = recipe.dtype == "auto" and run.begun(folder) and (folder / "recipe.yaml").exists()
    dtype = config.read_recipe(folder / "recipe.yaml").dtype if begun else pick_dtype(recipe.dtype)
    recipe = replace(recipe, dtype=dtype)
    run.check_folder(folder, config.to_yaml(recipe))
    if (folder / "eval.json").exists():
        inputs.check_finished(folder, recipe)
        return folder
    with alone(folder / LOCK, f"{folder}: another command is training there"):
        run.check_folder(folder, config.to_yaml(recipe))  # another may have begun there meanwhile, and ended
        if not (folder / "eval.json").exists():
            _trained(recipe, folder, say, tell, more)
    return folder


def _trained(
    recipe: Recipe, folder: Path, say: Callable[[Report], None] | None, tell: Callable[[str], None] | None,
    more: Callable[[Outcome, Facts], Mapping[str, Any]] | None,
) -> None:  # fmt: skip
    from luthier.core.errors import LuthierError
    from luthier.core.methods import Patch
    from luthier.data.load import load_split
    from luthier.data.used import said
    from luthier.evals.forgetting import general_loss
    from luthier.evals.latency import latency
    from luthier.io import config
    from luthier.io.files import LOCK, forget, write_text
    from luthier.io.samples_file import SAMPLES
    from luthier.models.base import TrainableLM
    from luthier.models.loading.bundled import cache_dir
    from luthier.models.loading.of_recipe import load_base
    from luthier.models.machine import slow_format
    from luthier.planning.before import told
    from luthier.runs import inputs, run
    from luthier.runs.session import Session
    from luthier.runs.start import started

    try:
        split, found = load_split(recipe.data, folder / "rejected.jsonl")
        found = [*found, *slow_format(recipe.dtype)]
        if tell:
            for note in [*([said(split.used)[0]] if split.used else []), *found]:
                tell(note)
        lm = started(load_base(recipe), recipe)
        if tell:
            for line in told(lm, recipe, split):
                tell(line)
        inputs.keep_or_check(folder, inputs.of_recipe(recipe, split), run.begun(folder))
        write_text(folder / "recipe.yaml", config.to_yaml(recipe))
        trains = isinstance(config.options(recipe), Patch)
        loss = general_loss(lm) if trains and isinstance(lm, TrainableLM) else None
        session = Session(lm, recipe, split, folder, cache_dir(), loss, say, notes=found)

        def facts(outcome: Outcome, known: Facts) -> Facts:
            return {"latency_ms": latency(outcome.lm, split)["latency_ms"], **(more(outcome, known) if more else {})}

        session.finish(facts)
    except LuthierError:
        if not run.begun(folder):
            rejected = "rejected.jsonl", "rejected-test.jsonl"
            begun = "recipe.yaml", "environment.json", "metrics.jsonl", SAMPLES
            forget(folder, LOCK, inputs.NAME, *begun, *rejected)
        raise
