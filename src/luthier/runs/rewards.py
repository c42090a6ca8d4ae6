"""What gives answers a number, besides trained runs: patterns, functions and servers, by name.

re:PATTERN, FILE.py:FUNCTION, MODULE:FUNCTION, or the address of a server that is sent
{"prompt": [messages], "answer": text} and answers {"score": number}
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.core.records import Message
from luthier.evals.spoken import spoken
from luthier.io.config import EndpointConfig
from luthier.models.endpoint.client import Client
from luthier.models.endpoint.remote import is_endpoint
from luthier.models.loading.bundled import cache_dir

if TYPE_CHECKING:
    from luthier.core.records import Prompt, Record
    from luthier.training.context import Meter, Reward

MODULE = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")


def named(name: str, endpoint: EndpointConfig | None = None) -> Reward:
    """A pattern, a server or a function. Raises LuthierError."""
    if name.startswith("re:"):
        try:
            return Matching(re.compile(name[3:], re.DOTALL))
        except re.error as error:
            raise LuthierError(f"reward: {name[3:]!r} is not a regular expression: {error}") from None
    if is_endpoint(name):
        return Posted(Client(name, endpoint or EndpointConfig(), cache_dir() / "scores"))
    file, colon, function = name.rpartition(":")
    if colon and file.endswith(".py"):
        return Called(_function(_file(Path(file)), function, file), name)
    if MODULE.fullmatch(name):
        return Called(_function(_module(file), function, file), name)
    raise LuthierError(
        f"reward: {name} is neither a run folder nor re:PATTERN, FILE.py:FUNCTION, MODULE:FUNCTION or an address"
    )


@dataclass(frozen=True)
class Matching:
    """1 where the pattern is found in the answer, else 0."""

    pattern: re.Pattern[str]

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        return [float(self.pattern.search(answer) is not None) for answer in answers]


@dataclass(frozen=True)
class Called:
    """A function of the user's: `function(prompt, answer, row)` gives a number. name: for errors."""

    function: Callable[[Any, str, Any], float]
    name: str

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        """Raises LuthierError where it raises, or gives no finite number: a reward that is made up would be learned."""
        found = []
        for prompt, answer, record in zip(prompts, answers, records, strict=True):
            try:
                value = self.function(prompt, answer, record)
            except Exception as error:
                raise LuthierError(f"reward: {self.name} raised {type(error).__name__}: {error}") from error
            found.append(_finite(value, self.name, answer))
        return found


@dataclass(frozen=True)
class Posted:
    """A running server, sent one answer at a time; what it said is kept on disk and asked once."""

    client: Client

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        """Raises LuthierError where it gives no finite number."""
        asked = [("", {"prompt": _plain(p), "answer": a}) for p, a in zip(prompts, answers, strict=True)]
        found = self.client.ask_all(asked)
        return [_finite(each.get("score"), self.client.url, a) for each, a in zip(found, answers, strict=True)]


def _plain(prompt: Prompt) -> list[dict[str, str]]:
    messages = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    return [{"role": message.role, "content": message.content} for message in messages]


def _finite(value: Any, name: str, answer: str) -> float:
    """A number that was given. Raises LuthierError where it is none."""
    try:
        found = math.nan if value is None or isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise LuthierError(f"reward: {name} gave {value!r}, which is no finite number, for the answer {answer[:60]!r}")
    return found


@dataclass(frozen=True)
class Predicted:
    """The number that a trained run predicts for a prompt with its answer.

    states: of which base it reads, where its run has changed nothing below its head; else "".
    """

    lm: Any
    meter: Meter
    states: str = ""

    def head_on(self, key: str) -> Any:
        """Its head, where that reads the states of the base with this key; else None."""
        return self.lm.label_head if self.states and self.states == key else None

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        read = conversation if self.lm.output == "reward" else spoken
        asked = [read(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
        self.meter.count("reward", sum(self.lm.length(prompt) for prompt in asked))
        return [float(value) for value in self.lm.predict(asked, ())[:, 0]] if asked else []


@dataclass(frozen=True)
class Weighted:
    """Several rewards, each with its weight, added."""

    parts: tuple[tuple[Reward, float], ...]

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        found = [[weight * x for x in one.score(prompts, answers, records)] for one, weight in self.parts]
        return [math.fsum(each) for each in zip(*found, strict=True)]


def conversation(prompt: Prompt, answer: str) -> tuple[Message, ...]:
    """What a reward model reads."""
    before = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
    return (*before, Message("assistant", answer))


def _function(module: Any, name: str, where: str) -> Callable[[Any, str, Any], float]:
    function = getattr(module, name, None)
    if not callable(function):
        raise LuthierError(f"reward: {where} has no function {name!r}")
    return function  # type: ignore[no-any-return]


def _file(path: Path) -> Any:
    """A Python file, whose code runs: the user named it."""
    if not path.is_file():
        raise LuthierError(f"reward: {path}: no such file")
    spec = importlib.util.spec_from_file_location(f"luthier_reward_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    return _ran(lambda: spec.loader.exec_module(module) or module, str(path))  # type: ignore[union-attr]


def _module(name: str) -> Any:
    """An installed module, or one beside where the command runs."""
    return _ran(lambda: importlib.import_module(name), name)


def _ran(load: Callable[[], Any], where: str) -> Any:
    try:
        return load()
    except Exception as error:
        raise LuthierError(f"reward: {where} cannot be read: {type(error).__name__}: {error}") from error
