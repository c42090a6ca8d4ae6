"""Source code of local Git repositories, by language and licence, as JSON Lines.

    DIR/code/NNNNN.jsonl.gz   documents: id, text, path, licence, language (of people: ""), kind
    DIR/.state/asked.json     what was asked, with the commits: a restart reads the same ones
    DIR/.state/NNNNN.json     the counts of a part; written last, so that a part that has it is done
    DIR/collected.json        all counts; written when all parts are done

A part is a run of files of one repository; what is in it hangs on nothing but the commit and the options.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.corpus import documents
from luthier.corpus.collecting.licences import PERMISSIVE, allowed, by_folder, is_text_of_one, licence_of
from luthier.corpus.collecting.programming import language_of, unwritten, vendored, wanted
from luthier.corpus.collecting.repositories import LINK, MODULE, Blobs, Entry, Repository
from luthier.corpus.stage import Say
from luthier.data.encoding import document
from luthier.io.files import LOCK, alone, is_taken, read_record, replacing, write_json

CODE, STATE, COUNTS = "code", ".state", "collected.json"
ASKED = f"{STATE}/asked.json"
PART = 64 << 20  # bytes of files
FILES = 20_000  # of a part
LARGEST = 1 << 20  # bytes of a file: larger ones are data
NUMBERS, TALLIES = ("files", "kept", "bytes"), ("left_out", "languages", "licences")


@dataclass(frozen=True)
class Wish:
    """languages: all for none. licences: SPDX names, permissive ones for none; "unknown" has to be named."""

    languages: Sequence[str] = ()
    licences: Sequence[str] = ()

    @property
    def as_data(self) -> dict[str, list[str]]:
        """Raises LuthierError for an unknown language."""
        return {"languages": sorted(wanted(self.languages)), "licences": sorted(self.licences or PERMISSIVE)}


def repositories(paths: Sequence[Path]) -> list[Repository]:
    """By their folders' names. Raises LuthierError for two of one name."""
    found: dict[str, Repository] = {}
    for path in paths:
        name = path.resolve().name.removesuffix(".git") or path.resolve().parent.name
        if name in found:
            raise LuthierError(f"{path} and {found[name].path} would both be {name}: collect them into two folders")
        found[name] = Repository(path, name)
    return list(found.values())


def collect(paths: Sequence[Path], wish: Wish, folder: Path, say: Say = lambda done, known: None) -> dict[str, Any]:
    """Collect what is left of it; gives what DIR/collected.json says. Raises LuthierError."""
    asked, own = wish.as_data, repositories(paths)
    is_taken(folder, STATE, "collection of code")
    with alone(folder / LOCK, f"{folder}: another command is at work there"):
        commits = _commits(own, asked, folder)
        sums = {"kind": "code", **dict.fromkeys(NUMBERS, 0), **{name: Counter[str]() for name in TALLIES}}
        at = 0
        for number, repository in enumerate(own):
            say(number, len(own))
            entries = repository.entries(commits[repository.name])
            folders: dict[str, str] | None = None
            for part in parts(entries):
                done = folder / STATE / f"{at:05d}.json"
                if not done.exists():
                    with repository.blobs() as blobs:
                        folders = _licences(entries, blobs) if folders is None else folders
                        _one(repository, part, blobs, folders, asked, folder / CODE / f"{at:05d}.jsonl.gz", done)
                _add(sums, done)
                at += 1
        say(len(own), len(own))
        write_json(folder / COUNTS, {**sums, "repositories": commits})
    return {**sums, "repositories": commits}


def _commits(own: Sequence[Repository], asked: dict[str, list[str]], folder: Path) -> dict[str, str]:
    """Repository -> commit: HEAD at the first start. Raises LuthierError where something else was asked before."""
    names = [repository.name for repository in own]
    if (folder / ASKED).exists():
        before = read_record(folder / ASKED, "commits", *asked)
        if list(before["commits"]) != names or any(before[key] != value for key, value in asked.items()):
            raise LuthierError(f"{folder} holds a collection with other repositories or options: choose another --out")
        return dict(before["commits"])
    commits = {repository.name: repository.head() for repository in own}
    write_json(folder / ASKED, {**asked, "commits": commits})
    return commits


def parts(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Neighbours of together about `PART` bytes."""
    out: list[Entry] = []
    size = 0
    for entry in entries:
        own = entry.size if entry.size <= LARGEST else 0  # larger ones are not read
        if out and (size + own > PART or len(out) >= FILES):
            yield out
            out, size = [], 0
        out.append(entry)
        size += own
    if out:
        yield out


def _licences(entries: Sequence[Entry], blobs: Blobs) -> dict[str, str]:
    """Folder -> licence."""
    found = (entry for entry in entries if entry.mode not in (LINK, MODULE) and entry.size <= LARGEST)
    return by_folder(
        (entry.path, blobs.get(entry.blob).decode("utf-8", "replace")) for entry in found if is_text_of_one(entry.path)
    )


def _one(
    repository: Repository, part: Sequence[Entry], blobs: Blobs, folders: dict[str, str],
    asked: dict[str, list[str]], path: Path, done: Path,
) -> None:  # fmt: skip
    """Write a part, then its counts."""
    counts: dict[str, Any] = {**dict.fromkeys(NUMBERS, 0), **{name: Counter[str]() for name in TALLIES}}
    languages = frozenset(asked["languages"])
    # without a name and a time, so that the same part gives the same bytes
    with replacing(path) as temporary, temporary.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, 0) as file:
        for entry in part:
            counts["files"] += 1
            text, reason = _text(entry, blobs, languages)
            licence = "" if reason else licence_of(entry.path, text, folders)
            if not reason and not allowed(licence, asked["licences"]):
                reason = f"licence {licence}"
            if reason:
                counts["left_out"][reason] += 1
                continue
            place = f"{repository.name}/{entry.path}"
            row = {"id": documents.made_id(repository.name, entry.path), "text": text, "path": place,
                   "licence": licence, "language": "", "kind": f"code:{language_of(entry.path)}"}  # fmt: skip
            line = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
            file.write(line)
            counts["kept"] += 1
            counts["bytes"] += len(text.encode("utf-8", "replace"))
            counts["languages"][language_of(entry.path)] += 1
            counts["licences"][licence] += 1
    if not counts["kept"]:
        path.unlink()
    write_json(done, counts)


def _text(entry: Entry, blobs: Blobs, languages: frozenset[str]) -> tuple[str, str]:
    """A file's text, or why there is none. What the path tells comes first: such blobs are not read."""
    for reason, applies in (
        ("link", entry.mode == LINK),
        ("submodule", entry.mode == MODULE),
        ("other_language", language_of(entry.path) not in languages),
        ("vendored", vendored(entry.path)),
        ("too_large", entry.size > LARGEST),
        ("empty", not entry.size),
    ):
        if applies:
            return "", reason
    data = blobs.get(entry.blob)
    if b"\0" in data[:8000] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "", "binary"
    try:
        text, _ = document(data)
    except LuthierError:
        return "", "encoding"
    return text, unwritten(entry.path, text) if text.strip() else "empty"


def _add(sums: dict[str, Any], done: Path) -> None:
    part = read_record(done, *NUMBERS, *TALLIES)
    for name in NUMBERS:
        sums[name] += part[name]
    for name in TALLIES:
        sums[name].update(part[name])


def told(counts: dict[str, Any], out: Path) -> list[str]:
    """The counts in lines."""
    lines = [f"{counts['files']:,} files, {counts['kept']:,} kept: {counts['bytes'] / 1e6:,.3g} MB"]
    for name, word in (("left_out", "left out"), ("languages", "languages"), ("licences", "licences")):
        if most := sorted(counts[name].items(), key=lambda item: (-item[1], item[0])):
            lines.append(f"  {word}: " + ", ".join(f"{key} {count:,}" for key, count in most))
    return [*lines, f"Code: {out / CODE}"]
