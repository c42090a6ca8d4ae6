"""From a recipe's `data` section to the split that every method gets."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.core.metric import find, for_task
from luthier.core.phrases import say
from luthier.core.records import Chat, Judged, Record
from luthier.core.split import Split
from luthier.data import embedded, paired, ranked, seeming
from luthier.data.blanks import check_filled
from luthier.data.documents import read_documents
from luthier.data.doubts import questioned
from luthier.data.making import Unused
from luthier.data.read import Table, read, read_source, report_bad
from luthier.data.rows import Wanted
from luthier.data.split import make_split
from luthier.data.used import with_left, with_train
from luthier.io.config import DataConfig


def load_alone(config: DataConfig, rejected: Path | None = None, imitate: bool = False) -> tuple[Split, list[str]]:
    """The split of one task's rows, and notes; see `luthier.data.load`.

    imitate: of pairs, the preferred answers alone, as where the score that decides is one of written answers.
    """
    imitate = imitate or imitates(config)
    notes: list[str] = []
    left: tuple[dict[str, int], dict[str, int]] = ({}, {})
    table = _table(config, config.path, rejected, notes, left[0], imitate)
    found = embedded.find(config.path)
    test = config.test or (found.test if found else "") or None
    beside = rejected and rejected.with_name("rejected-test.jsonl")
    held_out = _table(config, test, beside, notes, left[1], imitate)
    if table is None:
        raise LuthierError("data.path: name a file, or tickets for the embedded data")
    check_filled(config.fill, [*table.places, *(held_out.places if held_out else ())])
    if config.stream:
        return streamed(config, table, held_out), notes
    split, more = make_split(table, held_out, seed=config.split_seed, limit=config.limit, limit_test=config.limit_test)
    split = replace(split, used=with_left(split.used, *left) if split.used else None)
    if found:
        split = replace(split, metric=found.metric, documents=found.texts())
    if config.metric:
        for_task(split.task, config.metric)  # a score that does not fit is said before anything long begins
    if config.train_rows is not None:
        split = first_rows(split, config.train_rows)
    if config.docs:
        own = [Path(str(name).partition(":")[0]) for name in (config.path, config.test) if name]
        documents, said = read_documents(Path(config.docs), [path for path in own if path.exists()])
        split, notes = replace(split, documents=documents), notes + said
    return replace(split, metric=config.metric or split.metric, answer_tokens=config.answer_tokens,
                   balanced=config.class_weights == "balanced"), notes + more  # fmt: skip


def streamed(config: DataConfig, table: Table, held_out: Table | None) -> Split:
    """A stream to train on; the rows of the file are validation rows, those of the test file test rows; without one the
    first tenth of the rows is for validation. Raises LuthierError for rows that are no text."""
    from luthier.data.stream import Stream

    if table.task != "text":
        raise LuthierError(f"data.stream: {config.path} holds rows of {table.task}: name held-out text")
    for key in ("limit", "limit_test", "train_rows", "docs", "class_weights"):
        if getattr(config, key):
            raise LuthierError(f"data.{key}: a stream is trained on as a whole, and its held-out text is all told")
    rows = tuple(table.records)
    if not held_out and len(rows) < 2:
        raise LuthierError(f"data.stream: {config.path} holds one text: give two at least, or data.test")
    some = len(rows) if held_out else max(len(rows) // 10, 1)
    test = tuple(held_out.records) if held_out else rows[some:]
    return Split("text", (), rows[:some], test, metric=config.metric, stream=Stream(Path(config.stream)))


def imitates(config: DataConfig) -> bool:
    """Whether the score that decides is one of written answers, so that preferred ones are imitated."""
    return bool(config.metric and "generation" in find(config.metric).tasks)


def first_rows(split: Split, rows: int) -> Split:
    """The same split with the first `rows` of its training part, whose order is random but fixed: subsets nest."""
    if not 1 <= rows <= len(split.train):
        raise LuthierError(f"data.train_rows {rows}: the training part has {len(split.train)} rows")
    return replace(split, train=split.train[:rows], used=split.used and with_train(split.used, rows, "train_rows"))


def read_table(config: DataConfig, path: str) -> Table:
    """An embedded set by its name, or a file, a folder or a hub id; broken rows are in `Table.bad`."""
    table = _read(config, path)
    name = path if embedded.find(path) else table.path.name
    answers = supervised(table, imitate=table.task == "generation")[0].records  # those of thumbs, too
    more = seeming.notes(table, answers, config, name)
    return replace(table, notes=(*table.notes, *more))


def _read(config: DataConfig, path: str) -> Table:
    if found := embedded.find(path):
        return found.table(config.map, config.labels, config.instruction)
    if lines := _pair(config, path):
        source = paired.read_pair(lines, config.encoding)
        wanted = Wanted({}, {}, paired.instruction_of(config.pair, config.instruction), frozenset(), source.path.name)
        table = read_source(source, wanted, config.fill, config.anyway)
        said = paired.note_of(config.pair, config.instruction) if path == config.path else []
        told = (say("said_in_file", file=", ".join(lines), note=note) for note in said)
        return replace(table, notes=(*table.notes, *told))
    try:
        table = read(Path(path), columns=config.map, labels=config.labels, instruction=config.instruction,
                     encoding=config.encoding, fill=config.fill, anyway=config.anyway)  # fmt: skip
        return questioned(table, config.map, config.encoding)
    except LuthierError as error:
        near = difflib.get_close_matches(path, embedded.names(), 1, 0.6)
        if near and not Path(path).exists():
            raise LuthierError(f"{error}; did you mean {near[0]}, which is embedded?") from None
        raise


def _pair(config: DataConfig, path: str) -> tuple[str, ...]:
    """The two files of lines that a path stands for: the first of `data.pair`, or a test pair written a.fr,b.en."""
    if not config.pair or path == config.path:
        return config.pair
    parts = tuple(part.strip() for part in path.split(","))
    return parts if len(parts) == 2 and not Path(path).exists() else ()


def supervised(table: Table, imitate: bool = False) -> tuple[Table, list[Unused]]:
    """The table with what can be learned, and the rows that it leaves out, each with the reason.

    Answers that were compared, or found good or bad with both among them, are preferences. imitate: they are answers to
    imitate, the best of each comparison and those found good.
    """
    if table.task == "preference":
        table, unused = ranked.comparisons(table)
        return (replace(table, task="generation", records=ranked.imitated(table.records)) if imitate else table), unused
    if not imitate and ranked.thumbs(table.records):
        return replace(table, task="preference"), []
    return _good(table)


def _good(table: Table) -> tuple[Table, list[Unused]]:
    """The table with conversations in place of answers that were found good; those found bad are left out."""
    kept: list[tuple[Record, int]] = []
    unused: list[Unused] = []
    for record, line in zip(table.records, table.lines, strict=True):
        if isinstance(record, Judged) and not record.good:
            reason = "the answer was found bad: there is no good one to learn"
            unused.append(Unused(line, reason, record.answer, "judged"))
        else:
            kept.append((Chat((*record.messages, record.reply)) if isinstance(record, Judged) else record, line))
    return ranked.with_rows(table, kept), unused


def _table(
    config: DataConfig,
    path: str | None,
    rejected: Path | None,
    notes: list[str],
    left: dict[str, int],
    imitate: bool,
) -> Table | None:
    """The rows to learn or to test. left: gets what is left out, by reason (`data.used`)."""
    if path is None:
        return None
    table = read_table(config, path)
    if table.hopeless and not config.anyway and path == config.path:  # a test file may have one row a label
        raise LuthierError(table.hopeless)
    report_bad(table, config.skip_bad, rejected)
    notes += table.notes
    asked = table
    table, unused = supervised(table, imitate)
    left.update(Counter(row.why for row in unused), bad=len(table.bad))
    if not table.records:
        raise LuthierError(_nothing(asked, unused, path))
    if path == config.path and not config.anyway:
        seeming.check(table, path)
    notes += _left(asked, table, unused, path)
    return table


def _nothing(table: Table, unused: Sequence[Unused], path: str) -> str:
    """Why no row of a table can be learned."""
    if ranked.prompts_alone(table.records):
        return say("said_data_prompts_alone", file=path)
    if table.task == "preference":
        return say("said_data_no_preference", file=path)
    return (
        f"{path}: all {len(unused)} answers were found bad: there is none to learn. Read were {table.layout}; give a "
        "column that says something else another name"
    )


def _left(asked: Table, table: Table, unused: Sequence[Unused], path: str) -> Iterator[str]:
    """What is said of rows that are left out, and of thumbs."""
    for why, rows in Counter(row.why for row in unused).items():
        yield say(f"said_data_left_{why}", file=path, rows=rows, whole=len(asked.records))
    if table.task != asked.task == "generation":
        good = sum(isinstance(record, Judged) and record.good for record in table.records)
        yield say("said_data_thumbs", file=path, good=good, bad=len(table.records) - good)
