"""Documents as rows of an Arrow table, and files of them.

    id        text    as the source names it, else made of source and place; two sources may use the same
    text      text
    source    text    what it was collected or read from: a site, a dump, a folder, a file
    path      text    where in the source: an address, a file with its place
    kind      text    text, html, pdf, code, conversation, …
    language  text    ISO 639-1, "" where nobody said
    licence   text    SPDX or as the source says, "" where nobody said

Further columns of a source are dropped: what is known of a document is in these, or is computed (`signals/`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.io.files import damaged, replacing
from luthier.io.places import local

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("id", "text", "source", "path", "kind", "language", "licence")


def schema() -> pa.Schema:
    """Of every file of documents."""
    import pyarrow as pa

    return pa.schema([(name, pa.large_string() if name == "text" else pa.string()) for name in COLUMNS])


def made_id(source: str, path: str) -> str:
    """A name for a document whose source gives none: the same wherever its folder lies."""
    return hashlib.blake2b(f"{source}\0{path}".encode(), digest_size=8).hexdigest()


def table_of(rows: Iterable[Mapping[str, str]]) -> pa.Table:
    """A table of documents; what a row does not name is empty."""
    import pyarrow as pa

    rows = list(rows)
    return pa.table({name: [row.get(name) or "" for row in rows] for name in COLUMNS}, schema())


def strings(values: Iterable[str]) -> pa.Array:
    """A column of texts."""
    import pyarrow as pa

    return pa.array(list(values), pa.string())


def write(table: pa.Table, path: Path) -> None:
    """Write a table atomically; the same table gives the same bytes. Raises OSError, with the path, on a full disk."""
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        try:
            pq.write_table(table, temporary, compression="zstd", compression_level=3, write_page_index=False)
        except OSError as error:  # Arrow's has the number, and neither the system's words nor a path
            if error.errno is None:
                raise
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from None


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a file of documents. Raises LuthierError where it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with local(path) as here:
        try:
            return pq.read_table(here, columns=columns, partitioning=None)
        except (pa.ArrowException, OSError, KeyError) as error:
            raise damaged(path, error) from None


def count(path: Path) -> int:
    """Documents in a file."""
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        return int(pq.read_metadata(file).num_rows)


def size(table: pa.Table) -> int:
    """Bytes of all texts, in UTF-8."""
    import pyarrow.compute as pc

    return int(pc.sum(pc.binary_length(table["text"])).as_py() or 0)


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    """The table with a column set."""
    import pyarrow as pa

    column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    at = table.schema.get_field_index(name)
    return table.set_column(at, name, column) if at >= 0 else table.append_column(name, column)
