"""A user's data to records: which columns mean what, and every row either a record or bad for a reason in words.

>>> read(Path("mine.csv"))                                                        # text,label | instruction,output…
>>> read(Path("sst2.tsv"), columns={"0": "text", "1": "label"}, labels={"0": "negative", "1": "positive"})
>>> read(Path("pairs.jsonl"), columns={"de": "input", "en": "output"}, instruction="Translate German to English.")
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.core.records import Prompt, Record, Task
from luthier.core.tasks import WRITTEN
from luthier.data import advice, verdicts
from luthier.data.blanks import fill_in
from luthier.data.conversation import FRAME
from luthier.data.formats import load
from luthier.data.keys import Key
from luthier.data.labels import alike
from luthier.data.layouts import LAYOUTS, TEXT, Layout, to_prompt
from luthier.data.making import Bad as Bad
from luthier.data.making import bad_row, cell, make
from luthier.data.marks import Mark
from luthier.data.names import aliases
from luthier.data.notes import notes as of_keys
from luthier.data.rows import RejectError, Wanted
from luthier.data.source import FIELDS, Source, quoted
from luthier.io.files import write_text

_NOTHING: Mapping[str, str] = MappingProxyType({})
ASKING = frozenset(  # fields of rows to predict on
    {"text", "instruction", "input", "question", "prompt", "messages", "conversations", "chosen", "rejected", *FRAME}
)


@dataclass(frozen=True)
class Table:
    """A file's records with the line each starts on, and its bad rows; `unit` is what lines count: line or row.

    keys: all that its rows have, with what each does. notes: what had to be decided to read it, a sentence each.
    mark: what stood behind nearly every answer and is taken off. places: names of a template's places in its texts,
    where some are to be filled. hopeless: why there is nothing to learn from it as it is read; "" where there is.
    """

    task: Task
    records: tuple[Record, ...]
    lines: tuple[int, ...]
    bad: tuple[Bad, ...]
    path: Path
    unit: str = "line"
    layout: str = ""
    keys: tuple[Key, ...] = ()
    notes: tuple[str, ...] = ()
    mark: Mark | None = None
    places: frozenset[str] = frozenset()
    hopeless: str = ""


@dataclass(frozen=True)
class Inputs:
    """Rows to predict on: all source columns as text, what the model is asked for each, and the bad rows.

    notes: what had to be decided to read it, a sentence each.
    """

    task: Task
    rows: list[dict[str, str]]
    prompts: list[Prompt]
    fieldnames: list[str]
    lines: tuple[int, ...]
    bad: tuple[Bad, ...]
    path: Path
    notes: tuple[str, ...] = ()


def read(
    path: Path,
    *,
    columns: Mapping[str, str] = _NOTHING,
    labels: Mapping[str, str] = _NOTHING,
    instruction: str | None = None,
    known_labels: Collection[str] = (),
    encoding: str = "",
    fill: Mapping[str, str] = _NOTHING,
    anyway: bool = False,
) -> Table:
    """Read a file, a folder or a hub id (see `formats`); every row ends in `records` or in `bad`.

    columns: source column -> field (`source.FIELDS`), by header or key, or by number from 0 for a table without header
    row. labels: label in the file -> label name; with it, other labels are bad unless they are names already.
    known_labels: names that pass too (those of the training file, say). instruction: for rows that have none of their
    own; "" means that `input` alone is the prompt. encoding: of a text file that is not UTF-8; "": the one that fits.
    fill: name -> text to put where `{{name}}` stands. anyway: read answers that are all empty, or nothing but a mark.

    Raises LuthierError when the file as a whole cannot be used: not there, empty, not a kind that is read, nothing
    recognised in it, no good row.
    """
    source = load(Path(path), columns, encoding)
    known = frozenset({*labels.values(), *known_labels})
    wanted = Wanted(columns, labels, instruction, known, source.path.name, _aliases(source, columns))
    return read_source(source, wanted, fill, anyway)


def read_source(source: Source, wanted: Wanted, fill: Mapping[str, str] = _NOTHING, anyway: bool = False) -> Table:
    """What `read` makes of the rows of a file. fill, anyway: as there."""
    path, columns = source.path, wanted.columns
    source, places = fill_in(source, fill)
    instruction, labels = wanted.instruction, wanted.labels
    layout = _layout(source, wanted)
    if labels and not layout.labels:
        raise LuthierError(f"{path}: --labels is for files with text and label; this one has {layout.name}")
    if instruction is not None and not layout.instruction:
        raise LuthierError(f"{path}: --instruction is for files with input and output; this one has {layout.name}")
    judging = verdicts.judging(source, wanted, layout)
    made = make(source, wanted, layout, judging, anyway)
    if not made.records:
        raise _unusable(source, made.bad, advice.rather(source, wanted))
    keys = made.tally.keys()
    used = {key.name for key in keys if key.level == "column" and key.used}
    said = judging.named(columns)
    renamed = {**wanted.aliases, **dict.fromkeys(said, "label")}
    notes = _of_file(source, *_renamed(renamed, used), *alike(made.records))
    name = " and ".join([layout.name, *judging.columns])
    table = Table(
        layout.task, tuple(made.records), tuple(made.lines), tuple(made.bad), source.path, source.unit, name, keys,
        notes, made.mark, places,
    )  # fmt: skip
    return replace(table, notes=(*notes, *of_keys(table, source.path.name)))


def _aliases(source: Source, columns: Mapping[str, str]) -> dict[str, str]:
    return aliases(source.columns, columns) if source.headed else {}


def _of_file(source: Source, *more: str) -> tuple[str, ...]:
    """What is to be said of a file, each sentence with its name."""
    return tuple(say("said_in_file", file=source.path.name, note=note) for note in (*source.notes, *more))


def _renamed(aliases: Mapping[str, str], used: Collection[str]) -> list[str]:
    """The columns that are read as a field which they are not called by."""
    found = [f"{quoted([name])} → {field}" for name, field in aliases.items() if name in used]
    return [say("said_file_columns", columns=", ".join(found))] if found else []


def read_inputs(
    path: Path, *, columns: Mapping[str, str] = _NOTHING, instruction: str | None = None, encoding: str = "",
    fill: Mapping[str, str] = _NOTHING,
) -> Inputs:  # fmt: skip
    """Read rows to predict on: {text}, {instruction, input}, {input} with `instruction`, {question}, {prompt}…

    Other columns are kept, those of answers too. What `columns` maps to an answer may be absent here. Raises
    LuthierError as `read` does.
    """
    columns = asking(columns)
    source, _ = fill_in(load(Path(path), columns, encoding), fill)
    return inputs_of(source, columns=columns, instruction=instruction)


def asking(columns: Mapping[str, str]) -> dict[str, str]:
    """Of a mapping what a row to predict on needs: not its answers."""
    return {name: field for name, field in columns.items() if field in ASKING}


def inputs_of(
    source: Source, *, columns: Mapping[str, str] = _NOTHING, instruction: str | None = None,
    usual: str | None = None, writes: bool | None = None,
) -> Inputs:  # fmt: skip
    """What `read_inputs` makes of the rows of a file. usual: the instruction where none is given and the rows take one.

    writes: whether the model writes text (True) or labels texts: it decides where a file can be read in two ways, and
    a text is a question to one that writes.
    """
    told = usual if instruction is None else instruction
    wanted = Wanted(columns, {}, told, frozenset(), aliases=_aliases(source, columns))
    layout = _layout(source, wanted, answers=False, writes=writes)
    assert layout.ask is not None
    texts = writes and not layout.structured and not layout.instruction
    if instruction is not None and not layout.instruction and not texts:
        has = layout.name if layout.structured else "text"
        raise LuthierError(f"{source.path}: --instruction is for files with an input column; this one has {has}")
    before = f"{told}\n" if told and texts else ""
    rows: list[dict[str, str]] = []
    prompts: list[Prompt] = []
    lines: list[int] = []
    bad: list[Bad] = []
    for row in source.rows:
        try:
            prompt = to_prompt(row, layout, wanted)
        except RejectError as why:
            bad.append(bad_row(row, why))
        else:
            prompts.append(before + prompt if before and isinstance(prompt, str) else prompt)
            rows.append({name: cell(row.columns.get(name)) for name in source.columns})
            lines.append(row.line)
    if not rows:
        raise _unusable(source, bad)
    used = {name for name, field in wanted.aliases.items() if field in (layout.asks or ())}
    notes = _of_file(source, *_renamed(wanted.aliases, used))
    return Inputs(layout.task, rows, prompts, list(source.columns), tuple(lines), tuple(bad), source.path, notes)


def report_bad(table: Table | Inputs, skip_bad: bool, rejected: Path | None) -> None:
    """Stop with a list of the bad rows, or, with `skip_bad`, write them to `rejected` (one JSON object a line)."""
    if not table.bad:
        return
    if not skip_bad:
        shown = [f"{table.path}:{bad.line}: {bad.reason}" for bad in table.bad[:20]]
        if len(table.bad) > len(shown):
            shown.append(f"and {len(table.bad) - len(shown)} more")
        count = f"{len(table.bad)} of {len(table.bad) + len(table.lines)} rows cannot be used"
        raise LuthierError(
            "\n  ".join([f"{count}:", *shown]) + "\n--skip-bad leaves them out and writes them to rejected.jsonl"
        )
    if rejected is not None:
        rows = [{"line": bad.line, "reason": bad.reason, "raw": bad.raw} for bad in table.bad]
        write_text(rejected, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _layout(source: Source, wanted: Wanted, answers: bool = True, writes: bool | None = None) -> Layout:
    """The layout that most rows fit; what --map names decides first, then what is more specific.

    writes: of those that fit alike, the ones for a model that writes text, or that labels texts.
    """
    targets = list(wanted.columns.values())
    for field in targets:
        if field not in FIELDS:
            raise LuthierError(f"--map: there is no field {quoted([field])}; the fields are {', '.join(FIELDS)}")
        if targets.count(field) > 1:
            raise LuthierError(f'--map gives field "{field}" two columns: name one')
    layouts = [layout for layout in LAYOUTS if layout.fields.issuperset(targets)]
    if not layouts:
        raise LuthierError(f"--map: {' and '.join(targets)} do not belong together; use {advice.examples()}")
    present = [wanted.fields(row) for row in source.rows if not row.reason]
    if not present:
        raise _unusable(source, [Bad(row.line, row.reason, "") for row in source.rows])
    counts = [(layout, sum(layout.fits(fields, wanted, answers) for fields in present)) for layout in layouts]
    most = max(count for _, count in counts)
    if not most:
        raise LuthierError(advice.unrecognised(source, any("input" in fields for fields in present), wanted, answers))
    rank = max(layout.rank for layout, count in counts if 2 * count >= most)
    most = max(count for layout, count in counts if layout.rank == rank)
    fitting = [layout for layout, count in counts if layout.rank == rank and count == most]
    kind = [layout for layout in fitting if writes in (None, layout.task in WRITTEN)]
    best, *rivals = kind or fitting
    if rivals:
        raise LuthierError(advice.rivals(source, wanted, (best, *rivals)))
    if best.structured and not source.structured:
        raise LuthierError(f"{source.path}: {best.name} are lists, which are read from .jsonl only, or .json, .parquet")
    if best is TEXT and not wanted.columns and (beside := advice.label_beside(source)):
        raise LuthierError(beside)
    return best


def _unusable(source: Source, bad: list[Bad], rather: str = "") -> LuthierError:
    shown = "".join(f"\n  {source.path}:{row.line}: {row.reason}" for row in bad[:5])
    more = f"\n  and {len(bad) - 5} more" if len(bad) > 5 else ""
    return LuthierError(f"{source.path}: none of its {len(bad)} rows can be used:{shown}{more}{rather}")
