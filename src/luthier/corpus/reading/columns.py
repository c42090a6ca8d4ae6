"""Parquet, a document a row, read a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator

from luthier.corpus.reading import Bad, Row, Source
from luthier.corpus.reading.item import NAMES, PAIRS, TEXTS, TURNS, document_of

ENDINGS = (".parquet",)
KIND = "text"
AT_ONCE = 500  # rows


def read(source: Source) -> Iterator[Row | Bad]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    says = {*TEXTS, *TURNS, "input", *(name for pair in PAIRS for name in pair)}
    wanted = says.union(*NAMES.values())
    try:
        file = pq.ParquetFile(source.path)
    except pa.ArrowException as error:
        yield Bad("broken_file", f"no Parquet file: {str(error)[:100]}")
        return
    columns = [name for name in file.schema_arrow.names if name in wanted]
    if not set(columns) & says:
        has = ", ".join(file.schema_arrow.names[:8])
        for number in range(file.metadata.num_rows):
            yield Bad("no_text", f"no column {', '.join(TEXTS)}: {has}", f"row {number + 1}")
        return
    number = 0
    for batch in file.iter_batches(AT_ONCE, columns=columns):
        for found in batch.to_pylist():
            number += 1
            yield document_of(found, f"row {number}")
