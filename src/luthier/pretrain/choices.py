"""Multiple-choice tasks: which of several continuations of a beginning a model finds likeliest.

A choice counts by its mean log-probability a byte of UTF-8 behind its beginning: by bytes and not by tokens, so that
it does not decide how a tokenizer happens to cut a choice, and models with other tokenizers are held to the same. An
item is right where the right choice is the likeliest one. Beside it stand chance and what the longest choice would get.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from luthier.core import plugins
from luthier.core.lm import LM, WordedLM
from luthier.data.letters import has_han
from luthier.data.prompts import Template
from luthier.evals.bootstrap import wilson

PLAIN = {lang: Template("continued", "{input}", chat=False, spaced=lang == "en", lines=True) for lang in ("en", "zh")}
ENOUGH = 0.15  # of the bytes of a text's letters, from which on it is in a language
PARTS, READ = 20, 10_000  # stretches of a text, and bytes of each, by which its languages are told
Counted = Callable[[int, int], None]


@dataclass(frozen=True)
class Item:
    """choices: the right one first."""

    beginning: str
    choices: tuple[str, ...]


def languages(text: str) -> list[str]:
    """Of "en" and "zh", those that a text is in: Chinese by its characters, English by any other letters."""
    letters = "".join(letter for letter in text if letter.isalpha())
    han = "".join(letter for letter in letters if has_han(letter))
    share = len(han.encode()) / max(len(letters.encode()), 1)
    return [lang for lang, part in (("en", 1 - share), ("zh", share)) if part >= ENOUGH]


def spread(path: Path) -> str:
    """PARTS stretches of a UTF-8 file, evenly: its documents may stand there one language behind the other."""
    found, size = [], path.stat().st_size
    with path.open("rb") as file:
        for part in range(PARTS):
            file.seek(part * size // PARTS)
            found.append(file.read(READ).decode("utf-8", "ignore"))  # letters that a border cuts
    return " ".join(found)


def items(name: str) -> list[Item]:
    """The items of a task by its name."""
    return [Item(beginning, tuple(choices)) for beginning, *choices in plugins.members("tasks")[name].load("ITEMS")]


def measured(lm: LM, spoken: Sequence[str], say: Counted) -> dict[str, dict[str, Any]]:
    """By task of these languages: items, accuracy with the ends of its interval (Wilson), chance, longest."""
    found: dict[str, dict[str, Any]] = {}
    tasks = [member for member in plugins.members("tasks").values() if member.constants["LANGUAGE"] in spoken]
    for at, task in enumerate(tasks):
        own = items(task.name)
        right = answered(cast(WordedLM, lm), own, PLAIN[task.constants["LANGUAGE"]])
        inside = wilson(sum(right) / len(own), len(own))
        found[task.name] = {
            "items": len(own), "accuracy": inside.value, "low": inside.low, "high": inside.high, **baselines(own),
        }  # fmt: skip
        say(at + 1, len(tasks))
    return found


def answered(lm: WordedLM, asked: Sequence[Item], wording: Template) -> list[bool]:
    """Whether the right choice is the likeliest, a byte, of each item."""
    pairs = [(item.beginning, choice) for item in asked for choice in item.choices]
    told = lm.worded(wording, ()).logprobs(pairs)
    each = iter(float(values.sum()) / len(choice.encode()) for values, (_, choice) in zip(told, pairs, strict=True))
    scores = [[next(each) for _ in item.choices] for item in asked]
    return [right > max(wrong) for right, *wrong in scores]


def baselines(asked: Sequence[Item]) -> Mapping[str, float]:
    """Shares right without a model: chance, and by taking the longest choice in bytes (one of several as long)."""
    sizes = [[len(choice.encode()) for choice in item.choices] for item in asked]
    longest = [(own[0] == max(own)) / own.count(max(own)) for own in sizes]
    return {
        "chance": sum(1 / len(item.choices) for item in asked) / len(asked),
        "longest": sum(longest) / len(asked),
    }
