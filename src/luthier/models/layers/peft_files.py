"""What patches that save in PEFT's layout share: names of modules and tensors, and how they are read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from torch import Tensor, nn

PREFIX = "base_model.model."  # PEFT puts this before the path of a module in the model


def only(config: Mapping[str, Any], **allowed: Collection[Any]) -> None:
    """Raise LuthierError where the configuration has a key with a value that is not allowed; absent or None is."""
    for key, values in allowed.items():
        value = config.get(key)
        if value is not None and value not in values and value != [] and value != {}:
            known = f"only {' or '.join(map(repr, values))} is read" if values else "it is not read yet"
            raise LuthierError(f"adapter_config.json: {key} is {value!r}, and {known}")


def module_paths(tensors: Iterable[str], part: str) -> list[str]:
    """Paths of the modules that have a tensor `base_model.model.PATH.PART`."""
    return [n.removeprefix(PREFIX).removesuffix(f".{part}") for n in tensors if n.endswith(f".{part}")]


def as_targets(paths: Iterable[str], config: Mapping[str, Any]) -> str:
    """The expression for `linear_paths` that finds these modules: last names where PEFT's configuration lists such."""
    named = config.get("target_modules")
    plain = not any(config.get(key) for key in ("layers_to_transform", "exclude_modules"))
    if plain and isinstance(named, (list, tuple, set)) and not any("." in name for name in named):
        return "|".join(map(re.escape, sorted(named)))
    return "|".join(map(re.escape, paths))


def target_modules(model: nn.Module, paths: Collection[str]) -> list[str]:
    """What PEFT is told to find exactly these modules by: their names, or whole paths where names say too much.

    A name that stands in several places of a block (BERT's `dense`, which its pooler has too) goes with its place.
    """
    inside = {re.sub(r"^.*\.\d+\.", "", path) for path in paths}
    last = Counter(place.rsplit(".", 1)[-1] for place in inside)
    names = {name if last[name := place.rsplit(".", 1)[-1]] == 1 else place for place in inside}
    held = tuple(f"{path}." for path in paths)  # what stands inside a replaced module is ours
    ends = tuple(f".{name}" for name in names)
    found = {path for path, _ in model.named_modules() if f".{path}".endswith(ends) and not path.startswith(held)}
    return sorted(names if found == set(paths) else paths)


def take(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Copy each tensor into ours of that name. Raises LuthierError where names or shapes differ."""
    if missing := sorted(own.keys() - tensors.keys()):
        raise LuthierError(f"the adapter has no tensor {missing[0]}{_more(missing)}: it is for another model or method")
    if extra := sorted(tensors.keys() - own.keys()):
        raise LuthierError(f"the adapter has a tensor {extra[0]}{_more(extra)} that this model has no place for")
    for name, ours in own.items():
        if ours.shape != tensors[name].shape:
            raise LuthierError(
                f"the adapter's tensor {name} is {tuple(tensors[name].shape)}, and this model takes {tuple(ours.shape)}"
            )
        ours.data.copy_(tensors[name])


def _more(names: Collection[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
