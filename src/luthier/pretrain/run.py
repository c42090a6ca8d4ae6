"""A recipe of pre-training, from its text to a measured model, in one folder.

    DIR/text/ documents/ tokenizer/ mix/ start/   what it begins with (`prepare`)
    DIR/recipe.yaml metrics.jsonl model/ eval.json   the run, as `luthier train` writes one

`eval.json` says besides what a run says: `bits_per_byte` of the held-out text, `byte_5gram` and `xz` of the same bytes
given the training text, `train_text` and `heldout_text`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core import plugins
from luthier.corpus.recipe import Bar
from luthier.io.config import Recipe, recipe_from, to_yaml
from luthier.io.files import is_taken, read_json, write_json, write_text
from luthier.pretrain.baselines import byte_5gram, xz
from luthier.pretrain.prepare import Prepared, prepare, start_of, stream_of, tokenizer_of
from luthier.pretrain.recipe import Pretraining

if TYPE_CHECKING:
    from luthier.core.progress import Report

ASKED = "pretraining.yaml"
EVERY = 0.1  # of the budget between two looks at held-out passages
WIDTH = 256  # of the model whose learning rate a shape names


def run(recipe: Pretraining, folder: Path, bar: Bar, say: Callable[[Report], None] | None = None) -> dict[str, Any]:
    """Do what is left; gives what `eval.json` holds. Raises LuthierError."""
    import yaml

    from luthier.api.training import train

    is_taken(folder, ASKED, "pre-training")
    write_text(folder / ASKED, yaml.safe_dump(asdict(recipe), sort_keys=False, allow_unicode=True))
    with bar("text") as done:
        made = prepare(recipe, folder)
        tokenizer = tokenizer_of(recipe, made, folder)
        done(1, 1)
    stream = stream_of(recipe, made, tokenizer, folder, bar)
    start = start_of(recipe, tokenizer, folder)
    made_of = settings(recipe, made, stream, start)
    if not (folder / "recipe.yaml").exists():
        write_text(folder / "recipe.yaml", to_yaml(made_of))  # by which a run's folder is known
    train(made_of, folder, say, more=lambda outcome: measured(made))
    found: dict[str, Any] = read_json(folder / "eval.json")
    if "bits_per_byte" not in found:
        found["bits_per_byte"] = found["secondary"]["bits_per_byte"]
        write_json(folder / "eval.json", found)
    return found


def settings(recipe: Pretraining, made: Prepared, stream: Path, start: str) -> Recipe:
    """Of the run: the same as for any model, over a stream."""
    training = recipe.training
    if training.evaluate_every is None:
        training = replace(training, evaluate_every=EVERY)
    if training.learning_rate is None:
        shape = plugins.members("shapes")[recipe.shape.kind]
        width = 64 * recipe.shape.depth
        training = replace(training, learning_rate=float(shape.constants["RATE"]) * (WIDTH / width) ** 0.5)
    objective = {"name": "lm", "max_length": recipe.shape.context, **recipe.objective}
    return recipe_from({
        "method": recipe.method, "patch": recipe.patch, "model": start, "objective": objective,
        "data": {"path": str(made.validation), "test": str(made.held_rows), "stream": str(stream)},
        "training": asdict(training), "seed": recipe.seed, "dtype": recipe.dtype, "threads": recipe.threads,
        "track": recipe.track,
    })  # fmt: skip


def measured(made: Prepared) -> Mapping[str, Any]:
    """What plain compressors make of the same bytes, and where these are."""
    train, held = made.train.read_bytes(), made.heldout.read_bytes()
    return {
        "byte_5gram": byte_5gram(train, held), "xz": xz(train, held),
        "train_text": str(made.train.absolute()), "heldout_text": str(made.heldout.absolute()),
    }  # fmt: skip
