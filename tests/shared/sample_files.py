"""Rows written as a file of any format that is read, with faults planted where a test wants them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[dict[str, Any]]


def jsonl(rows: Rows, path: Path) -> Path:
    """One object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def json_array(rows: Rows, path: Path) -> Path:
    """An indented array."""
    path.write_text(json.dumps(list(rows), ensure_ascii=False, indent=2), encoding="utf-8")
    return path


def json_object(rows: Rows, path: Path) -> Path:
    """An object with one list, on one line."""
    path.write_text(json.dumps({"version": "1", "data": list(rows)}, ensure_ascii=False), encoding="utf-8")
    return path


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def table(rows: Rows, path: Path) -> Path:
    """Csv or tsv by the path's name; lists are JSON in a cell."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
    if path.suffix == ".tsv":
        path.write_text("".join("\t".join(line) + "\n" for line in cells), encoding="utf-8")
        return path
    sink = io.StringIO()
    csv.writer(sink).writerows(cells)
    path.write_text(sink.getvalue(), encoding="utf-8")
    return path


def parquet(rows: Rows, path: Path) -> Path:
    """A parquet file; what a row lacks is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(_even(rows)), path)
    return path


def folder(rows: Rows, path: Path) -> Path:
    """A folder as `datasets` saves it."""
    import datasets

    datasets.Dataset.from_list(_even(rows)).save_to_disk(path)
    return path


def _even(rows: Rows) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in names} for row in rows]


STRUCTURED: dict[str, tuple[str, Callable[[Rows, Path], Path]]] = {
    "jsonl": ("a.jsonl", jsonl),
    "json": ("a.json", json_array),
    "json object": ("a.json", json_object),
    "parquet": ("a.parquet", parquet),
    "datasets": ("saved", folder),
}
EVERY = {**STRUCTURED, "csv": ("a.csv", table), "tsv": ("a.tsv", table)}


def write(rows: Rows, kind: str, where: Path) -> Path:
    """The rows in the format of that name, in the folder `where`."""
    name, writer = EVERY[kind]
    return writer(rows, where / name)
