"""The test rows of a comparison, kept beside its results so that a report and a card can be made without the data.

    DIR/test_rows.jsonl   one object a test row, in the order in which methods were scored
    DIR/languages.json    rows with and without Chinese characters in each part

A row's language is told by its script alone: Han characters in what is asked, or none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from luthier.core.records import Labelled, Record, Tagged
from luthier.core.split import Split
from luthier.data.letters import has_han
from luthier.io.files import read_json, write_json, write_text

ROWS = "test_rows.jsonl"
LANGUAGES = "languages.json"


@dataclass(frozen=True)
class TestRow:
    """What one test row asks and wants. labels: the classes it belongs to; none where the answer is text."""

    __test__ = False  # not a test, whatever pytest makes of the name

    asked: str
    wanted: str
    labels: tuple[str, ...] = ()

    @property
    def han(self) -> bool:
        """Whether Chinese characters stand in what is asked."""
        return has_han(self.asked)


def to_row(record: Record) -> TestRow:
    """A record as the report shows it: the user's words alone where they are one turn, else all turns with roles."""
    asked = record.asked
    if not isinstance(asked, str):
        only = asked[0] if len(asked) == 1 else None
        asked = only.content if only else "\n".join(f"{m.role}: {m.said}" for m in asked)
    labels = (record.label,) if isinstance(record, Labelled) else record.tags if isinstance(record, Tagged) else ()
    return TestRow(asked, record.wanted, labels)


def record_rows(folder: Path, split: Split) -> None:
    """Write both files, once: a comparison that goes on has the same rows."""
    if (folder / LANGUAGES).exists():
        return
    rows = [to_row(record) for record in split.test]
    lines = [json.dumps(vars(row), ensure_ascii=False) + "\n" for row in rows]
    write_text(folder / ROWS, "".join(lines).encode("utf-8", "replace").decode("utf-8"))
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    counts = {}
    for name, records in parts.items():
        han = sum(to_row(record).han for record in records)
        counts[name] = {"han": han, "other": len(records) - han}
    write_json(folder / LANGUAGES, counts)


def read_rows(folder: Path) -> list[TestRow]:
    """The rows, or none where no comparison of this version wrote them."""
    path = folder / ROWS
    if not path.exists():
        return []
    # not splitlines(): a row may hold other line separators than \n
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [TestRow(row["asked"], row["wanted"], tuple(row["labels"])) for row in found]


def read_languages(folder: Path) -> Mapping[str, Mapping[str, int]]:
    """Rows with and without Han characters by part; empty where it was not recorded."""
    path = folder / LANGUAGES
    return read_json(path) if path.exists() else {}
