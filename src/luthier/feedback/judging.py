"""A model as annotator: it is asked in both orders, and where the two disagree it is a tie.

Two answers are compared as `luthier.evals.judging` does. A ranking
comes from the comparisons of all its pairs (a win is 1, a tie 1/2), a rating from the likeliest of 1 to 5. A run that
gives numbers (a reward model) is asked for the number of each answer instead, which needs no order. Its labels are a
machine's for good, and take no question from people. Source: Zheng et al. 2023 (both orders).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, cast

from luthier.core.errors import LuthierError
from luthier.core.lm import LM, WordedLM
from luthier.data.letters import is_chinese
from luthier.evals.judging import WORDING, Pair, talk, verdicts
from luthier.evals.spoken import spoken
from luthier.feedback import assigning, labelling
from luthier.feedback.kinds import BEST, Edit, Rating, Value, dense
from luthier.feedback.questions import Question
from luthier.feedback.sampling import answering
from luthier.feedback.store import Store

TOGETHER = 8  # questions between two commits
SCORES = tuple(str(n) for n in range(1, BEST + 1))
RATE = {
    "en": "Below are a conversation and an answer to its last turn. Rate how helpful, correct and clear the answer is, "
    "from 1 (bad) to 5 (very good).\n\n{talk}\n\n[Answer]\n{one}\n\nReply with one number from 1 to 5 only.",
    "zh": "下面是一段对话，以及对最后一轮的一个回答。请给回答的有用、正确和清楚程度打分，1 分很差，5 分很好。\n\n"
    "{talk}\n\n【回答】\n{one}\n\n只回答一个 1 到 5 的数字。",
}

Judge = Callable[[Sequence[Question]], list[Value | None]]  # None: it gave no readable answer


def judge(folder: Path, model: str, name: str = "", say: Callable[[int, int], None] | None = None) -> tuple[int, int]:
    """Label every question that this judge has not labelled; gives how many it did and how many it could not read.

    name: under which it labels; "" is the model's. Killed, it goes on when it is asked again.
    """
    store = Store(folder)
    try:
        kind, questions = store.settings.kind, store.questions()
        with store.writing() as db:
            annotator = assigning.machine(db, name or _short(model))
            done = {row["question"] for row in db.execute("SELECT question FROM labels WHERE annotator = ?"
                                                          " AND withdrawn IS NULL", (annotator.id,))}  # fmt: skip
        open_ = [number for number in questions if number not in done]
        if not open_:
            return 0, 0
        ask = _judge(kind, answering(model), model)
        unread = 0
        for begin in range(0, len(open_), TOGETHER):
            some = open_[begin : begin + TOGETHER]
            values = ask([questions[number] for number in some])
            with store.writing() as db:
                for number, value in zip(some, values, strict=True):
                    if value is not None:
                        order = list(range(len(questions[number].answers)))
                        labelling.keep(db, annotator, number, secrets.token_hex(16), value, order)
            unread += values.count(None)
            if say:
                say(len(done) + begin + len(some), len(questions))
        return len(open_) - unread, unread
    finally:
        store.close()


def _judge(kind: str, lm: LM, model: str) -> Judge:
    """What labels questions of a kind by that model. Raises LuthierError where it cannot."""
    output = getattr(lm, "output", "text")
    if kind == Edit.name:
        raise LuthierError(f"labels of a project with --kind {kind} are texts that people write: no model judges it")
    if output in ("reward", "scalar"):
        if kind == Rating.name:
            raise LuthierError(f"--judge {model}: it gives numbers, which are no ratings from 1 to {BEST}")
        return lambda questions: [_ranks(numbers) for numbers in _numbers(lm, output, questions)]
    if output != "text":
        raise LuthierError(f"--judge {model}: it answers with {output}, and a judge writes text or gives numbers")
    if kind == Rating.name:
        return lambda questions: _rated(lm, questions)
    return lambda questions: [None if points is None else _ranks(points) for points in _compared(lm, questions)]


def _ranks(points: Sequence[float]) -> Value:
    """The label of a pair or a ranking by points: the most are the best."""
    return {"ranks": dense([-each for each in points])}


def _compared(lm: LM, questions: Sequence[Question]) -> list[list[float] | None]:
    """Points of each answer of each question: 1 for each one that it beats in both orders, 1/2 for each tie."""
    pairs = [(n, i, j) for n, q in enumerate(questions) for i, j in combinations(range(len(q.answers)), 2)]
    asked = [Pair(questions[n].messages, questions[n].answers[i], questions[n].answers[j]) for n, i, j in pairs]
    points: list[list[float] | None] = [[0.0] * len(q.answers) for q in questions]
    for (n, i, j), found in zip(pairs, verdicts(cast(WordedLM, lm), asked), strict=True):
        own = points[n]
        if not found.read or own is None:
            points[n] = None
            continue
        share = ((found.before > 0.5) + (found.behind > 0.5)) / 2
        own[i] += share
        own[j] += 1 - share
    return points


def _rated(lm: LM, questions: Sequence[Question]) -> list[Value | None]:
    asked = [_question(q, answer) for q in questions for answer in q.answers]
    said = iter(_choices(lm, asked, SCORES))
    found = [[next(said) for _ in q.answers] for q in questions]
    return [None if None in each else {"scores": [int(at) + 1 for at in each if at is not None]} for each in found]


def _choices(lm: LM, asked: Sequence[str], labels: Sequence[str]) -> list[int | None]:
    """The place of the likeliest label for each text; None where the model names none."""
    worded = cast(WordedLM, lm).worded(WORDING, labels)
    rows: Any = worded.predict(asked, labels)
    return [int(row.argmax()) if bool(row.isfinite().any()) else None for row in rows]


def _numbers(lm: LM, output: str, questions: Sequence[Question]) -> list[list[float]]:
    """The number of each answer by a run that gives numbers."""
    from luthier.runs.rewards import conversation

    read = conversation if output == "reward" else spoken
    asked: Any = [read(q.asked, answer) for q in questions for answer in q.answers]
    values = iter(lm.predict(asked, ())[:, 0].tolist())
    return [[float(next(values)) for _ in q.answers] for q in questions]


def _question(question: Question, answer: str) -> str:
    """What is asked of one answer, in the language of the conversation; braces in texts stay what they are."""
    chinese = is_chinese(question.messages[-1].content)
    parts = {"talk": talk(question.messages, chinese), "one": answer}
    return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], RATE["zh" if chinese else "en"])


def _short(model: str) -> str:
    """A model's name as an annotator's: the end of its path or address."""
    name = model.rstrip("/").rpartition("#")[2] if "#" in model else Path(model).name
    return f"judge {name or model}"[-assigning.LONGEST_NAME :].strip()
