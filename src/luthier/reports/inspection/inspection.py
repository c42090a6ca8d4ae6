"""What stands in a file before anything is trained on it: rows kept and dropped, lengths, loss, duplicates, overlap.

Lengths and the loss are those of training: the objective tokenises the rows with the model's own tokenizer and wording.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from luthier.core.methods import Objective
from luthier.core.records import Compared, Judged, Labelled, Rated, Record, Tagged, Task, Text
from luthier.core.split import Split
from luthier.core.tasks import preferring
from luthier.data.blanks import check_filled
from luthier.data.keys import Key
from luthier.data.overlap import ALIKE, Index, Say, twins
from luthier.data.ranked import with_rows
from luthier.data.read import Bad, Table
from luthier.data.split import same
from luthier.data.task import read_table, supervised
from luthier.data.unwritten import notes as notes_of
from luthier.data.unwritten import written
from luthier.io.config import DataConfig

if TYPE_CHECKING:
    from luthier.core.example import Example
    from luthier.models.causal import CausalLM

ROWS_AT_ONCE = 64
HALVES = 8  # tokens that a character may be cut into, at most
SHOWN = 5


@dataclass(frozen=True)
class Pair:
    """A row, the earlier (or training) row it is like, and how much of it they share; 1.0: the same words."""

    line: int
    like: int
    share: float = 1.0


@dataclass(frozen=True)
class Shown:
    """A row as the model gets it: stretches of text and whether their tokens carry loss. cut: tokens lost."""

    line: int
    runs: tuple[tuple[str, bool], ...]
    tokens: int
    cut: int


@dataclass(frozen=True)
class Tokens:
    """lengths: of each row, unshortened, in tokens. limit: the longest sequence. cut: lines of rows that are shortened.

    total, learned: tokens that are trained on, and those of them that carry loss. empty: lines of rows with none; ends:
    of rows whose answer is too long by itself, so that its end is not learned.
    """

    model: str
    objective: str
    limit: int
    lengths: tuple[int, ...]
    cut: tuple[int, ...]
    total: int
    learned: int
    empty: tuple[int, ...]
    ends: tuple[int, ...]
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Inspection:
    """One file. unused: good rows that learning by imitation leaves out. conflicts: same question, other answer."""

    path: Path
    task: Task
    layout: str
    unit: str
    kept: int
    bad: tuple[Bad, ...]
    unused: tuple[Bad, ...]
    tokens: Tokens
    duplicates: tuple[Pair, ...]
    conflicts: tuple[Pair, ...]
    alike: tuple[Pair, ...]
    balance: tuple[tuple[str, int], ...]
    compared: bool = False  # it is a test file that was compared with a training file:
    seen: tuple[Pair, ...] = ()  # rows that also stand there
    near: tuple[Pair, ...] = ()  # and rows of which a row there holds nearly all
    keys: tuple[Key, ...] = ()
    notes: tuple[str, ...] = ()  # what had to be decided to read it, and what its keys and answers call for
    refused: tuple[Bad, ...] = ()  # good rows that the model's chat template cannot write as they say it
    losses: tuple[str, ...] = ()  # what it leaves out of rows without harm to what is learned
    special: tuple[tuple[str, int], ...] = ()  # special tokens of the model that stand in texts, and in how many rows

    @property
    def rows(self) -> int:
        """Rows in the file: kept and dropped."""
        return self.kept + len(self.bad)


@dataclass
class Reader:
    """Tokenises as training would. max_length: of a sequence, None for the objective's own (the model's at most)."""

    model: str = "embedded"
    objective: str = ""
    max_length: int | None = None
    say: Say | None = None
    lm: CausalLM | None = field(default=None, init=False)

    def objective_for(self, table: Table) -> tuple[str, Objective]:
        """The objective named, or the usual one of such rows, with its longest sequence."""
        from luthier.core import catalog
        from luthier.models.loading.tokenizer import tokenizer_only

        name = self.objective or {"text": "lm", "preference": preferring(table.records)}.get(table.task, "sft")
        made: Any = catalog.load(catalog.find(name, "objectives"))()
        lm = self.lm = self.lm or tokenizer_only(self.model)
        limit = min(self.max_length or made.max_length, lm.context)
        return name, replace(made, max_length=limit)


def inspect(config: DataConfig, reader: Reader) -> list[Inspection]:
    """The file `config.path`, and `config.test` with what it shares with the first. Raises LuthierError."""
    config = replace(config, anyway=True)  # what is hopeless is said, too
    table = read_table(config, config.path)
    held = read_table(config, config.test) if config.test else None
    check_filled(config.fill, [*table.places, *(held.places if held else ())])
    out = [_inspect(table, reader)]
    if held:
        seen, near = overlap(table, held, reader.say)
        out.append(replace(_inspect(held, reader), compared=True, seen=seen, near=near))
    return out


def _inspect(table: Table, reader: Reader) -> Inspection:
    learnable, unused = supervised(table)
    reader.objective_for(learnable)
    found = written(reader.lm, learnable.records)
    why = dict(found.refused)
    refused = tuple(Bad(learnable.lines[i], reason, "") for i, reason in found.refused)
    rows = zip(learnable.records, learnable.lines, strict=True)
    learnable = with_rows(learnable, [row for i, row in enumerate(rows) if i not in why])
    duplicates, conflicts, alike = repeats(table, reader.say)
    return Inspection(
        table.path, table.task, table.layout, table.unit, len(table.records), table.bad, tuple(unused),
        tokens(learnable, reader), duplicates, conflicts, alike, balance(table.records), keys=table.keys,
        notes=table.notes, refused=refused, losses=tuple(notes_of(found)), special=special(table.records, reader),
    )  # fmt: skip


def special(records: Sequence[Record], reader: Reader) -> tuple[tuple[str, int], ...]:
    """Special tokens of the model that stand in the texts of rows, which it reads as what they mean to it."""
    assert reader.lm is not None
    known = [str(token) for token in reader.lm.tokenizer.added_tokens_decoder.values() if token.special]
    texts = ["\n".join(_texts(record)) for record in records]
    return tuple((token, rows) for token in known if (rows := sum(token in text for text in texts)))


def _texts(record: Record) -> Iterator[str]:
    asked = record.asked
    yield from [asked] if isinstance(asked, str) else [message.content for message in asked]
    yield from record.answers if isinstance(record, Compared) else (record.wanted,)


def repeats(table: Table, say: Say | None = None) -> tuple[tuple[Pair, ...], tuple[Pair, ...], tuple[Pair, ...]]:
    """Rows asked before: with the same answer, with another one; and rows that are nearly another."""
    first: dict[str, int] = {}
    duplicates: list[Pair] = []
    conflicts: list[Pair] = []
    for i, (record, line) in enumerate(zip(table.records, table.lines, strict=True)):
        at = first.setdefault(same(record), i)
        if at == i:
            continue
        pair = Pair(line, table.lines[at])
        (duplicates if _answer(record) == _answer(table.records[at]) else conflicts).append(pair)
    kept = list(first.values())
    alike = [Pair(table.lines[kept[i]], table.lines[kept[j]], share) for i, j, share in twins(list(first), say)]
    return tuple(duplicates), tuple(conflicts), tuple(alike)


def _answer(record: Record) -> str:
    verdict = f"\x1e{record.good}" if isinstance(record, Judged) else ""
    return " ".join(record.wanted.split()) + verdict


def overlap(train: Table, test: Table, say: Say | None = None) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Test rows that stand in the training rows, and test rows of which one training row holds at least ALIKE."""
    first: dict[str, int] = {}
    for record, line in zip(train.records, train.lines, strict=True):
        first.setdefault(same(record), line)
    index, lines = Index(list(first)), list(first.values())
    seen, near = [], []
    for i, (record, line) in enumerate(zip(test.records, test.lines, strict=True)):
        if say and i % 256 == 0:
            say(i, len(test.records))
        key = same(record)
        if key in first:
            seen.append(Pair(line, first[key]))
            continue
        at, share = index.held(key)
        if share >= ALIKE:
            near.append(Pair(line, lines[at], share))
    return tuple(seen), tuple(near)


def balance(records: Sequence[Record]) -> tuple[tuple[str, int], ...]:
    """Rows of each label (most first), of each tag, of good and bad answers, or of five ranges of a value."""
    if values := [r.value for r in records if isinstance(r, Rated)]:
        low, high = min(values), max(values)
        step = (high - low) / 5 or 1.0
        bins = Counter(min(int((v - low) / step), 4) for v in values)
        return tuple((f"{low + i * step:g} to {low + (i + 1) * step:g}", bins[i]) for i in range(5))
    counts: Counter[str] = Counter()
    for record in records:
        if isinstance(record, Labelled):
            counts[record.label] += 1
        elif isinstance(record, Tagged):
            counts.update(record.tags or ("(none)",))
        elif isinstance(record, Judged):
            counts["good" if record.good else "bad"] += 1
    return tuple(counts.most_common())


def tokens(table: Table, reader: Reader) -> Tokens:
    """Rows as training tokenises them."""
    name, objective = reader.objective_for(table)
    lm = reader.lm
    assert lm is not None
    labels = tuple(sorted({n for r in table.records if isinstance(r, Labelled | Tagged) for n in _names(r)}))
    lm = lm.asked(labels=labels)
    data = Split(table.task, table.records, (), labels=labels)
    objective.keep_limit(lm, data)
    lengths: list[int] = []
    cut: list[int] = []
    empty: list[int] = []
    ends: list[int] = []
    total = learned = 0
    shown: list[Shown] = []
    for at in range(0, len(table.records), ROWS_AT_ONCE):
        records, lines = table.records[at : at + ROWS_AT_ONCE], table.lines[at : at + ROWS_AT_ONCE]
        given = _by_row(objective.encode(lm, data, records))
        for i, line in enumerate(lines):
            gone = [e.cut + e.lost for e in given[i]]
            sizes = [len(e.ids) - len(lm.virtual) + n for e, n in zip(given[i], gone, strict=True)]
            # of several examples of a conversation that is too long, the last one's prompt was all of it; stretches of
            # plain text begin with the last token of the one before
            shared = len(sizes) - 1 if isinstance(records[i], Text) else 0
            lengths.append(max(sizes) if any(gone) else sum(sizes) - max(shared, 0))
            if any(gone):
                cut.append(line)
            if not given[i]:
                empty.append(line)
            if any(e.lost for e in given[i]):
                ends.append(line)
            total += sum(len(e.ids) for e in given[i])
            learned += sum(len(e.where) for e in given[i])
            if given[i] and (len(shown) < SHOWN - 1 or (any(gone) and not any(s.cut for s in shown[SHOWN - 1 :]))):
                shown.append(_show(lm, line, given[i][-1], gone[-1]))
        if reader.say:
            reader.say(min(at + ROWS_AT_ONCE, len(table.records)), len(table.records))
    limit = int(cast(Any, objective).max_length)
    return Tokens(
        reader.model, name, limit, tuple(lengths), tuple(cut), total, learned, tuple(empty), tuple(ends),
        tuple(shown[:SHOWN]),
    )  # fmt: skip


def _names(record: Labelled | Tagged) -> tuple[str, ...]:
    return (record.label,) if isinstance(record, Labelled) else record.tags


def _by_row(examples: Sequence[Example]) -> defaultdict[int, list[Example]]:
    out: defaultdict[int, list[Example]] = defaultdict(list)
    for example in examples:
        out[example.row].append(example)
    return out


def _show(lm: CausalLM, line: int, example: Example, cut: int) -> Shown:
    learned = {place + 1 for place in example.where}
    runs: list[tuple[list[int], bool]] = []
    for i, token in enumerate(example.ids):
        flag = i in learned
        # a token may end inside a character: what follows stays with it until the character is whole
        half = runs and str(lm.tokenizer.decode(runs[-1][0][-HALVES:])).endswith("\ufffd")
        if runs and (runs[-1][1] == flag or half):
            runs[-1][0].append(token)
        else:
            runs.append(([token], flag))
    texts = tuple((str(lm.tokenizer.decode(tokens)), flag) for tokens, flag in runs)
    return Shown(line, texts, len(example.ids), cut)
