"""Parquet, a document a row, read a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator

from luthier.corpus.reading import Bad, Row, Source
from luthier.corpus.reading.item import NAMES, TEXTS, row_of

ENDINGS = (".parquet",)
KIND = "text"
AT_ONCE = 500  # rows


def read(source: Source) -> Iterator[Row | Bad]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = [*TEXTS, *(key for keys in NAMES.values() for key in keys)]
    try:
        file = pq.ParquetFile(source.path)
    except pa.ArrowException as error:
        yield Bad("broken_file", f"no Parquet file: {str(error)[:100]}")
        return
    columns = [name for name in file.schema_arrow.names if name in wanted]
    if not set(columns) & set(TEXTS):
        has = ", ".join(file.schema_arrow.names[:8])
        for number in range(file.metadata.num_rows):
            yield Bad("no_text", f"no column {', '.join(TEXTS)}: {has}", f"row {number + 1}")
        return
    number = 0
    for batch in file.iter_batches(AT_ONCE, columns=columns):
        for found in batch.to_pylist():
            number += 1
            yield row_of(found, f"row {number}")
