"""A file to predict on, read as the run's own data was: its mapping, instruction, encoding, as far as they fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.data import embedded, paired
from luthier.data.blanks import fill_in
from luthier.data.encoding import inherited
from luthier.data.formats import load
from luthier.data.names import meaning
from luthier.data.read import ASKING, Inputs, asking, inputs_of
from luthier.data.readers import by_ending
from luthier.data.source import Source, contents
from luthier.io.config import DataConfig


def read_for(
    known: DataConfig, path: Path, columns: Mapping[str, str], instruction: str | None, encoding: str, writes: bool
) -> Inputs:
    """The rows of `path` for a run on `known`; what is given (columns, instruction, encoding) wins over what it knows.

    Answers may stand in the file or not, and it may be laid out otherwise than the run's. writes: whether the run
    writes text. Raises LuthierError as `read_inputs` does.
    """
    known = _of_embedded(known)
    usual = paired.instruction_of(known.pair, known.instruction) if known.pair else known.instruction
    usual = usual if writes else None
    encoding = encoding or inherited_by(path, known.encoding)
    if paired.is_lines(path, known.pair) or (known.pair and path.is_file() and _kind(path) not in by_ending()):
        lines, _ = fill_in(paired.read_lines(path, encoding), known.fill)
        return inputs_of(lines, instruction=instruction, usual=usual, writes=writes)
    given: Mapping[str, str] = asking(columns)
    source, own = (load(path, given, encoding), given) if columns else _with_known(path, asking(known.map), encoding)
    source, _ = fill_in(source, known.fill)
    return inputs_of(source, columns=own, instruction=instruction, usual=usual, writes=writes)


def _of_embedded(known: DataConfig) -> DataConfig:
    """With the mapping and the instruction of an embedded set, where the run has none of its own."""
    if (found := embedded.find(known.path)) is None:
        return known
    told = found.instruction if known.instruction is None else known.instruction
    return replace(known, map=dict(known.map or found.map), instruction=told)


def inherited_by(path: Path, encoding: str) -> str:
    """The encoding of a run's data for another file, where that is not UTF-8."""
    return inherited(contents(path), encoding) if encoding and path.is_file() else ""


def _kind(path: Path) -> str:
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def _with_known(path: Path, own: Mapping[str, str], encoding: str) -> tuple[Source, Mapping[str, str]]:
    """The file with as much of the run's mapping as it has columns for."""
    if not own:
        return load(path, (), encoding), {}
    try:
        source = load(path, own, encoding)
    except LuthierError:
        source = load(path, (), encoding)
        there = {name: field for name, field in own.items() if name in source.columns}
        return (load(path, there, encoding) if there else source), there
    if not source.headed and source.rows and any(meaning(cell) in ASKING for cell in source.rows[0].cells):
        return load(path, (), encoding), {}  # the run's table went by number, this one has a header
    return source, own
