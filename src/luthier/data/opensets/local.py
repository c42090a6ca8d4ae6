"""Files of an open set that are here already: which file is which part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.data.opensets.feed import Feed
from luthier.data.opensets.spec import OpenSet, Part

ROWS = ("*.jsonl", "*.jsonl.gz", "*.jsonl.zst", "*.json", "*.json.gz", "*.parquet")
_LISTED = ("*.jsonl", "*.jsonl.gz", "*.jsonl.zst")


def feeds(paths: Sequence[Path]) -> Iterator[Feed]:
    """The rows of files here, opened one after another."""
    for path in paths:
        yield Feed(path.open("rb"), path.name, path.stat().st_size, path)


def given(found: OpenSet, parts: tuple[Part, ...], where: Path, named: bool) -> dict[str, list[Path]]:
    """The files of each part, from a file or a folder. named: the parts were asked for by name, so all must be there.

    Raises LuthierError where there is none, or a file may be several parts.
    """
    if where.is_file():
        return {_part_of(found, parts, where, named).name: [where]}
    if not where.is_dir():
        raise LuthierError(f"{where} does not exist: --from takes a file or a folder of {found.name}")
    files = sorted(path for pattern in ROWS for path in where.rglob(pattern) if path.is_file())
    taken = {part.name: of_part for part in parts if (of_part := _files_of(part, files, len(parts) == 1))}
    lacking = [part for part in parts if part.name not in taken]
    if not taken or (named and lacking):
        wanted = ", ".join(f"{' and '.join(wanted_names(part))} ({part.name})" for part in lacking)
        raise LuthierError(f"{where}: lacks {wanted}: put it there, or give the file itself with --from")
    return taken


def wanted_names(part: Part) -> tuple[str, ...]:
    """What the files of a part are called."""
    return ("a file of that subset (.jsonl)",) if part.place.listed else part.place.names


def _files_of(part: Part, files: list[Path], alone: bool) -> list[Path]:
    """Its own files, in their order; else those of the first other name that fits. alone: no other part may have it."""
    if part.place.listed:
        return [path for path in files if any(fnmatch(path.name, ending) for ending in _LISTED)] if alone else []
    own = [next((path for path in files if path.name == name), None) for name in part.place.names]
    if all(own):
        return [path for path in own if path]
    fitting = ([path for path in files if fnmatch(path.name, pattern)] for pattern in part.place.also)
    return next((some for some in fitting if some), [])


def _part_of(found: OpenSet, parts: tuple[Part, ...], file: Path, named: bool) -> Part:
    """Which part a file is: by its name, or the only one that can be meant."""
    known = parts if named else found.parts
    fitting = [part for part in known if file.name in part.place.names]
    fitting = fitting or [part for part in known if any(fnmatch(file.name, name) for name in part.place.also)]
    if len(fitting) == 1:
        return fitting[0]
    if len(parts) == 1:
        return parts[0]
    names = ", ".join(part.name for part in found.parts)
    raise LuthierError(f"{file}: which part of {found.name} is it? Name it with --part: {names}")
