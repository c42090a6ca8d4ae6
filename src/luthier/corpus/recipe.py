"""Stages in a row, from files to clean documents, in one folder.

    input: [crawl/, dump.jsonl.gz]
    lines: false                        # true: text files hold a document a line
    reference: good/                    # text as it should be: its perplexity is told before and after
    stages:
      - language: {keep: [en, zh]}
      - filter                          # each document by the preset of its language
      - exact
      - near: {ngram: 5}

    DIR/stages/NN-NAME-HASH/   each stage's outcome (`stage`), found again by what it was made of
    DIR/looked/NN-NAME-HASH/   statistics and signatures, which another threshold uses again
    DIR/kept/                  documents that came through: links to those of the last stage
    DIR/dropped/               all that did not, with reason and detail: NN-NAME-SHARD.parquet
    DIR/funnel.json            [{"stage", "in", "kept", "dropped", "reasons", "tokens", …}], written last

A stage's HASH is of its options and of the stage before, the first one's of the files' contents: whatever is changed in
a recipe, what stands before it is not done again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.corpus import read
from luthier.corpus.measures import measured
from luthier.corpus.stage import DROPPED, KEPT, Counts, Looking, Say, Stage, as_text, run, shards_in
from luthier.io.config import build
from luthier.io.files import LOCK, alone, from_yaml, is_taken, read_record, write_json

FUNNEL, INPUTS = "funnel.json", "inputs.json"
VERSION = 2  # of what stages make of the same documents: one that changes it makes them anew
Bar = Callable[[str], AbstractContextManager[Say]]


@dataclass(frozen=True)
class Pipeline:
    """input: files and folders. stages: in their order, behind reading. lines: whether text files hold one a line.

    reference: text as it should be, "" for that of a stage `perplexity`, if there is one.
    """

    input: tuple[Path, ...]
    stages: tuple[Stage, ...]
    lines: bool = False
    reference: str = ""

    @property
    def judged_by(self) -> str:
        """The text under whose counts perplexity is told before and after, "" where there is none."""
        return next((named for one in (self, *self.stages) if (named := getattr(one, "reference", ""))), "")


KEYS = tuple(Pipeline.__dataclass_fields__)


def read_pipeline(path: Path) -> Pipeline:
    """A recipe's file; its inputs are relative to it. Raises LuthierError with the place of what is wrong."""
    try:
        found = from_yaml(path.read_text("utf-8"))
    except FileNotFoundError:
        raise LuthierError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise LuthierError(f"{path}: {error}") from None
    if not isinstance(found, Mapping) or not {"input", "stages"} <= set(found) <= set(KEYS):
        what = "a table with `input` (files, folders), `stages` (a list), perhaps `lines` and `reference`"
        raise LuthierError(f"{path}: {what}")
    if not isinstance(found.get("lines", False), bool):
        raise LuthierError(f"{path}: lines: true where text files hold a document a line, else false")
    given = found["input"] if isinstance(found["input"], list) else [found["input"]]
    stages = found["stages"]
    if not isinstance(stages, list) or not stages:
        raise LuthierError(f"{path}: stages: a list, such as [language, filter, exact, near]")
    made = [stage_of(entry, f"{path}: stages, {at}", path.parent) for at, entry in enumerate(stages, 1)]
    inputs = tuple(path.parent / str(name) for name in given)
    reference = str(path.parent / str(found["reference"])) if found.get("reference") else ""
    return Pipeline(inputs, tuple(made), found.get("lines", False), reference)


def stage_of(entry: Any, where: str = "stage", base: Path = Path()) -> Stage:
    """A stage by its name, or {name: options}. base: what files of its options are relative to. Raises LuthierError."""
    pairs = [(entry, {})] if isinstance(entry, str) else list(entry.items()) if isinstance(entry, Mapping) else []
    name, options = pairs[0] if len(pairs) == 1 else ("", {})
    known = plugins.members("stages")
    if name not in known:
        raise LuthierError(f"{where}: one of {', '.join(known)}, with its options: `- near: {{ngram: 5}}`")
    cls = known[name].load("STAGE")
    try:
        made = getattr(cls, "of", lambda values: build(cls, values, ""))
        given = dict(options or {})
        stage: Stage = made({key: _found(value, base) if key in cls.paths else value for key, value in given.items()})
    except LuthierError as error:
        raise LuthierError(f"{where}: {name}: {error}") from None
    return stage


def _found(value: Any, base: Path) -> Any:
    """Names of files as they are found below a folder; other names, such as a preset's, as they are."""
    if isinstance(value, str):
        return str(base / value) if (base / value).exists() else value
    if isinstance(value, list | tuple):
        return [_found(one, base) for one in value]
    return {key: _found(one, base) for key, one in value.items()} if isinstance(value, Mapping) else value


def run_pipeline(pipeline: Pipeline, folder: Path, workers: int, bar: Bar) -> list[dict[str, Any]]:
    """Do what is left and give the funnel. Raises LuthierError."""
    is_taken(folder, INPUTS, "corpus")
    with alone(folder / LOCK, f"{folder}: another command is at work there"):
        key = _contents(pipeline.input, folder) + ("-lines" if pipeline.lines else "")
        place = folder / "stages" / f"00-read-{key}"
        with bar("read") as say:
            funnel = [entry("read", read.run(pipeline.input, place, workers, say, pipeline.lines))]
        places = [place]
        for number, stage in enumerate(pipeline.stages, 1):
            key, look_key = _key(key, stage), _look_key(key, stage)
            name, before = f"{number:02d}-{stage.name}", place
            place, looked = folder / "stages" / f"{name}-{key}", folder / "looked" / f"{name}-{look_key}"
            with bar(stage.name) as say:
                funnel.append(entry(stage.name, run(stage, shards_in(before / KEPT), place, workers, say, looked)))
            places.append(place)
        with bar("measure") as say:
            for at, (told, place) in enumerate(zip(funnel, places, strict=True)):
                say(at, len(places))
                told |= measured(place, told["bytes_kept"], pipeline.judged_by).__dict__
        (folder / FUNNEL).unlink(missing_ok=True)  # of an earlier recipe: it goes before what it tells of
        _publish(folder, places)
        write_json(folder / FUNNEL, funnel)
    return funnel


def _key(before: str, stage: Stage) -> str:
    """Of all that a stage's outcome hangs on. before: that of its documents."""
    return _hash(before, stage, stage.__dict__, stage.reads)


def _look_key(before: str, stage: Stage) -> str:
    """Of all that what a stage looks at hangs on; "" where it looks at nothing."""
    return _hash(before, stage, stage.looks, stage.look_reads) if isinstance(stage, Looking) else ""


def _hash(before: str, stage: Stage, options: Mapping[str, Any], files: Sequence[Path]) -> str:
    options = {name: value for name, value in options.items() if name not in stage.paths}
    whole = hashlib.blake2b(f"{before} {VERSION} {stage.name} {as_text(options)}".encode(), digest_size=6)
    for path in files:
        whole.update(_digest(path).encode())
    return whole.hexdigest()


def entry(name: str, counts: Counts) -> dict[str, Any]:
    """A stage as funnel.json tells it."""
    told = dict(counts.__dict__)
    return {"stage": name, "in": told.pop("taken"), **told}


def _contents(inputs: Sequence[Path], folder: Path) -> str:
    """A hash of what the files hold; a file that has not changed since is not read again for it."""
    path = folder / INPUTS
    known = read_record(path) if path.exists() else {}
    now: dict[str, list[Any]] = {}
    whole = hashlib.blake2b(digest_size=6)
    for source in read.find(inputs).sources:
        about = source.path.stat()
        mark = [about.st_size, about.st_mtime_ns]
        place = read.printable(str(source.path.absolute()))
        held = known.get(place)
        digest = held[2] if held and held[:2] == mark else _digest(source.path)
        now[place] = [*mark, digest]
        whole.update(f"{source.name} {digest}\n".encode())
    write_json(path, now)
    return whole.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _publish(folder: Path, places: Sequence[Path]) -> None:
    """Links to what came through and to what did not; a folder that was there gives way."""
    fresh = folder / ".publishing"
    shutil.rmtree(fresh, ignore_errors=True)
    for place in places:
        for path in shards_in(place / DROPPED):
            _link(path, fresh / DROPPED / f"{place.name.rsplit('-', 1)[0]}-{path.name}")
    for path in shards_in(places[-1] / KEPT):
        _link(path, fresh / KEPT / path.name)
    for name in (KEPT, DROPPED):
        shutil.rmtree(folder / name, ignore_errors=True)
        (fresh / name).mkdir(parents=True, exist_ok=True)
        (fresh / name).rename(folder / name)
    fresh.rmdir()


def _link(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, to)
    except OSError:  # a file system without links
        shutil.copyfile(path, to)
