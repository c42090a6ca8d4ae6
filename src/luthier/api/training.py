"""One run of a recipe, in its folder; resumed where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luthier.config import Recipe
    from luthier.progress import Report


def train(
    recipe: Recipe, out: Path | None = None, say: Callable[[Report], None] | None = None, again: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Path:  # fmt: skip
    """One run of a recipe, resumed if it was interrupted; gives the run folder.

    say: told how far it is. again: begin anew, what stands there is set aside. tell: told at its start what is to be
    known about the data. Raises LuthierError, also where data or model are not those that the run began with.
    """
    import hashlib

    from luthier import config, given, run
    from luthier.files import LOCK, alone
    from luthier.machine import pick_dtype
    from luthier.trackers import check

    config.options(recipe)  # a wrong option is said before anything is loaded or written
    check(recipe.track)
    key = hashlib.sha256(config.to_yaml(recipe).encode()).hexdigest()[:8]
    folder = out or Path("runs") / f"{recipe.method}-{Path(recipe.data.path).stem}-{key}"
    if again and run.begun(folder):
        given.set_aside(folder, "recipe.yaml")
    # what was measured when a run began holds for it: on a busier machine another format may come out
    begun = recipe.dtype == "auto" and run.begun(folder) and (folder / "recipe.yaml").exists()
    dtype = config.read_recipe(folder / "recipe.yaml").dtype if begun else pick_dtype(recipe.dtype)
    recipe = replace(recipe, dtype=dtype)
    run.check_folder(folder, config.to_yaml(recipe))
    if (folder / "eval.json").exists():
        given.check_finished(folder, recipe)
        return folder
    with alone(folder / LOCK, f"{folder}: another command is training there"):
        run.check_folder(folder, config.to_yaml(recipe))  # another may have begun there meanwhile, and ended
        if not (folder / "eval.json").exists():
            _trained(recipe, folder, say, tell)
    return folder


def _trained(
    recipe: Recipe, folder: Path, say: Callable[[Report], None] | None, tell: Callable[[str], None] | None
) -> None:
    from luthier import config, given, run
    from luthier.data.task import load_split
    from luthier.data.used import said
    from luthier.errors import LuthierError
    from luthier.evals import cuts
    from luthier.evals.task import evaluate
    from luthier.evals.temperature import settle
    from luthier.files import LOCK, forget, write_json, write_text
    from luthier.machine import environment
    from luthier.run import base_facts
    from luthier.trackers import Tracking

    try:
        split, found = load_split(recipe.data, folder / "rejected.jsonl")
        if tell:
            for note in [*([said(split.used)[0]] if split.used else []), *found]:
                tell(note)
        lm = run.load_base(recipe)
        given.keep_or_check(folder, given.of_recipe(recipe, split), run.begun(folder))
        write_text(folder / "recipe.yaml", config.to_yaml(recipe))
        write_json(folder / "environment.json", environment())
        tracking = Tracking(recipe.track, folder.name, config.plain(recipe), folder)

        def told(report: Report) -> None:
            tracking.log(report)
            if say:
                say(report)

        with run.adapted(lm, recipe, split, folder, say=told) as outcome:
            run.save_adapted(outcome, folder)
            cuts.begin(outcome.lm)
            scores = evaluate(outcome.lm, split, split.test)
            cut = cuts.of_test(outcome.lm, split.test)
            settled = settle(outcome.lm, split, scores, folder / outcome.save_as)
    except LuthierError:
        if not run.begun(folder):
            rejected = "rejected.jsonl", "rejected-test.jsonl"
            forget(folder, LOCK, given.NAME, "recipe.yaml", "environment.json", "metrics.jsonl", *rejected)
        raise
    result = {"metric": scores.metric, "score": scores.score, "secondary": scores.secondary}
    result |= {"rows": {part: len(getattr(split, part)) for part in ("train", "validation", "test")}}
    result |= {**scores.kept, "trainable": outcome.trainable}
    result |= base_facts(outcome)
    notes = [*found, *outcome.notes, *cut, *settled.notes]
    result |= settled.facts | ({"notes": notes} if notes else {})
    tracking.finish(result)
    write_json(folder / "eval.json", result)
