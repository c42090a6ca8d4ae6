"""What a recipe of pre-training says.

    text: shakespeare                       # a text by name, or files, folders and addresses
    tokenizer: {kind: bpe, size: 4096}      # or the name of one that is there
    shape: {kind: decoder, depth: 4}        # or `model: FOLDER` to go on with one, with any method
    training: {tokens: 1_000_000, batch: 16, optimizer: muon, schedule: wsd}

`stream: mixed` and `heldout: held.txt` in place of `text` take what `luthier corpus mix` wrote. Paths are relative to
the recipe's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt

from luthier.core import plugins
from luthier.core.catalog import suggest
from luthier.core.errors import LuthierError
from luthier.io.config import ParallelConfig, TrainingConfig, build, read_values
from luthier.io.places import is_address

LATER = ("attention", "parallel")  # not written where unset: folders of before stay the same


@dataclass(frozen=True)
class Tokens:
    """A tokenizer to learn. kind: as `luthier tokenizer train` has it. size: tokens, at most."""

    kind: str = "bpe"
    size: Annotated[int, Ge(300)] = 4096


@dataclass(frozen=True)
class Shape:
    """A model to begin with random weights. kind: see `models.shapes`. context: the longest sequence, in tokens."""

    kind: str = "decoder"
    depth: Annotated[int, Ge(1)] = 4
    context: Annotated[int, Ge(8)] = 512


@dataclass(frozen=True)
class Pretraining:
    """hold: the share of documents, or of each where there are few, that is held out. tokenizer: "" is the model's own
    where one is gone on with, else one is learned. objective: {} is the shape's own.

    evaluate_every is a tenth unless the training says otherwise. attention: what a token sees of its text, "4+1020" the
    first four and the last 1,020 of it; "" is all, or what the model has that is gone on with.
    parallel: the processes that train it.
    """

    text: tuple[str, ...] = ()
    stream: str = ""
    heldout: str = ""
    hold: Annotated[float, Gt(0), Lt(0.5)] = 0.1
    tokenizer: Tokens | str = ""
    shape: Shape = field(default_factory=Shape)
    model: str = ""
    method: str = "full"
    patch: dict[str, Any] = field(default_factory=dict)
    objective: dict[str, Any] = field(default_factory=dict)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: Annotated[int, Ge(0), Lt(2**63)] = 0
    dtype: str = "auto"
    threads: Annotated[int, Ge(1)] | None = None
    track: tuple[str, ...] = ()
    attention: str = ""
    parallel: ParallelConfig | None = None


def plain(recipe: Pretraining) -> dict[str, Any]:
    """The recipe as plain values, without what is unset and came later."""
    return {key: value for key, value in asdict(recipe).items() if value or key not in LATER}


def read_recipe(path: Path, assignments: tuple[str, ...] = ()) -> Pretraining:
    """A recipe's file with `a.b=c` on top. Raises LuthierError with the key of what is wrong."""
    values = read_values(path, assignments)
    return recipe_from(values, path.parent)


def recipe_from(values: Mapping[str, Any], base: Path = Path()) -> Pretraining:
    """A checked recipe. base: what paths are relative to."""
    values = dict(values)
    if isinstance(values.get("text"), str):
        values["text"] = (values["text"],)
    for key, cls in (
        ("tokenizer", Tokens),
        ("shape", Shape),
        ("training", TrainingConfig),
        ("parallel", ParallelConfig),
    ):
        if isinstance(values.get(key), Mapping):
            values[key] = build(cls, values[key], key)
    made = build(Pretraining, values, "")
    if bool(made.text) == bool(made.stream):
        raise LuthierError("text: name what to train on, or `stream`, the folder of a mix; one of the two")
    if bool(made.stream) != bool(made.heldout):
        raise LuthierError("heldout: a stream needs a file of held-out text beside it, and text is held out by itself")
    known = plugins.members("shapes")
    if made.shape.kind not in known:
        raise LuthierError(f"shape.kind: {made.shape.kind}{suggest(made.shape.kind, known)}")
    if made.model and "shape" in values:
        raise LuthierError("shape: a model that is gone on with has its own: leave it out")
    if made.model and isinstance(made.tokenizer, Tokens):
        raise LuthierError("tokenizer: a model that is gone on with has its own: leave it out")
    made = _located(made, base)
    return replace(made, tokenizer=made.tokenizer or made.model or ("" if made.stream else Tokens()))


def _located(made: Pretraining, base: Path) -> Pretraining:
    """With the paths as they are from here."""

    def found(name: str) -> str:
        return str(base / name) if name and not is_address(name) and (base / name).exists() else name

    tokenizer = found(made.tokenizer) if isinstance(made.tokenizer, str) else made.tokenizer
    return replace(
        made, text=tuple(name if name in plugins.members("texts") else found(name) for name in made.text),
        stream=found(made.stream), heldout=found(made.heldout), tokenizer=tokenizer, model=found(made.model),
    )  # fmt: skip
