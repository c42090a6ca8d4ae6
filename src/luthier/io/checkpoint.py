"""The one file of a checkpoint: tensors, and everything else as JSON in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.io.files import write_tensors

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINT = Path("checkpoint") / "state.safetensors"  # in a run folder


def write_checkpoint(path: Path, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write state (JSON values) and tensors atomically."""
    write_tensors(path, tensors, {"luthier": json.dumps(state)})


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `write_checkpoint` wrote. Raises LuthierError when something else has cut it short."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()["luthier"]), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise LuthierError(f"{path}: the checkpoint is damaged ({error}): remove it, and the run begins anew") from None


def parted(prefix: str, state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The JSON values of a state, and its tensors under names that begin with the prefix."""
    from torch import Tensor

    tensors = {f"{prefix}.{key}": value for key, value in state.items() if isinstance(value, Tensor)}
    return {key: value for key, value in state.items() if not isinstance(value, Tensor)}, tensors


def joined(prefix: str, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The inverse of `parted`, from all tensors of a checkpoint."""
    own = {k.removeprefix(f"{prefix}."): t for k, t in tensors.items() if k.startswith(f"{prefix}.")}
    return {**values, **own}
