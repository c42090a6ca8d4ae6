"""What becomes of a shard's documents: some go on, perhaps with less text, the others with their reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from luthier.corpus import documents

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

Why = str | Sequence[str]  # one for all, or one each


@dataclass(frozen=True)
class Outcome:
    """Of a shard. kept: documents. dropped: documents with reason and detail. cut: id, reason, before, after.

    found: id, path, what, quote of each thing that was sought and found.
    """

    kept: pa.Table
    dropped: pa.Table
    cut: pa.Table | None = None
    found: pa.Table | None = None


class Finding(NamedTuple):
    """Something that stood in a document (its row of the shard): what, and the words themselves."""

    document: int
    what: str
    quote: str


def parted(
    table: pa.Table, gone: NDArray[np.bool_], reason: Why, detail: Why,
    now: pa.Array | pa.ChunkedArray | None = None, lost: Why = "",
) -> Outcome:  # fmt: skip
    """The documents that go on, and the others with why.

    gone: of each document. reason, detail: of those dropped. now: each text as it is now, where some lost parts; lost:
    why, of all documents or of each.
    """
    import pyarrow as pa

    dropped = table.filter(pa.array(gone))
    for name, why in (("reason", reason), ("detail", detail)):
        dropped = documents.with_column(dropped, name, _each(why, dropped.num_rows))
    if now is None:
        return Outcome(table.filter(pa.array(~gone)), dropped)
    import pyarrow.compute as pc

    before = pc.fill_null(table["text"], "")
    part = pc.and_(pc.not_equal(now, before), pa.array(~gone))
    columns = {"id": table["id"], "reason": _each(lost, table.num_rows), "before": before, "after": now}
    cut = pa.table(columns).filter(part)
    return Outcome(documents.with_column(table, "text", now).filter(pa.array(~gone)), dropped, cut)


def shortened(table: pa.Table, now: pa.ChunkedArray, reason: str) -> Outcome:
    """Of texts that lost parts for one reason; a document that lost all is dropped."""
    import pyarrow.compute as pc

    gone = pc.and_(pc.not_equal(now, pc.fill_null(table["text"], "")), pc.equal(now, ""))
    return parted(table, gone.to_numpy(), reason, "nothing else in it", now, reason)


def findings(table: pa.Table, found: Sequence[Finding]) -> pa.Table:
    """What was found in documents of a shard, as its table."""
    import pyarrow as pa

    rows = table.select(["id", "path"]).take(pa.array([one.document for one in found], pa.int64()))
    for name in ("what", "quote"):
        rows = rows.append_column(name, documents.strings(getattr(one, name) for one in found))
    return rows


def _each(why: Why, count: int) -> pa.Array:
    return documents.strings([why] * count if isinstance(why, str) else why)
