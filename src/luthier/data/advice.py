"""What to do about a file whose columns are not understood: the mapping that fits its content, as a whole command."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from luthier.core.command import with_map
from luthier.data.layouts import Layout
from luthier.data.looks import Fit, fit, instruction_for
from luthier.data.rows import HEADERS, Wanted
from luthier.data.source import Row, Source, printable, quoted


def examples() -> str:
    """The usual layouts in words."""
    return "text and label, or input, output and perhaps instruction, or messages (the others: luthier data formats)"


def unrecognised(source: Source, has_input: bool, wanted: Wanted, answers: bool) -> str:
    """That no layout fits, and what to do."""
    if answers and has_input and wanted.instruction is None:
        return _told(source, wanted)
    needed = examples() if answers else "text, or instruction (and input)"
    said = f"{source.path}: no known columns. Found: {quoted(source.columns)}; needed: {needed}."
    found = fit(source, asking=not answers)
    return printable(said + (_tried(source, found) if found else _names(source, answers)))


def _told(source: Source, wanted: Wanted) -> str:
    """That an input and its output need an instruction: one that the names of their columns say, or the user's."""
    names = {field: name for name, field in wanted.columns.items()}
    told = instruction_for(names.get("input", ""), names.get("output", "")) or "Translate to English."
    command = with_map(source.path, wanted.columns, told)
    return printable(
        f"{source.path}: input and output need an instruction, such as\n  {command}\n"
        "for all rows ('' for none), or a column of instructions: --map COLUMN=instruction"
    )


def rather(source: Source, wanted: Wanted) -> str:
    """The command that fits the content of a file of which a mapping makes no row; "" where it fits as well."""
    found = fit(source) if wanted.columns else None
    if found is None or found.headless or dict(found.columns) == dict(wanted.columns):
        return ""
    command = with_map(source.path, found.columns, found.instruction)
    return printable(f"\nBy its content it is rather:\n  {command}")


def _tried(source: Source, found: Fit) -> str:
    """The command that reads the file, with the reason."""
    why = f"{found.why}:" if found.why else "Say which is which:"
    if found.headless:
        why = "Its first row looks like data and not like names of columns, which go by number then:"
    more = '\n(between the quotes behind --instruction: what is to be done, such as "Translate to English.")'
    said = f"\n{why[0].upper()}{why[1:]} try\n  {with_map(source.path, found.columns, found.instruction)}"
    return said + (more if found.instruction == "" else "")


def _names(source: Source, answers: bool) -> str:
    """How to name columns, where their content does not tell."""
    if not answers:
        return " Say which column it is: --map COLUMN=text"
    return "\nSay which is which: --map COLUMN=text,COLUMN=label or --map COLUMN=input,COLUMN=output" + (
        "" if source.structured else "\nIf the file has no header row, use numbers: --map 0=text,1=label"
    )


def rivals(source: Source, wanted: Wanted, layouts: Sequence[Layout]) -> str:
    """That a file can be read in several ways, with the command of each."""
    both = " and ".join(f"({layout.name})" for layout in layouts)
    fields = {field: name for row in source.rows for field, name in wanted.fields(row).names.items()}
    commands = [with_map(source.path, _deciding(layout, layouts, fields)) for layout in layouts]
    return f"{source.path} can be read as {both}: say which with --map:" + "".join(f"\n  {c}" for c in commands)


def _deciding(layout: Layout, others: Sequence[Layout], fields: dict[str, str]) -> dict[str, str]:
    """The columns of a layout; those alone that the others have not are not enough to say it in full."""
    own = {fields[field]: field for field in fields if field in layout.needs | layout.more}
    clear = not any(other.fields.issuperset(own.values()) for other in others if other is not layout)
    return own if clear else {name: field for field, name in fields.items() if field in layout.fields}


def label_beside(source: Source) -> str:
    """That a column beside the text looks like its label under another name, or ""."""
    for column in source.columns:
        near = difflib.get_close_matches(column.casefold(), [*HEADERS, "score", "value"], 1, 0.75)
        if column != "text" and near:
            found = fit(source)
            mapped = found.columns if found and column in found.columns else {"text": "text", column: "label"}
            return printable(
                f"{source.path} has text and {quoted([column])}: say what it is with --map, or that the text alone "
                f"is meant:\n  {with_map(source.path, mapped)}\n  {with_map(source.path, {'text': 'text'})}"
            )
    return ""


def by_number(path: Path, row: Sequence[str]) -> str:
    """The command for a table whose only row was taken for a header."""
    numbers = tuple(str(i) for i in range(len(row)))
    only = Row(1, "", cells=tuple(row), columns=dict(zip(numbers, row, strict=True)))
    found = fit(Source(path, (only,), numbers, headed=False))
    return with_map(path, found.columns if found else {"0": "text", "1": "label"})
