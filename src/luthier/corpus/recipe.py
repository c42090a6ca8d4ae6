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
    DIR/found/                 what was sought and found (test rows, private data): NN-NAME-SHARD.parquet
    DIR/funnel.json            [{"stage", "in", "kept", "dropped", "reasons", "tokens", …}], written last

A stage's HASH is of its options and of the stage before, the first one's of the files' contents: whatever is changed in
a recipe, what stands before it is not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.corpus import read
from luthier.corpus.keys import contents, look_key, outcome_key
from luthier.corpus.measures import measured
from luthier.corpus.pool import Pool
from luthier.corpus.stage import DROPPED, FOUND, KEPT, Counts, Say, Stage, run, shards_in
from luthier.io import places
from luthier.io.config import build
from luthier.io.files import LOCK, alone, is_taken, read_json, read_yaml, write_json

FUNNEL, INPUTS = "funnel.json", "inputs.json"
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
    found = read_yaml(path)
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
    inputs = tuple(places.place(str(name), path.parent) for name in given)
    reference = str(places.place(str(found["reference"]), path.parent)) if found.get("reference") else ""
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
        stage: Stage = made(_located(cls, dict(options or {}), base))
    except LuthierError as error:
        raise LuthierError(f"{where}: {name}: {error}") from None
    return stage


def _located(cls: type[Stage], options: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Options with files found below a folder: all of those that name files, and what looks like a file's name among
    those that may."""

    def found(value: Any, any_name: bool) -> Any:
        if isinstance(value, str):
            if places.is_address(value):
                return value
            place = base / value
            fits = value and (place.exists() if any_name else place.suffix and place.is_file())
            return str(place) if fits else value
        if isinstance(value, list | tuple):
            return [found(one, any_name) if isinstance(one, str) else one for one in value]
        if isinstance(value, Mapping):
            return {key: found(one, any_name) if isinstance(one, str) else one for key, one in value.items()}
        return value

    named = cls.paths + cls.may_be_paths
    return {key: found(value, key in cls.paths) if key in named else value for key, value in options.items()}


def run_pipeline(pipeline: Pipeline, folder: Path, pool: Pool, bar: Bar) -> list[dict[str, Any]]:
    """Do what is left and give the funnel. Raises LuthierError."""
    is_taken(folder, INPUTS, "corpus")
    if pipeline.judged_by:
        read.find([places.place(pipeline.judged_by)])  # what is wrong with it is said before hours of work
    with alone(folder / LOCK, f"{folder}: another command is at work there"):
        key = contents(pipeline.input, folder / INPUTS) + ("-lines" if pipeline.lines else "")
        named = (path for stage in pipeline.stages for own in stage.reads.values() for path in own)
        pool.check(folder, [*pipeline.input, *named])
        place = folder / "stages" / f"00-read-{key}"
        with bar("read") as say:
            funnel = [entry(place, "read", read.run(pipeline.input, place, pool, say, pipeline.lines))]
        outcomes = [place]
        for number, stage in enumerate(pipeline.stages, 1):
            key, looked_at = outcome_key(key, stage), look_key(key, stage)
            name, before = f"{number:02d}-{stage.name}", place
            place, looked = folder / "stages" / f"{name}-{key}", folder / "looked" / f"{name}-{looked_at}"
            with bar(stage.name) as say:
                counts = run(stage, shards_in(before / KEPT), place, pool, say, looked)
                _check_whole(place, counts.taken, funnel[-1]["kept"])
                funnel.append(entry(place, stage.name, counts))
            outcomes.append(place)
        with bar("measure") as say:
            for at, (told, place) in enumerate(zip(funnel, outcomes, strict=True)):
                say(at, len(outcomes))
                told |= measured(place, told["bytes_kept"], pipeline.judged_by).__dict__
        if not _is_published(folder, funnel):
            places.unlink(folder / FUNNEL)  # of an earlier recipe: it goes before what it tells of
            _publish(folder, outcomes)
        write_json(folder / FUNNEL, funnel)
    return funnel


def _check_whole(place: Path, taken: int, kept: int) -> None:
    """Raise LuthierError where a stage has not seen all that the one before kept: what was listed was out of date."""
    if taken != kept:
        raise LuthierError(
            f"{place}: {taken} documents where {kept} were kept before: remove this folder and give the same command "
            "again"
        )


def entry(place: Path, name: str, counts: Counts) -> dict[str, Any]:
    """A stage as funnel.json tells it. place: its folder, told below DIR."""
    told = dict(counts.__dict__)
    return {"stage": name, "in": told.pop("taken"), **told, "folder": f"{place.parent.name}/{place.name}"}


def _is_published(folder: Path, funnel: Sequence[Mapping[str, Any]]) -> bool:
    """Whether what is there came from the same outcomes: the funnel is written when they stand there."""
    try:
        before = read_json(folder / FUNNEL) if (folder / FUNNEL).exists() else []
        same = [one["folder"] for one in before] == [one["folder"] for one in funnel]
    except (LuthierError, TypeError, KeyError):
        return False
    return same and places.members(folder / KEPT) == places.members(folder / funnel[-1]["folder"] / KEPT)


def _publish(folder: Path, outcomes: Sequence[Path]) -> None:
    """Links to what came through and to what did not; a folder that was there gives way.

    At an address, where no folder can be renamed, they are made in their place: they are whole when the funnel is told.
    """
    links = [(path, f"{kind}/{place.name.rsplit('-', 1)[0]}-{path.name}")
             for place in outcomes for kind in (DROPPED, FOUND) for path in shards_in(place / kind)]  # fmt: skip
    links += [(path, f"{KEPT}/{path.name}") for path in shards_in(outcomes[-1] / KEPT)]
    if places.is_far(folder):
        for name in (KEPT, DROPPED, FOUND):
            places.remove(folder / name)
        places.each(lambda one: places.link(one[0], folder / one[1]), links)
        return
    fresh = folder / ".publishing"
    places.remove(fresh)
    for path, name in links:
        places.link(path, fresh / name)
    for name in (KEPT, DROPPED, FOUND):
        places.remove(folder / name)
        (fresh / name).mkdir(parents=True, exist_ok=True)
        (fresh / name).rename(folder / name)
    fresh.rmdir()
