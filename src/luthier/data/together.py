"""Files of several tasks learned at once, by one adapter: every row becomes a conversation.

A labelled text becomes a request to choose one of its own file's labels, answered with the label; conversations stay
as they are. Each file is split by itself, so every task has its share of training, validation and test rows.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.core.metric import for_task
from luthier.core.phrases import say
from luthier.core.records import Chat, Labelled, Message, Record, Task
from luthier.core.split import Split
from luthier.data.read import Table
from luthier.data.split import same
from luthier.data.task import first_rows, load_alone
from luthier.data.used import together, with_train
from luthier.io.config import DataConfig

TASKS: tuple[Task, ...] = ("classification", "generation")


def load_together(config: DataConfig, rejected: Path | None = None) -> tuple[Split, list[str]]:
    """One split of all files, and notes. Raises LuthierError for a task that is not answered in words."""
    if config.docs:
        raise LuthierError("data.docs: documents and data.also are not learned together")
    if config.stream:
        raise LuthierError("data.stream: a stream and data.also are not learned together")
    for_task("generation", config.metric)
    splits: list[Split] = []
    notes: list[str] = []
    for number, part in enumerate(_parts(config)):
        own = rejected.with_name(f"{rejected.stem}-{number}.jsonl") if rejected else None
        split, more = load_alone(part, own, imitate=True)
        if split.task not in TASKS:
            raise LuthierError(f"{part.path}: is for {split.task}; only {' and '.join(TASKS)} are learned together")
        splits.append(split)
        notes += [say("said_in_file", file=part.path, note=note) for note in more]
    train, validation, test = (
        [conversation(r, s.labels) for s in splits for r in getattr(s, name)]
        for name in ("train", "validation", "test")
    )
    held = {same(record) for record in (*validation, *test)}
    kept = [record for record in train if same(record) not in held]
    if gone := len(train) - len(kept):
        notes.append(say("said_split_held", rows=gone))
    random.Random(config.split_seed).shuffle(kept)
    used = together([split.used for split in splits if split.used])
    used = with_train(used, len(kept), "held")
    whole = Split("generation", tuple(kept), tuple(validation), tuple(test), metric=config.metric, used=used,
                  answer_tokens=config.answer_tokens)  # fmt: skip
    return (first_rows(whole, config.train_rows) if config.train_rows is not None else whole), notes


def spoken_table(table: Table, config: DataConfig) -> Table:
    """A labelled file as conversations, worded as in training where its labels are those of a file trained on."""

    own = {r.label for r in table.records if isinstance(r, Labelled)}
    labels = tuple(sorted(own))
    for part in _parts(config):
        try:
            known = load_alone(replace(part, skip_bad=True), imitate=True)[0].labels
        except (LuthierError, OSError):  # that file is gone
            continue
        if own <= set(known):
            labels = known
            break
    records = tuple(conversation(r, labels) for r in table.records)
    return replace(table, task="generation", records=records)


def conversation(record: Record, labels: Sequence[str]) -> Record:
    """A labelled text as a question and its answer; what is a conversation already stays."""
    if not isinstance(record, Labelled):
        return record
    asked = f"Classify the text as one of: {', '.join(labels)}.\n{record.text}"  # as --instruction words it
    return Chat((Message("user", asked), Message("assistant", record.label)))


def _parts(config: DataConfig) -> list[DataConfig]:
    """Each file as a data section of its own."""
    alone = replace(config, also=(), metric="", train_rows=None)
    return [alone, *(replace(alone, **{f.name: getattr(a, f.name) for f in fields(a)}) for a in config.also)]
