"""A recipe of pre-training, from its text to a measured model, in one folder.

    DIR/text/ documents/ tokenizer/ mix/ start/   what it begins with (`prepare`)
    DIR/recipe.yaml metrics.jsonl model/ eval.json   the run, as `luthier train` writes one
    DIR/samples.jsonl report.html                 what it writes behind beginnings, and all of it as a page

`eval.json` says besides what a run says: `bits_per_byte` of the held-out text and the ends of its interval,
`byte_5gram` and `xz` of the same bytes given the training text, `train_text`, `heldout_text`, `parameters`, and
`choices`, each multiple-choice task. A model that does not tell each token behind all before it has
`second_half_bits_per_byte` (encoder-decoders, prefix decoders) or `masked_bits_per_byte` (encoders) in place of the
first: no other number can be compared with these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.corpus.recipe import Bar
from luthier.io import config
from luthier.io.config import Recipe, recipe_from, to_yaml
from luthier.io.files import forget, from_yaml, is_taken, read_json, read_record, write_json, write_text
from luthier.models import shapes
from luthier.pretrain.baselines import bits, xz
from luthier.pretrain.evaluation import MARK, MARKS, facts
from luthier.pretrain.prepare import Prepared, prepare, start_of, stream_of, tokenizer_of
from luthier.pretrain.recipe import Pretraining, plain
from luthier.reports import pretraining_page
from luthier.training.world import world

if TYPE_CHECKING:
    from luthier.core.progress import Report
    from luthier.runs.run import Outcome
    from luthier.runs.session import Facts

ASKED, BESIDE = "pretraining.yaml", "baselines.json"
MADE = (BESIDE, "text", "documents", "tokenizer", "mix", "start")  # before the first step
MADE_BY = ("text", "stream", "heldout", "hold", "tokenizer", "shape", "model", "objective", "seed")  # of a recipe
MOST = 64 << 20  # bytes of training text that the baselines are given
EVERY = 0.1  # of the budget between two looks at held-out passages


def run(recipe: Pretraining, folder: Path, bar: Bar, say: Callable[[Report], None] | None = None) -> dict[str, Any]:
    """Do what is left; gives what `eval.json` holds, or nothing to a process that only helped. Raises LuthierError."""
    from luthier.api.training import train

    folder = folder.absolute()  # what the run names is found from anywhere
    with world(recipe.parallel) as ranks:
        recipe = replace(recipe, parallel=None)  # a run goes on by any number of processes
        check(recipe)
        begun = ranks.first(lambda: _begun(recipe, folder, bar))

        if begun is None:
            train(config.read_recipe(folder / "recipe.yaml"), folder, world=ranks)
            return {}
        train(begun.recipe, folder, say, more=partial(_facts, begun, folder, bar), world=ranks)
    pretraining_page.write_page(folder)
    found: dict[str, Any] = read_json(folder / "eval.json")
    return found


@dataclass(frozen=True)
class Begun:
    """What training begins with. recipe: of the run. beside, marks: what the baselines make of the text, and where."""

    recipe: Recipe
    made: Prepared
    beside: dict[str, Any]
    marks: list[float]


def _begun(recipe: Pretraining, folder: Path, bar: Bar) -> Begun:
    """Make what is not there yet, in a folder that is this recipe's."""
    _take(recipe, folder)
    with bar("text") as done:
        made = prepare(recipe, folder)
        tokenizer = tokenizer_of(recipe, made, folder)
        done(1, 1)
    stream = stream_of(recipe, made, tokenizer, folder, bar)
    start = start_of(recipe, tokenizer, stream, folder)
    with bar("baselines") as done:
        beside = measured(made, folder / BESIDE)
        marks = beside.pop(MARKS, [])
        done(1, 1)
    made_of = settings(recipe, made, stream, start)
    if not (folder / "recipe.yaml").exists():
        write_text(folder / "recipe.yaml", to_yaml(made_of))  # by which a run's folder is known
    return Begun(made_of, made, beside, marks)


def _facts(begun: Begun, folder: Path, bar: Bar, outcome: Outcome, known: Facts) -> Facts:
    return begun.beside | facts(outcome.lm, known, begun.made, begun.marks, folder, bar)


def _take(recipe: Pretraining, folder: Path) -> None:
    """Make the folder this recipe's. Raises LuthierError where it holds other work.

    What was made for another recipe gives way as long as no step was trained: it was mistyped, or refused.
    """
    from luthier.runs.run import begun

    asked = _yaml(recipe)
    if is_taken(folder, ASKED, "pre-training") and (before := _kept(folder)) != (now := from_yaml(asked)):
        ended = (folder / "eval.json").exists()
        if ended or (begun(folder) and not config.slower(_rated(before, folder), now)):
            raise LuthierError(f"{folder} holds pre-training by another recipe ({ASKED}): choose another --out")
        if not begun(folder):
            same = all(before.get(key) == now.get(key) for key in MADE_BY)
            forget(folder, "recipe.yaml", "given.json", *(() if same else MADE))
    write_text(folder / ASKED, asked)


def _rated(before: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The values of a recipe, with the learning rate that it came to where it names none."""
    if before["training"]["learning_rate"] is not None or not (folder / "recipe.yaml").exists():
        return before
    rate = config.read_recipe(folder / "recipe.yaml").training.learning_rate
    return {**before, "training": {**before["training"], "learning_rate": rate}}


def _yaml(recipe: Pretraining) -> str:
    import yaml

    return yaml.safe_dump(plain(recipe), sort_keys=False, allow_unicode=True)


def _kept(folder: Path) -> dict[str, Any]:
    """The recipe that a folder was begun with, as plain values; keys that came later are as nobody set them."""
    unset, kept = from_yaml(_yaml(Pretraining())), config.read_values(folder / ASKED)
    return {**unset, **kept, "training": {**unset["training"], **kept["training"]}}


def settings(recipe: Pretraining, made: Prepared, stream: Path, start: str) -> Recipe:
    """Of the run: the same as for any model, over a stream."""
    training = recipe.training
    shape = plugins.members("shapes")[recipe.shape.kind].constants
    if training.evaluate_every is None:
        training = replace(training, evaluate_every=EVERY)
    if training.learning_rate is None and not recipe.model:
        falls = (shapes.RATED / (shapes.WIDTH * recipe.shape.depth)) ** 0.5
        training = replace(training, learning_rate=float(shape["RATE"]) * falls)
    own = {} if recipe.model else {"name": shape["OBJECTIVE"], "max_length": recipe.shape.context}
    objective = {"name": "lm", **own, **recipe.objective}
    return recipe_from({
        "method": recipe.method, "patch": recipe.patch, "model": start, "objective": objective,
        "data": {"path": str(made.validation), "test": str(made.held_rows), "stream": str(stream)},
        "training": asdict(training), "seed": recipe.seed, "dtype": recipe.dtype, "threads": recipe.threads,
        "track": recipe.track, "attention": recipe.attention,
    })  # fmt: skip


def check(recipe: Pretraining) -> None:
    """Raise LuthierError for options that are wrong, before text is read for hours."""
    place = Path("none")
    made = settings(recipe, Prepared(place, place, place, place, place), place, "none")
    config.options(made)
    config.objective(made, "lm")


def measured(made: Prepared, path: Path) -> dict[str, Any]:
    """What plain compressors make of the same bytes, and where these are. path: where it is kept.

    Of a long training text they are given its end alone, `baseline_bytes`: they take many times its memory.
    """
    if path.exists():
        return read_record(path)
    held, size = made.heldout.read_bytes(), made.train.stat().st_size
    with made.train.open("rb") as file:
        file.seek(max(size - MOST, 0))
        train = file.read()
    each = bits(train, held)
    found = {
        "byte_5gram": float(each.mean()), "xz": xz(train, held), "baseline_bytes": len(train),
        MARKS: [0.0, *np.add.accumulate(np.add.reduceat(each, range(0, len(each), MARK))).tolist()],
        "train_text": str(made.train), "heldout_text": str(made.heldout),
    }  # fmt: skip
    write_json(path, found)
    return found
