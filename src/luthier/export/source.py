"""The run that is exported: opened, or refused before anything slow is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from luthier.core.methods import Patch
    from luthier.export.parity import Before
    from luthier.io.config import Recipe
    from luthier.models.base import TrainableLM

To = Literal["adapter", "merged", "gguf", "classifier"]


@dataclass
class Source:
    """A run whose patch stands attached to its base, in float32.

    files: its adapter/ or model/. base: the folder or hub id that the base is loaded from.
    trained: what the run says, where what is exported stands on another base than it was trained on.
    """

    folder: Path
    files: Path
    recipe: Recipe
    lm: TrainableLM
    patch: Patch
    base: str
    trained: Before | None = None


def open_run(folder: Path, to: To, original: bool = False) -> Source:
    """Load a run for export. Raises LuthierError with the reason when it cannot be written in that form.

    original: put an adapter that was trained on rounded weights onto the weights as they came.
    """
    from luthier.core.methods import Direct
    from luthier.io import config

    recipe, files = _finished(folder)
    if isinstance(config.options(recipe), Direct):
        if recipe.method == "features":
            raise LuthierError(f"{folder}: {recipe.method} changes no weights: --to classifier writes its classifier")
        raise LuthierError(
            f"{folder}: {recipe.method} changes no weights, so there is nothing to export; how it words the question "
            f"is in {files / 'luthier.json'}, and luthier predict answers with it"
        )
    if to == "classifier":
        raise LuthierError(
            f"{folder}: {recipe.method} adapts the model itself: only features has a classifier beside it"
        )
    _check_form(folder, recipe, files, to)
    from luthier.core.methods import Patch
    from luthier.models.base import TrainableLM
    from luthier.models.loading import load
    from luthier.models.loading.of_recipe import load_base
    from luthier.runs.loaded import load_method

    if to == "gguf":
        from luthier.export.gguf_file import check_model

        check_model(*load.described(recipe.model), str(folder))  # before the weights are loaded
    lm, patch = load_method(folder, load_base(replace(recipe, dtype="float32")))
    assert isinstance(lm, TrainableLM) and isinstance(patch, Patch)
    source = Source(folder, files, recipe, lm, patch, str(load.resolve(recipe.model)))
    return _on_original(source, to) if original else source


def _on_original(source: Source, to: To) -> Source:
    from luthier.export.asking import what_it_says
    from luthier.models.attention.narrowed import as_others_run

    lm, patch, other = source.lm, source.patch, source.patch.unrounded()
    if other is None or to == "adapter":
        why = "an adapter file holds no base" if to == "adapter" else "the run was trained on the weights as they came"
        raise LuthierError(f"{source.folder}: --original makes no difference: {why}")
    trained = what_it_says(as_others_run(lm, whole=to == "merged"))
    tensors = {name: tensor.clone() for name, tensor in patch.export(lm)[0].items()}
    patch.detach(lm)
    other.attach(lm)
    other.load(lm, tensors)
    return replace(source, patch=other, trained=trained)


def _finished(folder: Path) -> tuple[Recipe, Path]:
    from luthier.io.config import read_recipe

    path = folder / "recipe.yaml"
    if not path.is_file():
        hint = (
            " It holds a comparison: name one of its runs, trials/METHOD/seed-0."
            if (folder / "trials").is_dir()
            else ""
        )
        raise LuthierError(f"{folder}: not a run folder (it has no recipe.yaml).{hint}")
    found = [folder / name for name in ("adapter", "model") if (folder / name / "luthier.json").is_file()]
    if not found:
        raise LuthierError(f"{folder}: the run is not finished: luthier train {path} --out {folder}")
    return read_recipe(path), found[0]


def _check_form(folder: Path, recipe: Recipe, files: Path, to: To) -> None:
    from luthier.runs.start import goes_on

    if to == "adapter" and recipe.start and not goes_on(recipe):
        raise LuthierError(
            f"{folder}: its adapter stands on a base that {recipe.start} was folded into, which others do not have: "
            "--to merged writes the whole model"
        )
    if to != "merged" and _has_label_head(files):
        what = "PEFT has no layout for one" if to == "adapter" else "GGUF has no place for one"
        raise LuthierError(
            f"{folder}: {recipe.method} was trained with a label head, and {what}: --to merged writes the model with "
            "the head beside it (docs/exporting.md)"
        )
    if to == "adapter" and not (files / "adapter_config.json").is_file():
        raise LuthierError(
            f"{folder}: PEFT has no layout for {recipe.method}: {files} is the adapter, in Luthier's own (see "
            "docs/adapter-format.md); --to merged writes the whole model where the method can be merged"
        )


def _has_label_head(files: Path) -> bool:
    from safetensors import safe_open

    for path in sorted(files.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            if any(name.startswith("label_head.") for name in file.keys()):  # noqa: SIM118
                return True
    return False
