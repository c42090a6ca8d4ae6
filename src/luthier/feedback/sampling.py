"""Answers to prompts, sampled from one or several runs or models, with what is needed to go on after a kill.

Each question gets so many answers, shared out among the sources in turn. Answers that were sampled are kept in a file
of the project's folder (`KEPT`) until the database holds them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.lm import LM
from luthier.core.records import Sampling
from luthier.feedback.questions import FEWEST, MOST, Question, distinct
from luthier.io.config import Recipe

KEPT = "sampled.jsonl"
TOGETHER = 32  # prompts that a model is asked at once


@dataclass(frozen=True)
class Asked:
    """Whom to ask, and how. models: runs and models. answers: of a question, all sources together."""

    models: tuple[str, ...] = ()
    answers: int = 2
    temperature: float = 0.8
    seed: int = 0
    max_new_tokens: int = 256


@dataclass(frozen=True)
class Draw:
    """One answer to every question: which source gives it, and by which seed."""

    source: int
    seed: int


def answering(name: str) -> LM:
    """The model of a run folder, or a model by its folder, file, hub id or address. Raises LuthierError."""
    from luthier.io.kept import is_run
    from luthier.models.loading.of_recipe import load_base
    from luthier.runs.loaded import load_run

    return load_run(Path(name)) if is_run(Path(name)) else load_base(Recipe(model=name))


def answered(
    questions: Sequence[Question], asked: Asked, folder: Path, say: Callable[[int, int], None] | None = None
) -> list[Question]:
    """The questions with their answers, each once; those whose answers are all the same are left out."""
    draws = drawn(asked)
    kept = _Kept(folder / KEPT, hashlib.sha256(json.dumps([asdict(asked), _plain(questions)]).encode()).hexdigest())
    total = len(draws) * len(questions)
    for source, name in enumerate(asked.models):
        seeds = {at: draw.seed for at, draw in enumerate(draws) if draw.source == source}
        missing = {at: [i for i in range(len(questions)) if (at, i) not in kept.found] for at in seeds}
        if any(missing.values()):
            for at, some, texts in _draws(name, asked, questions, seeds, missing):
                kept.add(at, some, texts)
                if say:
                    say(len(kept.found), total)
    names = [asked.models[draw.source] for draw in draws]
    full = [_with_answers(q, [kept.found[at, i] for at in range(len(draws))], names) for i, q in enumerate(questions)]
    return [question for question in full if len(question.answers) >= FEWEST]


def _draws(
    name: str, asked: Asked, questions: Sequence[Question], seeds: Mapping[int, int],
    missing: Mapping[int, Sequence[int]],
) -> Iterator[tuple[int, Sequence[int], list[str]]]:  # fmt: skip
    """A few answers of one model at a time: which draw, of which questions, the texts. The model goes when it ends.

    seeds: of each draw. missing: the questions that each is to answer.
    """
    lm = answering(name)
    output = getattr(lm, "output", "text")
    if output != "text":
        raise LuthierError(f"--from {name}: it answers with {output}, and answers are texts")
    for at, seed in seeds.items():
        sampling = Sampling(asked.max_new_tokens, asked.temperature, seed=seed)
        for begin in range(0, len(missing[at]), TOGETHER):
            some = missing[at][begin : begin + TOGETHER]
            yield at, some, lm.generate([questions[i].asked for i in some], sampling)


def drawn(asked: Asked) -> list[Draw]:
    """The answers that every question gets. Raises LuthierError where they cannot differ or be as many."""
    count = asked.answers
    if not FEWEST <= count <= MOST:
        raise LuthierError(f"--answers {count}: a question has {FEWEST} to {MOST}")
    if len({*asked.models}) < len(asked.models):
        raise LuthierError("--from names a run or model twice: name each once; --answers decides how often it is asked")
    if len(asked.models) > count:
        raise LuthierError(f"--answers {count}: there are {len(asked.models)} models to ask, one answer each at least")
    if asked.temperature == 0 and len(asked.models) < count:
        raise LuthierError(
            f"--temperature 0 gives the same answer each time: with {count} answers of {len(asked.models)} "
            "models it must be above 0"
        )
    turns = [(at % len(asked.models), at // len(asked.models)) for at in range(count)]
    return [Draw(source, asked.seed * 1000 + turn) for source, turn in turns]


def _with_answers(question: Question, answers: Sequence[str], names: Sequence[str]) -> Question:
    places = distinct(answers)
    return replace(question, answers=tuple(answers[i] for i in places), sources=tuple(names[i] for i in places))


def _plain(questions: Sequence[Question]) -> list[Any]:
    return [question.prompt for question in questions]


class _Kept:
    """Answers by draw and question, in a file that grows with them; of another request it is begun anew."""

    def __init__(self, path: Path, request: str) -> None:
        self.path, self.found = path, dict[tuple[int, int], str]()
        lines = path.read_text("utf-8", errors="replace").split("\n") if path.is_file() else []
        if not lines or lines[0] != request:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(request + "\n", "utf-8")
            return
        whole = "\n".join(lines[: len(lines) - 1]) + "\n"  # a line that a kill cut is dropped
        path.write_text(whole, "utf-8")
        for line in lines[1:-1]:
            at, i, text = json.loads(line)
            self.found[at, i] = text

    def add(self, at: int, places: Sequence[int], texts: Sequence[str]) -> None:
        """Keep some answers of a draw."""
        with self.path.open("a", encoding="utf-8") as file:
            for i, text in zip(places, texts, strict=True):
                self.found[at, i] = text
                file.write(json.dumps([at, i, text]) + "\n")
