"""Adapters as files that others read and write: a folder in PEFT's layout, put onto a base model.

    adapter_config.json  adapter_model.safetensors  [luthier.json: wording and labels, where we wrote it]

Which patch reads a folder is said by `peft_type` in its configuration: the patch class that names that type itself
makes its own configuration from PEFT's (`Patch.from_peft`). Nothing is registered: the catalog's patches are asked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core import catalog
from luthier.core.errors import LuthierError
from luthier.io.files import read_record, read_tensors, write_json, write_tensors
from luthier.models.ends import save_model
from luthier.models.layers.peft_files import PREFIX, only
from luthier.training.attach import add_head, put_on

if TYPE_CHECKING:
    from torch import Tensor, nn

    from luthier.core.methods import Patch
    from luthier.models.base import TrainableLM

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
OWN = "luthier_adapter.json"  # in place of PEFT's where PEFT has no layout: docs/adapter-format.md
VERSION = 1


def readers() -> dict[str, type[Patch]]:
    """The patch class that reads each of PEFT's types; patches whose packages are missing are left out."""
    found: dict[str, type[Patch]] = {}
    for entry in catalog.entries("patches").values():
        try:
            cls: type[Patch] = catalog.load(entry)
        except LuthierError:
            continue
        if "peft_type" in vars(cls):  # a variant that inherits it is read as what it is a variant of
            found[cls.peft_type] = cls
    return found


def read_adapter(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors of an adapter folder. Raises LuthierError where it is none, or damaged."""
    if not (folder / CONFIG).is_file():
        raise LuthierError(f"{folder}: no adapter in PEFT's layout (it has no {CONFIG})")
    if not (folder / TENSORS).is_file():
        raise LuthierError(f"{folder}: it has no {TENSORS} (other files of tensors may run code and are not read)")
    return read_record(folder / CONFIG, "peft_type"), read_tensors(folder / TENSORS)


def own_record(patch: Patch, base: str) -> dict[str, Any]:
    """What our own layout says about an adapter beside its tensors."""
    options = {f.name: getattr(patch, f.name) for f in dataclasses.fields(patch) if f.init}  # type: ignore[arg-type]
    method = type(patch).__module__.rsplit(".", 1)[-1]
    return {"version": VERSION, "method": method, "options": options, "base_model": base}


def read_own(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The record and the tensors of an adapter in our own layout. Raises LuthierError where it is damaged."""
    return read_record(folder / OWN, "version", "method", "options"), read_tensors(folder / TENSORS)


def own_patch(record: Mapping[str, Any]) -> Patch:
    """The patch that such a record asks for, not attached yet."""
    from luthier.io.config import build

    if record["version"] != VERSION:
        raise LuthierError(f"{OWN}: version {record['version']!r} is not read, only {VERSION}: update luthier")
    patch: Patch = build(catalog.load(catalog.find(str(record["method"]), "patches")), record["options"], "options")
    return patch


def patch_of(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Patch:
    """The patch that an adapter's configuration and tensors ask for, not attached yet."""
    kinds = readers()
    if (kind := config["peft_type"]) not in kinds:
        raise LuthierError(f"adapter_config.json: peft_type {kind!r} is not read; known: {', '.join(sorted(kinds))}")
    only(config, modules_to_save=(), trainable_token_indices=())
    return kinds[kind].from_peft(config, tensors)


def load_adapter(lm: TrainableLM, folder: Path) -> tuple[TrainableLM, Patch]:
    """Put the adapter of a folder, by `peft` or by us, onto the base; `patch.detach(lm)` takes it off again.

    Gives the model to ask (its wording is the folder's, where one was saved) and the attached patch.
    """

    patch, tensors = open_adapter(lm.model, folder)
    try:
        return load_patch(lm, patch, folder, tensors), patch
    except LuthierError as error:
        raise LuthierError(f"{folder}: {error}") from None
    except (KeyError, RuntimeError) as error:  # a parameter that is not there, or of another shape
        raise LuthierError(f"{folder}: the adapter does not fit this model ({error})") from error


def open_adapter(model: nn.Module, folder: Path) -> tuple[Patch, dict[str, Tensor]]:
    """The patch that an adapter's folder asks for, not attached yet, and its tensors by their names in this model."""
    own = (folder / OWN).is_file()
    config, tensors = read_own(folder) if own else read_adapter(folder)
    if not own:
        tensors = {_here(model, name): tensor for name, tensor in tensors.items()}
    named = {n: t for n, t in tensors.items() if not n.startswith("label_head.")}
    try:
        return own_patch(config) if own else patch_of(config, named), tensors
    except LuthierError as error:
        raise LuthierError(f"{folder}: {error}") from None


def _here(model: nn.Module, name: str) -> str:
    """A tensor's name in this model: PEFT's may come from the same base with a task's head around it, or without."""
    path, base = name.removeprefix(PREFIX), f"{model.base_model_prefix}."
    if path == name or hasattr(model, path.split(".")[0]):
        return name
    return PREFIX + (path.removeprefix(base) if path.startswith(base) else base + path)


def save_patch(lm: TrainableLM, patch: Patch, folder: Path) -> None:
    tensors, peft = patch.export(lm)
    if lm.label_head is not None:
        for name, tensor in lm.label_head.state_dict().items():
            tensors[f"label_head.{name}"] = tensor
    if patch.save_as == "model":
        save_model(lm, folder)
        return
    write_tensors(folder / "adapter_model.safetensors", tensors, {"format": "pt"})
    if peft:
        write_json(folder / "adapter_config.json", {**peft, "base_model_name_or_path": lm.name, "inference_mode": True})
    else:
        write_json(folder / OWN, own_record(patch, lm.name))


def read_all(folder: Path) -> dict[str, Any]:
    """The tensors of every safetensors file in a folder."""
    tensors: dict[str, Any] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= read_tensors(file)
    return tensors


def load_patch(lm: TrainableLM, patch: Patch, target: Path, tensors: Mapping[str, Any]) -> TrainableLM:
    """The patch attached to the base with these tensors, the folder's label head too; its wording, if it has one."""
    known = (target / "luthier.json").exists()
    wording = read_record(target / "luthier.json", "template", "shots", "labels") if known else {}
    work = lm.restore(wording) if known else replace(lm)
    if patch.save_as == "model":
        tensors = work.named_here(tensors)
    if any(name.startswith("mask_head.") for name in tensors):
        add_head(work, "mask", 0)
    if "label_head.weight" in tensors:
        add_head(work, wording.get("head") or "labels", len(work.labels))
        own = {n.removeprefix("label_head."): t for n, t in tensors.items() if n.startswith("label_head.")}
        assert work.label_head is not None
        work.label_head.load_state_dict(own)
        tensors = {n: t for n, t in tensors.items() if not n.startswith("label_head.")}
    try:
        put_on(work, patch)
        patch.load(work, tensors)
    except BaseException:
        patch.detach(work)
        raise
    work.save_extra = lambda folder: save_patch(work, patch, folder)
    return work
