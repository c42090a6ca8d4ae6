"""By what an outcome is known: options, documents and files, whatever these are called and wherever they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from luthier.corpus import read
from luthier.corpus.stage import Looking, Stage, as_text
from luthier.io import places
from luthier.io.files import read_record, write_json

VERSION = 4  # of what stages make of the same documents: one that changes it makes them anew


def outcome_key(before: str, stage: Stage) -> str:
    """Of all that a stage's outcome hangs on. before: that of its documents."""
    return _hash(before, stage, {**stage.__dict__, **stage.hangs_on}, stage.reads)


def look_key(before: str, stage: Stage) -> str:
    """Of all that what a stage looks at hangs on; "" where it looks at nothing."""
    return _hash(before, stage, stage.looks, stage.look_reads) if isinstance(stage, Looking) else ""


def _hash(before: str, stage: Stage, options: Mapping[str, Any], files: Mapping[str, Sequence[Path]]) -> str:
    """A file counts by its option, its ending, which says how it is read, and what it holds."""
    options = {name: value for name, value in options.items() if name not in files}
    whole = hashlib.blake2b(f"{before} {VERSION} {stage.name} {as_text(options)}".encode(), digest_size=6)
    for name, paths in sorted(files.items()):
        for path in paths:
            whole.update(f"\n{name} {''.join(path.suffixes)} {digest(path)}".encode())
    return whole.hexdigest()


def contents(inputs: Sequence[Path], path: Path) -> str:
    """A hash of what the files hold. path: where their hashes are kept: a file that has not changed since is not read
    again for it."""
    known = read_record(path) if path.exists() else {}
    now: dict[str, list[Any]] = {}
    whole = hashlib.blake2b(digest_size=6)
    for source in read.find(inputs).sources:
        mark = places.mark(source.path)
        place = read.printable(str(source.path.absolute()))
        held = known.get(place)
        found = held[2] if held and held[:2] == mark and mark[1] is not None else digest(source.path)
        now[place] = [*mark, found]
        whole.update(f"{source.name} {found}\n".encode())
    write_json(path, now)
    return whole.hexdigest()


def digest(path: Path) -> str:
    """Of what a file holds; where its storage tells such a thing, that is taken, and the file is not read."""
    if told := places.told_contents(path):
        return told
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
