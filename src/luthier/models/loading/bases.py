"""What a base model is called where others look for it, and where this machine has it.

What is shipped names its base by a hub id, or by a folder's name where no id is known, and never by a path of the
machine it was made on. Beside it stands a fingerprint of the base's weights: by that, this machine knows where it saw
them last, and refuses others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.io.files import front_matter, read_json, read_record, write_json
from luthier.models.loading import bundled, load

if TYPE_CHECKING:
    from luthier.io.config import Recipe

HUB = {load.EMBEDDED: "HuggingFaceTB/SmolLM2-135M-Instruct", load.ENCODER: "intfloat/multilingual-e5-small"}
LICENCES = {HUB[load.EMBEDDED]: "apache-2.0", HUB[load.ENCODER]: "mit"}
SEEN = "bases"  # in the cache: where a base was last seen, by its weights
_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


def public_name(model: str) -> str:
    """A hub id where the model has one or its files tell one, else the name of its folder or file."""
    if model in HUB:
        return HUB[model]
    path = Path(model).expanduser()
    if path.suffix.lower() == ".gguf":
        return HUB[load.EMBEDDED] if path.name == bundled.FILE else path.stem
    if not path.is_dir():
        return model
    place = path.resolve()
    if place.name.startswith(f"{bundled.NAME}-{bundled.SHA256[:12]}"):
        return HUB[load.EMBEDDED]
    for part in place.parts:  # the hub's cache: models--owner--name/snapshots/…
        if part.startswith("models--"):
            return part.removeprefix("models--").replace("--", "/", 1)
    named = str(_config(place).get("_name_or_path") or "")
    return named if _ID.fullmatch(named) and not Path(named).exists() else place.name


def licence(model: str) -> str:
    """The licence of a base where it is known: of the embedded ones, or as the card in its folder says; else ""."""
    if known := LICENCES.get(public_name(model)):
        return known
    try:
        place = load.resolve(model)
        folder = place if isinstance(place, Path) else load.snapshot(place)
    except (OSError, ValueError, LuthierError):
        return ""
    said = front_matter(folder / "README.md").get("license") if folder else None
    return said if isinstance(said, str) else ""


def record(model: str) -> dict[str, str]:
    """What is shipped of a base: its name for others and a fingerprint of its weights. Keeps where it is here."""
    from luthier.models.loading.fingerprint import parts

    weights = parts(model)["weights"]
    here = model if model in HUB or not Path(model).expanduser().exists() else str(Path(model).expanduser().resolve())
    write_json(_seen(weights), {"model": here})
    return {"name": public_name(model), "weights": weights} | ({"model": model} if model in HUB else {})


def write_record(said: Mapping[str, str], wording: Path, folder: Path) -> None:
    """Write luthier.json of a shipped folder: the run's own (`wording`) with what is said of the base."""
    write_json(folder / "luthier.json", {**read_json(wording), "base": dict(said)})


def located(recipe: Recipe, files: Path) -> Recipe:
    """The recipe of a run, with its base where this machine has it: one that was exported names it for others."""
    said = read_record(files / "luthier.json").get("base")
    return replace(recipe, model=find(said, files)) if said else recipe


def find(said: Mapping[str, Any], beside: Path) -> str:
    """The model that `record` told of, as `load.resolve` takes it. beside: the folder that holds the record.

    It is looked for beside that folder, where it was last seen, and by its name. Raises LuthierError where it is not
    there, or has other weights.
    """
    from luthier.models.loading.fingerprint import parts

    model = _place(said, beside)
    weights = said.get("weights")
    known = isinstance(load.resolve(model), Path) or load.snapshot(model) is not None
    if weights and known and parts(model)["weights"] != weights:
        raise LuthierError(f"{beside}: it was made on {said['name']}, and {model} has other weights")
    return model


def _place(said: Mapping[str, Any], beside: Path) -> str:
    if said.get("model") in HUB:
        return str(said["model"])
    name, seen = str(said["name"]), _seen(str(said.get("weights")))
    for place in (Path(name), beside.resolve().parent / name):
        if (place / "config.json").is_file():
            return str(place)
    if seen.is_file():
        model = str(read_record(seen, "model")["model"])
        if Path(model).exists() or not Path(model).is_absolute():
            return model
    if not _ID.fullmatch(name):
        raise LuthierError(
            f"{beside}: its base model {name!r} is not known on this machine: put the folder {name} beside it, or into "
            "the folder where the command is given"
        )
    return name


def _seen(weights: str) -> Path:
    return bundled.cache_dir() / SEEN / f"{weights}.json"


def _config(folder: Path) -> Mapping[str, Any]:
    try:
        found = read_json(folder / "config.json")
    except (OSError, LuthierError):
        return {}
    return found if isinstance(found, dict) else {}
