"""Questions from a file: a prompt with two to nine answers a row, pairs, or prompts alone.

    {"prompt": TEXT or [messages], "answers": [TEXT, ...], "sources": [TEXT, ...]}     who wrote which; optional
    {"prompt": TEXT or [messages], "chosen": TEXT, "rejected": TEXT}
    {"prompt": TEXT or [messages]}

What has no `prompt`, or its conversation within `chosen`, is read as other commands read pairs and questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.records import Message, Preference, Prompt
from luthier.data import formats
from luthier.data.keys import Trace
from luthier.data.making import Bad
from luthier.data.read import Inputs, read, read_inputs
from luthier.data.rows import RejectError, check
from luthier.data.source import Row, Source, kind
from luthier.data.turns import asked_chat, messages_of

FEWEST, MOST = 2, 9


@dataclass(frozen=True)
class Question:
    """prompt: a text or messages, as the file has them. answers: in the file's order; sources: of each, or none."""

    prompt: str | list[dict[str, Any]]
    answers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation that is shown."""
        if isinstance(self.prompt, str):
            return (Message("user", self.prompt),)
        return messages_of(self.prompt, "prompt", Trace())

    @property
    def asked(self) -> Prompt:
        """What a model is given."""
        return self.prompt if isinstance(self.prompt, str) else self.messages


def read_questions(path: Path) -> tuple[list[Question], Inputs]:
    """The questions of a file, and its bad rows in the form that `report_bad` takes.

    Raises LuthierError where no row is good, and where rows with answers stand beside rows without.
    """
    source = formats.load(path)
    answered = {"answers"} & {*source.columns} or {"chosen", "rejected"} <= {*source.columns}
    if "prompt" not in source.columns or _whole_chats(source):
        return _otherwise(path, bool(answered))
    made: list[Question] = []
    lines: list[int] = []
    bad: list[Bad] = []
    for row in source.rows:
        try:
            made.append(_question(row, bool(answered)))
            lines.append(row.line)
        except RejectError as why:
            bad.append(Bad(row.line, str(why), row.raw))
    if not made:
        shown = "".join(f"\n  {path}:{row.line}: {row.reason}" for row in bad[:5])
        raise LuthierError(f"{path}: none of its {len(bad)} rows can be used:{shown}")
    return made, Inputs("preference", [], [], [], tuple(lines), tuple(bad), path)


def distinct(answers: Sequence[str]) -> list[int]:
    """The places of the answers that differ, each by its first."""
    plain = [" ".join(answer.split()) for answer in answers]
    return [i for i, text in enumerate(plain) if text and plain.index(text) == i]


def _question(row: Row, answered: bool) -> Question:
    if row.reason:
        raise RejectError(row.reason)
    values = row.columns
    prompt = values.get("prompt")
    if isinstance(prompt, list):
        asked_chat(messages_of(prompt, "prompt", Trace()))
    else:
        check(prompt, "prompt")
    return Question(prompt, *(_answers(values) if answered else ()))  # type: ignore[arg-type]


def _answers(values: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The answers of a row and their sources. Raises RejectError."""
    if "answers" in values:
        answers, sources = values["answers"], values.get("sources") or []
    elif values.keys() & {"chosen", "rejected"}:
        answers, sources = [values.get("chosen"), values.get("rejected")], []
    else:
        raise RejectError("no answers, which other rows of the file have")
    if not isinstance(answers, list):
        raise RejectError(f"answers is {kind(answers)}, not a list of texts")
    if not FEWEST <= len(answers) <= MOST:
        raise RejectError(f"{len(answers)} answers: a question has {FEWEST} to {MOST}")
    found = tuple(check(answer, f"answer {i}") for i, answer in enumerate(answers, 1))
    if len(distinct(found)) < len(found):
        raise RejectError("two answers are the same: there is nothing to choose")
    if not isinstance(sources, list) or (sources and len(sources) != len(found)):
        raise RejectError("sources must be a list of as many texts as there are answers")
    return found, tuple(check(each, f"source {i}") for i, each in enumerate(sources, 1))


def _whole_chats(source: Source) -> bool:
    """Whether `chosen` holds whole conversations, prompt included."""
    return any(isinstance(row.columns.get("chosen"), list) for row in source.rows)


def _otherwise(path: Path, answered: bool) -> tuple[list[Question], Inputs]:
    """Rows in any of the layouts that other commands know."""
    if not answered:
        inputs = read_inputs(path)
        return [Question(plain(prompt)) for prompt in inputs.prompts], inputs
    table = read(path)
    pairs = [record for record in table.records if isinstance(record, Preference)]
    if not pairs:
        raise LuthierError(f'{path}: rows with answers need a "prompt" beside them')
    made = [Question(plain(pair.messages), (pair.chosen, pair.rejected)) for pair in pairs]
    return made, Inputs("preference", [], [], [], table.lines, table.bad, path)


def plain(prompt: Prompt) -> str | list[dict[str, Any]]:
    """A prompt as a file holds it."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1 and prompt[0].role == "user":
        return prompt[0].content
    return [{"role": turn.role, "content": turn.said} for turn in prompt]
