"""The rows that a method may look at, in their parts, and what of the user's files they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from luthier.core.records import Labelled, Record, Task, Text

if TYPE_CHECKING:
    from luthier.data.stream import Stream


@dataclass(frozen=True)
class Used:
    """What of the files is used. rows: of the file; test_rows: of the test file, None where rows are held out.

    train, validation, test: rows of each part. left: rows of both files that are left out, by reason (`data.used`).
    """

    rows: int
    test_rows: int | None = None
    train: int = 0
    validation: int = 0
    test: int = 0
    left: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """What a method may look at. `test` is empty whenever a method, a search or an early stop holds it.

    metric: the score that decides; "" is the task's own. documents: what questions are about, when there are any.
    used: what of the files it is made of, where it comes from files. answer_tokens: a written answer's limit.
    balanced: each label weighs as much as any other in training, however many rows it has. stream: tokens that are
    trained on in place of rows.
    """

    task: Task
    train: tuple[Record, ...]
    validation: tuple[Record, ...]
    test: tuple[Record, ...] = ()
    labels: tuple[str, ...] = ()
    metric: str = ""
    documents: tuple[Text, ...] = ()
    used: Used | None = field(default=None, compare=False, repr=False)
    answer_tokens: int | None = None
    balanced: bool = False
    stream: Stream | None = field(default=None, compare=False, repr=False)

    def weight(self, record: Record) -> float:
        """Of a row in training: 1, or N / (K rows of its label); the mean over the training rows is 1."""
        if not (self.balanced and isinstance(record, Labelled)):
            return 1.0
        rows = [r.label for r in self.train if isinstance(r, Labelled)]
        own = rows.count(record.label)
        return len(rows) / (len(set(rows)) * own) if own else 1.0
