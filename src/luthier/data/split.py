"""Train, validation and test: stratified by label, duplicates kept together, the same in every process.

A row's place depends on the seed and on its own text, not on where it stands in the file, and each part comes in a
random order, so that the first rows of a part are a fair sample of it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from luthier.data.read import Table
from luthier.errors import LuthierError
from luthier.protocols import Labelled, Rated, Record, Split, Tagged

MIN_ROWS = 10
WITH_TEST: Mapping[str, float] = {"train": 0.8, "validation": 0.2}
BINS = 5  # of the values of a regression task, with as many rows each
Stratum = Callable[[Record], str]
WITHOUT_TEST: Mapping[str, float] = {"train": 0.6, "validation": 0.2, "test": 0.2}


def make_split(
    table: Table,
    test: Table | None = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    limit_test: int | None = None,
) -> tuple[Split, list[str]]:
    """Split a table, and say in sentences what the user should know about it.

    With `test`: 80/20 train and validation, and rows of the table that also stand in the test file are left out.
    Without: 60/20/20.
    limit: that many random rows of the table, stratified, before splitting; limit_test: the same for the test rows.
    `Split.labels` are those of the training part; a regression task has none. Strata are labels, the rarest tag of a
    row, or fifths of the values. Raises LuthierError for fewer than 10 rows, an empty part, two tasks
    or nothing to tell apart.
    """
    for name, value in (("--limit", limit), ("--limit-test", limit_test)):
        if value is not None and value < 1:
            raise LuthierError(f"{name} {value}: it must be at least 1")
    notes: list[str] = []
    records = list(table.records)
    parts: dict[str, list[Record]] = {}
    shares = WITHOUT_TEST
    if test is not None:
        if test.task != table.task:
            raise LuthierError(f"{table.path} is for {table.task}, but {test.path} is for {test.task}")
        shares = WITH_TEST
        parts["test"] = _sample(list(test.records), limit_test, seed, strata(test.records))
        records = _without(records, test.records, notes)
        if not records:
            raise LuthierError(f"every row of {table.path} also stands in {test.path}: nothing is left to train on")
    stratum = strata(table.records)
    records = _sample(records, limit, seed, stratum)
    if len(records) < MIN_ROWS:
        have = "one row" if len(records) == 1 else f"{len(records)} rows"
        raise LuthierError(f"{table.path}: {have} to train on: at least {MIN_ROWS} are needed")
    parts.update(_divide(records, shares, seed, stratum, notes))
    if test is None and limit_test is not None:
        parts["test"] = _sample(parts["test"], limit_test, seed, stratum)
    for name in ("train", "validation", "test"):
        if not parts[name]:
            sizes = ", ".join(f"{part} {len(rows)}" for part, rows in parts.items())
            raise LuthierError(f"{table.path}: the {name} part is empty ({sizes}): more distinct rows are needed")
    labels = _labels(table, parts, notes)
    whole = {name: tuple(rows) for name, rows in parts.items()}
    return Split(table.task, whole["train"], whole["validation"], whole["test"], labels), notes


def same(record: Record) -> str:
    """What two records share when one is a duplicate of the other: the text, or what the user says in a chat.

    Case, width (NFKC) and the amount of white space make no difference; the label or the answer is not looked at.
    """
    asked = record.asked or record.wanted
    texts = [asked] if isinstance(asked, str) else [m.content for m in asked if m.role == "user"]
    return "\x1e".join(map(normal, texts))


def normal(text: str) -> str:
    """A text without what makes no difference to `same`."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _rank(key: str, seed: int) -> bytes:
    """A random number that is the same in every process, on every machine and for every order of the file."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16, salt=str(seed).encode()[:16]).digest()


def strata(records: Sequence[Record]) -> Stratum:
    """What each part gets its share of: labels, a row's rarest tag (so that rare ones are everywhere), value bins."""
    tags = Counter(tag for record in records if isinstance(record, Tagged) for tag in record.tags)
    values = sorted(record.value for record in records if isinstance(record, Rated))
    edges = [values[len(values) * i // BINS] for i in range(1, BINS)] if values else []

    def stratum(record: Record) -> str:
        if isinstance(record, Labelled):
            return record.label
        if isinstance(record, Tagged):
            return min(record.tags, key=lambda tag: (tags[tag], tag), default="")
        return str(bisect_right(edges, record.value)) if isinstance(record, Rated) else ""

    return stratum


def _shuffled(records: Sequence[Record], seed: int) -> list[Record]:
    return sorted(records, key=lambda record: (_rank(same(record), seed), record.wanted if _graded(record) else ""))


def _graded(record: Record) -> bool:
    return isinstance(record, Labelled | Tagged | Rated)


def _sample(records: list[Record], limit: int | None, seed: int, stratum: Stratum) -> list[Record]:
    """At most `limit` random records, each label with its share: largest remainders, a label with none yet first."""
    order = _shuffled(records, seed)
    if limit is None or limit >= len(records):
        return order
    counts = Counter(map(stratum, records))
    exact = {label: limit * n / len(records) for label, n in counts.items()}
    quota = {label: int(value) for label, value in exact.items()}
    first = sorted(counts, key=lambda label: (quota[label] > 0, quota[label] - exact[label], label))
    for label in first[: limit - sum(quota.values())]:
        quota[label] += 1
    taken: Counter[str] = Counter()
    out = []
    for record in order:
        label = stratum(record)
        if taken[label] < quota[label]:
            taken[label] += 1
            out.append(record)
    return out


def _without(records: list[Record], test: Sequence[Record], notes: list[str]) -> list[Record]:
    held = {same(record) for record in test}
    kept = [record for record in records if same(record) not in held]
    if gone := len(records) - len(kept):
        verb = "row also stands" if gone == 1 else "rows also stand"
        notes.append(f"{gone} training {verb} in the test file and {'was' if gone == 1 else 'were'} left out.")
    return kept


def _divide(
    records: list[Record], shares: Mapping[str, float], seed: int, stratum: Stratum, notes: list[str]
) -> dict[str, list[Record]]:
    """Each group of duplicates goes where its label and the whole lack most; a label's first group goes to train."""
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[same(record)].append(record)
    if extra := len(records) - len(groups):
        notes.append(
            f"{extra} {'row is a duplicate' if extra == 1 else 'rows are duplicates'} of others; "
            "duplicates stay in the same part."
        )
    mixed = sum(_graded(group[0]) and len({record.wanted for record in group}) > 1 for group in groups.values())
    if mixed:
        what = "value" if isinstance(records[0], Rated) else "label"
        notes.append(f"{mixed} {'text has' if mixed == 1 else 'texts have'} more than one {what} in the data.")
    order = sorted(groups, key=lambda key: (stratum(groups[key][0]), _rank(key, seed)))
    total: Counter[str] = Counter()
    within: defaultdict[str, Counter[str]] = defaultdict(Counter)
    parts: dict[str, list[Record]] = {name: [] for name in shares}
    for key in order:
        group = groups[key]
        own = within[stratum(group[0])]
        seen, mine = total.total() + len(group), own.total() + len(group)
        lack = {name: share * (seen + mine) - total[name] - own[name] for name, share in shares.items()}
        chosen = max(shares, key=lambda name: lack[name]) if own else "train"
        parts[chosen].extend(group)
        total[chosen] += len(group)
        own[chosen] += len(group)
    return {name: _shuffled(rows, seed) for name, rows in parts.items()}


def _named(record: Record) -> tuple[str, ...]:
    """The label or the tags of a record."""
    if isinstance(record, Labelled):
        return (record.label,)
    return record.tags if isinstance(record, Tagged) else ()


def _labels(table: Table, parts: Mapping[str, Sequence[Record]], notes: list[str]) -> tuple[str, ...]:
    if table.task == "regression" and len({record.wanted for record in parts["train"]}) < 2:
        raise LuthierError(
            f"{table.path}: all training rows have the value {parts['train'][0].wanted}: nothing to learn"
        )
    if table.task not in ("classification", "multilabel"):
        return ()
    counts = Counter(label for record in parts["train"] for label in _named(record))
    if table.task == "multilabel" and not counts:
        raise LuthierError(f"{table.path}: no training row has a label: one is needed")
    if table.task == "classification" and len(counts) < 2:
        raise LuthierError(f'{table.path}: all training rows have the label "{next(iter(counts))}": two are needed')
    for name in ("validation", "test"):
        unknown = [{label for label in _named(record) if label not in counts} for record in parts[name]]
        if rows := sum(map(bool, unknown)):
            named = ", ".join(f'"{label}"' for label in sorted(set().union(*unknown))[:10])
            notes.append(
                f"{rows} {name} rows have labels that no training row has ({named}): no method can get them right."
            )
    if rare := sorted(label for label, n in counts.items() if n < 2):
        named = ", ".join(f'"{label}"' for label in rare[:10])
        notes.append(f"{len(rare)} {'label has' if len(rare) == 1 else 'labels have'} one training row only: {named}.")
    return tuple(sorted(counts))
