"""Train, validation and test: stratified by label, duplicates kept together, the same in every process.

A row's place depends on the seed and on its own text, not on where it stands in the file, and each part comes in a
random order, so that the first rows of a part are a fair sample of it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.core.records import Labelled, Rated, Record, Tagged
from luthier.core.split import Split, Used
from luthier.data.read import Table
from luthier.data.used import limit_notes

MIN_ROWS = 10
WITH_TEST: Mapping[str, float] = {"train": 0.8, "validation": 0.2}
BINS = 5  # of the values of a regression task, with as many rows each
Stratum = Callable[[Record], str]
WITHOUT_TEST: Mapping[str, float] = {"train": 0.6, "validation": 0.2, "test": 0.2}
UNKNOWN = {"validation": "said_split_unknown_validation", "test": "said_split_unknown_test"}  # of labels never learned


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
    limit: at most that many random rows of the table, stratified, before splitting; limit_test: at most so many of the
    test rows, those of the test file or those held out. `Split.used` says what of the files it is made of.
    `Split.labels` are those of the training part; a regression task has none. Strata are labels, the rarest tag of a
    row, or fifths of the values. Raises LuthierError for fewer than 10 rows, an empty part, two tasks
    or nothing to tell apart.
    """
    for name, value in (("--limit", limit), ("--limit-test", limit_test)):
        if value is not None and value < 1:
            raise LuthierError(f"{name} {value}: it must be at least 1")
    notes: list[str] = []
    left: Counter[str] = Counter()
    records = list(table.records)
    parts: dict[str, list[Record]] = {}
    shares = WITHOUT_TEST
    if test is not None:
        if test.task != table.task:
            raise LuthierError(f"{table.path} is for {table.task}, but {test.path} is for {test.task}")
        shares = WITH_TEST
        parts["test"] = _sample(list(test.records), limit_test, seed, strata(test.records))
        left["limit_test"] = len(test.records) - len(parts["test"])
        records = _without(records, test.records, notes)
        left["in_test"] = len(table.records) - len(records)
        if not records:
            raise LuthierError(f"every row of {table.path} also stands in {test.path}: nothing is left to train on")
    stratum = strata(table.records)
    whole = len(records)
    records = _sample(records, limit, seed, stratum)
    left["limit"] = whole - len(records)
    if len(records) < MIN_ROWS:
        have = "one row" if len(records) == 1 else f"{len(records)} rows"
        raise LuthierError(f"{table.path}: {have} to train on: at least {MIN_ROWS} are needed")
    parts.update(_divide(records, shares, seed, stratum, notes))
    most = len(parts["test"]) if test is None else len(test.records)
    if test is None:
        parts["test"] = _sample(parts["test"], limit_test, seed, stratum)
        left["limit_test"] = most - len(parts["test"])
    notes += limit_notes(limit, whole, limit_test, most, held_out=test is None)
    notes += [note for one in (table, test) if one for note in _conflicts(one)]
    for name in ("train", "validation", "test"):
        if not parts[name]:
            shown = ", ".join(f"{part} {len(rows)}" for part, rows in parts.items())
            raise LuthierError(f"{table.path}: the {name} part is empty ({shown}): more distinct rows are needed")
    labels = _labels(table, parts, notes)
    sizes = {name: len(parts[name]) for name in ("train", "validation", "test")}
    used = Used(len(table.records), None if test is None else len(test.records), **sizes, left=dict(+left))
    train, validation, tested = (tuple(parts[name]) for name in sizes)
    return Split(table.task, train, validation, tested, labels, used=used), notes


def _conflicts(table: Table) -> Iterator[str]:
    whole, name = f"{len(table.records):,}", table.path.name
    if rows := conflicting(table.records):
        one = say("said_conflict", all=whole, file=name)
        yield one if rows == 1 else say("said_conflicts", rows=f"{rows:,}", all=whole, file=name)


def same(record: Record) -> str:
    """What two records share when one is a duplicate of the other: the text, or what the user says in a chat.

    Case, width (NFKC) and the amount of white space make no difference; the label or the answer is not looked at.
    """
    asked = record.asked or record.wanted
    texts = [asked] if isinstance(asked, str) else [m.content for m in asked if m.role == "user"]
    return "\x1e".join(map(normal, texts))


def conflicting(records: Iterable[Record]) -> int:
    """How many records are duplicates of an earlier one and have another answer than the first of them."""
    first: dict[str, str] = {}
    answers = ((same(record), " ".join(record.wanted.split())) for record in records)
    return sum(first.setdefault(asked, answer) != answer for asked, answer in answers)


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
        notes.append(say("said_split_in_test_one") if gone == 1 else say("said_split_in_test", rows=gone))
    return kept


def _divide(
    records: list[Record], shares: Mapping[str, float], seed: int, stratum: Stratum, notes: list[str]
) -> dict[str, list[Record]]:
    """Each group of duplicates goes where its label and the whole lack most; a label's first group goes to train."""
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[same(record)].append(record)
    if extra := len(records) - len(groups):
        notes.append(say("said_split_duplicates_one") if extra == 1 else say("said_split_duplicates", rows=extra))
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
    for name in UNKNOWN:
        unknown = [{label for label in _named(record) if label not in counts} for record in parts[name]]
        if rows := sum(map(bool, unknown)):
            named = ", ".join(f'"{label}"' for label in sorted(set().union(*unknown))[:10])
            notes.append(say(UNKNOWN[name], rows=rows, labels=named))
    if rare := sorted(label for label, n in counts.items() if n < 2):
        named = ", ".join(f'"{label}"' for label in rare[:10])
        one = say("said_split_rare_one", labels=named)
        notes.append(one if len(rare) == 1 else say("said_split_rare", count=len(rare), labels=named))
    return tuple(sorted(counts))
