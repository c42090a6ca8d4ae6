"""A user's file to records: which columns mean what, and every row either a record or bad for a reason in words.

>>> read(Path("mine.csv"))                                                        # text,label | instruction,output…
>>> read(Path("sst2.tsv"), columns={"0": "text", "1": "label"}, labels={"0": "negative", "1": "positive"})
>>> read(Path("pairs.jsonl"), columns={"de": "input", "en": "output"}, instruction="Translate German to English.")
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from luthier.data.formats import FIELDS, Source, load, printable, quoted
from luthier.data.rows import LAYOUTS, Layout, RejectError, Wanted, ask, text_of, to_record
from luthier.errors import LuthierError
from luthier.files import write_text
from luthier.protocols import Record, Task

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Bad:
    """A row that cannot be used: its line (from 1), why, and its source text."""

    line: int
    reason: str
    raw: str


@dataclass(frozen=True)
class Table:
    """A file's records with the line each starts on, and its bad rows."""

    task: Task
    records: tuple[Record, ...]
    lines: tuple[int, ...]
    bad: tuple[Bad, ...]
    path: Path


@dataclass(frozen=True)
class Inputs:
    """Rows to predict on: all source columns as text, what the model is asked for each, and the bad rows."""

    task: Task
    rows: list[dict[str, str]]
    prompts: list[str]
    fieldnames: list[str]
    lines: tuple[int, ...]
    bad: tuple[Bad, ...]
    path: Path


def read(
    path: Path,
    *,
    columns: Mapping[str, str] = _NOTHING,
    labels: Mapping[str, str] = _NOTHING,
    instruction: str | None = None,
    known_labels: Collection[str] = (),
) -> Table:
    """Read a .jsonl, .csv or .tsv file; every row ends in `records` or in `bad`.

    columns: source column -> field (`text`, `label`, `instruction`, `input`, `output`, `messages`), by header or key,
    or by number from 0 for a table without header row. labels: label in the file -> label name; with it, other labels
    are bad unless they are names already. known_labels: names that pass too (those of the training file, say).
    instruction: for rows that have none of their own; "" means that `input` alone is the prompt.

    Raises LuthierError when the file as a whole cannot be used: not there, empty, not a kind that is read, nothing
    recognised in it, no good row.
    """
    source = load(Path(path), columns)
    wanted = Wanted(columns, labels, instruction, frozenset({*labels.values(), *known_labels}))
    layout = _layout(source, wanted)
    if layout != "labelled" and labels:
        raise LuthierError(f"{path}: --labels is for files with text and label; this one has {_shape(layout)}")
    if layout != "instruct" and instruction is not None:
        raise LuthierError(f"{path}: --instruction is for files with input and output; this one has {_shape(layout)}")
    records: list[Record] = []
    lines: list[int] = []
    bad: list[Bad] = []
    for i, row in enumerate(source.rows):
        try:
            record = to_record(row, layout, wanted, first=i == 0 and not source.headed)
        except RejectError as why:
            bad.append(Bad(row.line, str(why), printable(row.raw)))
        else:
            records.append(record)
            lines.append(row.line)
    if not records:
        raise _unusable(source, bad)
    task: Task = "classification" if layout == "labelled" else "generation"
    return Table(task, tuple(records), tuple(lines), tuple(bad), source.path)


def read_inputs(path: Path, *, columns: Mapping[str, str] = _NOTHING, instruction: str | None = None) -> Inputs:
    """Read rows to predict on: {text}, {instruction, input} or {input} with `instruction`; other columns are kept.

    What `columns` maps to label or output may be absent here. Raises LuthierError as `read` does.
    """
    columns = {name: field for name, field in columns.items() if field in ("text", "instruction", "input")}
    source = load(Path(path), columns)
    wanted = Wanted(columns, {}, instruction, frozenset())
    layout = _layout(source, wanted, answers=False)
    if layout == "labelled" and instruction is not None:
        raise LuthierError(f"{path}: --instruction is for files with an input column; this one has text")
    rows: list[dict[str, str]] = []
    prompts: list[str] = []
    lines: list[int] = []
    bad: list[Bad] = []
    for row in source.rows:
        try:
            if row.reason:
                raise RejectError(row.reason)
            fields = wanted.fields(row)
            prompts.append(text_of(fields, "text", wanted) if layout == "labelled" else ask(fields, wanted))
        except RejectError as why:
            bad.append(Bad(row.line, str(why), printable(row.raw)))
        else:
            rows.append({name: _cell(row.columns.get(name)) for name in source.columns})
            lines.append(row.line)
    if not rows:
        raise _unusable(source, bad)
    task: Task = "classification" if layout == "labelled" else "generation"
    return Inputs(task, rows, prompts, list(source.columns), tuple(lines), tuple(bad), source.path)


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


def _shape(layout: Layout) -> str:
    return " and ".join(field for field in FIELDS if field in LAYOUTS[layout])


def _layout(source: Source, wanted: Wanted, answers: bool = True) -> Layout:
    """The layout that most rows fit; what --map names decides first."""
    targets = list(wanted.columns.values())
    for field in targets:
        if field not in FIELDS:
            raise LuthierError(f"--map: there is no field {quoted([field])}; the fields are {', '.join(FIELDS)}")
        if targets.count(field) > 1:
            raise LuthierError(f'--map gives field "{field}" two columns: name one')
    layouts: list[Layout] = [name for name, fields in LAYOUTS.items() if fields.issuperset(targets)]
    if not layouts:
        raise LuthierError(f"--map: {' and '.join(targets)} do not belong together; use {_examples()}")
    present = [wanted.fields(row).keys() for row in source.rows if not row.reason]
    if not present:
        raise _unusable(source, [Bad(row.line, row.reason, "") for row in source.rows])
    counts = {name: sum(_fits(name, keys, wanted, answers) for keys in present) for name in layouts}
    best = max(layouts, key=lambda name: counts[name])
    if not counts[best]:
        raise LuthierError(_unrecognised(source, any("input" in keys for keys in present), wanted, answers))
    rivals = [name for name in layouts if counts[name] == counts[best]]
    if len(rivals) > 1:
        both = " and ".join(f"({_shape(name)})" for name in rivals)
        raise LuthierError(f"{source.path} can be read as {both}: say which with --map, such as --map text=text")
    if best == "messages" and (source.path.suffix.lower() != ".jsonl" or not answers):
        raise LuthierError(f"{source.path}: messages are read from .jsonl only, and as training data only")
    return best


def _fits(layout: Layout, keys: Collection[str], wanted: Wanted, answers: bool) -> bool:
    if layout == "messages":
        return "messages" in keys
    if layout == "labelled":
        return "text" in keys and ("label" in keys or not answers)
    asked = "instruction" in keys or ("input" in keys and wanted.instruction is not None)
    return asked and ("output" in keys or not answers)


def _examples() -> str:
    return "text and label, or input, output and perhaps instruction, or messages"


def _unrecognised(source: Source, has_input: bool, wanted: Wanted, answers: bool) -> str:
    found = f"{source.path}: no known columns. Found: {quoted(source.columns)}; needed: "
    if not answers:
        return found + "text, or instruction (and input). Say which column it is: --map COLUMN=text"
    if has_input and wanted.instruction is None:
        return (
            f"{source.path}: input and output need an instruction: give one for all rows with "
            '--instruction "Translate to English." ("" for none), or name its column with --map COLUMN=instruction'
        )
    names = [*source.columns, "COLUMN", "COLUMN"]
    hint = f"\nSay which is which: --map {names[0]}=text,{names[1]}=label or --map {names[0]}=input,{names[1]}=output"
    if source.path.suffix.lower() != ".jsonl":
        numbers = "If the file has no header row, use numbers: --map 0=text,1=label"
        hint = f"\n{numbers}" if max(map(len, source.columns)) > 40 else f"{hint}\n{numbers}"
    return found + _examples() + "." + printable(hint)


def _unusable(source: Source, bad: list[Bad]) -> LuthierError:
    shown = "".join(f"\n  {source.path}:{row.line}: {row.reason}" for row in bad[:5])
    more = f"\n  and {len(bad) - 5} more" if len(bad) > 5 else ""
    array = source.path.suffix.lower() == ".jsonl" and source.rows[0].raw.lstrip().startswith("[")
    hint = "\nThis looks like one JSON array: .jsonl is one JSON object a line" if array else ""
    return LuthierError(f"{source.path}: none of its {len(bad)} rows can be used:{shown}{more}{hint}")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
