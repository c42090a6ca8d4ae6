"""What a run, a comparison or a study was given, by content: the data's rows and the model's files.

Kept beside the results, so that the same command on other rows or another model is noticed, whether the results are
finished or half done.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.core.records import record_values
from luthier.data.load import load_split
from luthier.io.files import LOCK, alone, read_record, write_json

if TYPE_CHECKING:
    from luthier.core.split import Split
    from luthier.io.config import DataConfig, Recipe

NAME = "given.json"
EARLIER = "it was begun by an earlier version, which kept no fingerprints"
AGAIN = "choose another --out, or give --again to begin anew"


def data_key(split: Split) -> str:
    """Fingerprint of the rows and their parts."""
    groups = [split.train, split.validation, split.test, *([split.documents] if split.documents else [])]
    rows: list[Any] = [[record_values(r) for r in group] for group in groups]
    if split.stream is not None:
        rows.append(split.stream.key)
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def model_parts(model: str) -> dict[str, str]:
    """Fingerprints of a model's parts; none of a model behind an address, whose files are not here.

    Raises LuthierError where the model is not there.
    """
    from luthier.models.endpoint.remote import is_endpoint
    from luthier.models.loading.fingerprint import parts

    return {} if is_endpoint(model) else parts(model)


def of_recipe(recipe: Recipe, split: Split) -> dict[str, str]:
    """All that a run is given: rows, model, and files that its settings name."""
    from luthier.io.config import plain

    sections = plain(recipe)
    named = {**sections["patch"], **sections["direct"], **sections["objective"], "template": recipe.template}
    named.pop("name", None)  # of a method: a file that happens to be called so is none of its settings
    files = {key: Path(text) for key, text in named.items() if isinstance(text, str) and _is_file(text)}
    contents = {f"file of {key}": hashlib.sha256(path.read_bytes()).hexdigest()[:16] for key, path in files.items()}
    return {"data": data_key(split), **of_model(recipe.model, model_parts(recipe.model)), **contents, **others(recipe)}


def others(recipe: Recipe) -> dict[str, str]:
    """Fingerprints of the runs, models and files that the recipe names besides: where it starts, who judges."""
    rewards = [recipe.reward] if isinstance(recipe.reward, str) else list(recipe.reward)
    return named([("start", recipe.start), ("teacher", recipe.teacher), *(("reward", name) for name in rewards)])


def named(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Fingerprints of what is named by its use and its name: run folders and files; a teacher may be a model."""
    from luthier.io.kept import files_of
    from luthier.models.loading.hashes import hashes

    found: dict[str, str] = {}
    for key, name in given:
        file, folder = Path(name.rpartition(":")[0]), files_of(Path(name)) if name else None
        if folder:
            found[f"{key} {name}"] = "".join(hashes(sorted(folder.glob("*.safetensors"))))[:16]
        elif name and _is_file(str(file)):
            found[f"{key} {name}"] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        elif name and key == "teacher":
            found |= {f"{part} of the {key} {name}": value for part, value in model_parts(name).items()}
    return found


def _is_file(text: str) -> bool:
    """Whether a setting names a file."""
    try:
        return Path(text).is_file()
    except OSError:  # a text longer than any name
        return False


def of_model(model: str, parts: Mapping[str, str]) -> dict[str, str]:
    """The parts under names that a sentence can use."""
    return {f"{part} of {model}": value for part, value in parts.items()}


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Which of the things that were given are others now, come or gone."""
    return [key for key in dict.fromkeys((*before, *now)) if before.get(key) != now.get(key)]


def refuse_changed(folder: Path, what: Sequence[str]) -> None:
    """Raise LuthierError where anything has changed."""
    if not what:
        return
    listed = " and ".join(f"the {name}" for name in what)
    raise LuthierError(f"{folder}: {listed} changed after it was begun: {AGAIN}")


def keep_or_check(folder: Path, now: Mapping[str, str], begun: bool) -> None:
    """Write down what a run is given, or compare it with what one that has begun was given."""
    path = folder / NAME
    if not begun:
        write_json(path, dict(now))
    elif path.exists():
        refuse_changed(folder, changed(read_record(path), now))
    else:
        tell(folder, EARLIER)


def check_finished(folder: Path, recipe: Recipe) -> None:
    """Compare what a finished run was given with what the same command gives now; say where that cannot be done."""
    if not (folder / NAME).exists():
        tell(folder, EARLIER)
        return
    try:
        now = of_recipe(recipe, load_split(recipe.data)[0])
    except LuthierError as error:
        tell(folder, str(error))
        return
    refuse_changed(folder, changed(read_record(folder / NAME), now))


def split_or_none(folder: Path, data: DataConfig, finished: bool) -> tuple[Split | None, list[str]]:
    """The data with its notes; None, with the reason told, where it is gone and the results are finished anyway."""
    try:
        return load_split(data)
    except LuthierError as error:
        if not finished:
            raise
        tell(folder, str(error))
        return None, []


def tell(folder: Path, why: str) -> None:
    """Say that nothing can be compared."""
    print(f"{folder}: whether data and model are still the same cannot be checked: {why}", file=sys.stderr)


def set_aside(folder: Path, mark: str) -> None:
    """Move a folder of results to a name of its own, so that the same command begins anew, and say where it is.

    mark: a file that every such folder has: one without it is left alone. Raises LuthierError for a folder in which
    another process, or this one, works.
    """
    if not (folder / mark).exists():
        return
    if Path.cwd().is_relative_to(folder.resolve()):
        raise LuthierError(f"{folder}: cannot be set aside from within: give the command in another folder")
    with alone(folder / LOCK, f"{folder}: another command is at work there"):
        number = next(n for n in range(1, 10**6) if not _aside(folder, n).exists())
    try:
        folder.rename(_aside(folder, number))
    except OSError as error:
        raise LuthierError(f"{folder}: cannot be set aside ({error.strerror}): choose another --out") from None
    print(f"what stood in {folder} is now in {_aside(folder, number)}", file=sys.stderr)


def _aside(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}.before-{number}")
