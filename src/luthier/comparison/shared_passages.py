"""That training rows or documents hold passages of test rows: what is scored on those may be memory.

Duplicates of a whole row are in one part already (`data.split`); this is about a question inside a longer text, or an
answer that begins as another's. Documents are there to hold answers: in them only what is asked is sought.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from luthier.comparison.rows import to_row
from luthier.core.phrases import Phrase, say
from luthier.core.records import Record
from luthier.core.split import Split
from luthier.corpus.passages import Held, N, Sought

AT_ONCE = 2_000_000  # characters whose words are in memory together
QUOTE = 120  # characters
TRAINING = "said_test_in_training", "said_test_in_training_one"  # of several rows, and of one
DOCUMENTS = "said_test_in_documents", "said_test_in_documents_one"


def said(split: Split) -> list[Phrase]:
    """A sentence about the training rows, and one about the documents, where they hold what test rows ask or want."""
    asked = [Sought(str(at), to_row(record).asked) for at, record in enumerate(split.test)]
    wanted = [Sought(str(at), to_row(record).wanted) for at, record in enumerate(split.test)]
    rows = (_words(record) for record in (*split.train, *split.validation))
    found = [
        _said(TRAINING, [*asked, *wanted], rows, len(split.test)),
        _said(DOCUMENTS, asked, (one.text for one in split.documents), len(split.test)),
    ]
    return [sentence for sentence in found if sentence]


def _words(record: Record) -> str:
    row = to_row(record)
    return f"{row.asked}\n{row.wanted}"


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts of together about AT_ONCE characters."""
    some: list[str] = []
    size = 0
    for text in texts:
        some.append(text)
        size += len(text)
        if size >= AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _said(keys: tuple[str, str], sought: Sequence[Sought], texts: Iterable[str], rows: int) -> Phrase | None:
    held, quotes = Held(sought), dict[str, str]()
    for some in () if held.empty else _batches(texts):
        for one in held.find(some):
            quotes.setdefault(held.rows[one.sought].row, some[one.text][one.start : one.end][:QUOTE])
    if not quotes:
        return None
    quote = " ".join(max(quotes.values(), key=len).split())
    return say(keys[len(quotes) == 1], rows=len(quotes), all=rows, words=N, quote=quote)
