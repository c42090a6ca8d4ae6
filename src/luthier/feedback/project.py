"""A labelling project made: questions from a file, answers sampled where it has none, which of them everybody gets."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.data.read import report_bad
from luthier.feedback import sampling, store
from luthier.feedback.kinds import kind_of
from luthier.feedback.questions import Question, read_questions
from luthier.feedback.sampling import Asked
from luthier.feedback.store import DATABASE, Settings
from luthier.io.files import is_taken

REJECTED = "rejected.jsonl"


@dataclass(frozen=True)
class Made:
    """What a project holds. alike: questions left out, since the models' answers to them were all the same."""

    questions: int
    answers: int
    shared: int
    alike: int = 0


def new(
    file: Path, out: Path, settings: Settings, asked: Asked, skip_bad: bool = False,
    say: Callable[[int, int], None] | None = None,
) -> Made:  # fmt: skip
    """Make a project in the folder `out`. asked: whom to ask where the file has prompts alone; say: answers so far.

    Killed while models answer, it goes on from there when the same is asked again.

    Raises LuthierError for a folder that is taken, rows that cannot be used, and answers that do not suit the kind.
    """
    begun = (out / sampling.KEPT).is_file()
    if (out / DATABASE).exists() or (not begun and is_taken(out, DATABASE, "labelling project")):
        raise LuthierError(f"{out} holds a labelling project already: choose another --out, or remove it first")
    kind = kind_of(settings.kind)
    questions, rows = read_questions(file)
    alike = 0
    if any(question.answers for question in questions):
        if asked.models:
            raise LuthierError(f"{file} has answers already: leave --from out, or give prompts alone")
        _check(file, rows.lines, questions, kind.most, settings.kind)
        report_bad(rows, skip_bad, out / REJECTED)
    else:
        if not asked.models:
            raise LuthierError(f"{file} has prompts without answers: name with --from the runs or models to ask")
        if asked.answers > kind.most:
            raise LuthierError(f"--answers {asked.answers}: --kind {settings.kind} takes {kind.most}")
        sampling.drawn(asked)
        report_bad(rows, skip_bad, out / REJECTED)
        answered = sampling.answered(questions, asked, out, say)
        questions, alike = answered, len(questions) - len(answered)
    if not questions:
        raise LuthierError(
            f"{file}: the answers to every prompt are all the same: ask more models, or give a higher --temperature"
        )
    shared = chosen(len(questions), settings.overlap, settings.seed)
    store.create(out, settings, questions, shared)
    (out / sampling.KEPT).unlink(missing_ok=True)
    return Made(len(questions), sum(len(q.answers) for q in questions), sum(shared), alike)


def chosen(count: int, overlap: float, seed: int) -> list[bool]:
    """Which of so many questions every annotator gets: a share of them, spread at random."""
    picked = {*random.Random(f"overlap {seed}").sample(range(count), round(overlap * count))}
    return [i in picked for i in range(count)]


def _check(file: Path, lines: Sequence[int], questions: Sequence[Question], most: int, kind: str) -> None:
    for line, question in zip(lines, questions, strict=True):
        if len(question.answers) > most:
            raise LuthierError(
                f"{file}:{line}: {len(question.answers)} answers, and --kind {kind} takes {most}: "
                "use --kind ranking, rating or edit"
            )
