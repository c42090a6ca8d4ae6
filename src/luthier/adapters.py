"""Adapters as files that others read and write: a folder in PEFT's layout, put onto a base model.

    adapter_config.json  adapter_model.safetensors  [luthier.json: wording and labels, where we wrote it]

Which patch reads a folder is said by `peft_type` in its configuration: the patch class that names that type itself
makes its own configuration from PEFT's (`Patch.from_peft`). Nothing is registered: the catalog's patches are asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier import catalog
from luthier.errors import LuthierError
from luthier.files import read_record, read_tensors
from luthier.models.peft_files import PREFIX, only

if TYPE_CHECKING:
    from torch import Tensor, nn

    from luthier.models.base import BaseLM
    from luthier.protocols import Patch

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"


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


def patch_of(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Patch:
    """The patch that an adapter's configuration and tensors ask for, not attached yet."""
    kinds = readers()
    if (kind := config["peft_type"]) not in kinds:
        raise LuthierError(f"adapter_config.json: peft_type {kind!r} is not read; known: {', '.join(sorted(kinds))}")
    only(config, modules_to_save=(), trainable_token_indices=())
    return kinds[kind].from_peft(config, tensors)


def load_adapter(lm: BaseLM, folder: Path) -> tuple[BaseLM, Patch]:
    """Put the adapter of a folder, by `peft` or by us, onto the base; `patch.detach(lm)` takes it off again.

    Gives the model to ask (its wording is the folder's, where one was saved) and the attached patch.
    """
    from luthier.run import load_patch

    config, tensors = read_adapter(folder)
    tensors = {_here(lm.model, name): tensor for name, tensor in tensors.items()}
    try:
        patch = patch_of(config, {n: t for n, t in tensors.items() if not n.startswith("label_head.")})
        return load_patch(lm, patch, folder, tensors), patch
    except LuthierError as error:
        raise LuthierError(f"{folder}: {error}") from None


def _here(model: nn.Module, name: str) -> str:
    """A tensor's name in this model: PEFT's may come from the same base with a task's head around it, or without."""
    path, base = name.removeprefix(PREFIX), f"{model.base_model_prefix}."
    if path == name or hasattr(model, path.split(".")[0]):
        return name
    return PREFIX + (path.removeprefix(base) if path.startswith(base) else base + path)
