"""A language model writes wordings: from training examples, and anew from wordings that did well.

The model is asked for the instruction alone; where the input stands and what cue ends the prompt is kept from the
wording that it was asked to rewrite, since small models lose such places. Source: Zhou et al. 2022, "Large Language
Models Are Human-Level Prompt Engineers" (from examples); Yang et al. 2023, "Large Language Models as Optimizers" (shown
with their scores).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.core.records import Message, Record, Sampling
from luthier.core.split import Split
from luthier.data.prompts import Template, question_and_answer
from luthier.io.config import EndpointConfig, Recipe

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM

ASK = Template("ask", "{input}", chat=True)
EXAMPLES, EXAMPLE_CHARS = 5, 300
ROOM = 96  # tokens of a wording
LONGEST = 600  # characters of an instruction: what is longer has begun to tell stories
HAN = re.compile("[\u3400-\u9fff]")
TEXTS: dict[bool, dict[str, str]] = {  # whether the rows are Chinese
    False: {
        "write": "Below are inputs, each with the answer that is wanted.\n\n{examples}\n\nOne instruction explains all "
        "of these answers. Write this instruction in one or two sentences, as you would tell it to an assistant."
        "{labels} Reply with the instruction only.",
        "labels": " Every answer is one of: {names}.",
        "example": "Input: {input}\nAnswer: {answer}",
        "rewrite": "Instruction: {instruction}\n\nSay this instruction in other words, so that it is clearer and asks "
        "for the same.{others} Reply with the new instruction only.",
        "others": " These have been tried already (a higher score is better):\n{tried}\n",
        "cue": "\nCategory:",
        "answer": "\nAnswer:",
        "none": "Answer the input.",
    },
    True: {
        "write": "下面是一些输入，以及每个输入应得的答案。\n\n{examples}\n\n这些答案都出自同一条指令。"
        "请用一两句话写出这条指令，就像对助手说的那样。{labels}只回复指令本身。",
        "labels": "答案总是以下之一：{names}。",
        "example": "输入：{input}\n答案：{answer}",
        "rewrite": "指令：{instruction}\n\n请换一种说法写出这条指令，意思不变，表达更清楚。{others}只回复新的指令。",
        "others": "以下说法已经试过（分数越高越好）：\n{tried}\n",
        "cue": "\n类别：",
        "answer": "\n回答：",
        "none": "请回答下面的输入。",
    },
}


@dataclass
class Proposer:
    """Writes instructions. lm: the model that writes. replaces: the rows' own instruction, which a wording replaces."""

    lm: WordedLM
    data: Split
    replaces: str
    seed: int

    @property
    def _chinese(self) -> bool:
        asked = [question_and_answer(r)[0].removeprefix(self.replaces) for r in self.data.train[:40]]
        return sum(bool(HAN.search(text)) for text in asked) * 2 > len(asked)

    def written(self, slot: int) -> str:
        """What the model says to a few training examples, others for each slot. Raises LuthierError where it fails."""
        words = TEXTS[self._chinese]
        rng = np.random.default_rng([self.seed, 11, slot])
        rows = [self.data.train[int(i)] for i in rng.permutation(len(self.data.train))[:EXAMPLES]]
        examples = "\n\n".join(self._example(words["example"], r) for r in rows)
        names = words["labels"].replace("{names}", ", ".join(self.data.labels)) if self.data.labels else ""
        return self._said(words["write"].replace("{labels}", names).replace("{examples}", examples), slot)

    def _example(self, form: str, row: Record) -> str:
        asked, answer = question_and_answer(row)
        asked = asked.removeprefix(self.replaces)[:EXAMPLE_CHARS]
        return form.replace("{answer}", answer[:EXAMPLE_CHARS]).replace("{input}", asked, 1)

    def rewritten(self, parent: Template, slot: int, tried: Sequence[tuple[str, str]] = ()) -> str:
        """Another way to say what the parent says. tried: wordings with their scores, the best first."""
        words = TEXTS[self._chinese]
        lines = "\n".join(f"- {text} ({value})" for text, value in tried)
        others = words["others"].replace("{tried}", lines) if lines else ""
        told = instruction_of(parent) or words["none"]
        return self._said(words["rewrite"].replace("{others}", others).replace("{instruction}", told, 1), slot)

    def _said(self, prompt: str, slot: int) -> str:
        sampling = Sampling(ROOM, temperature=0.8, top_p=0.95, seed=self.seed * 1000 + slot)
        said = cleaned(self.lm.worded(ASK, ()).generate([(Message("user", prompt),)], sampling)[0])
        own = _letters(said)
        return "" if len(own) > 3 and own in _letters(prompt) else said  # what it was asked is no answer

    def tail(self, slot: int) -> tuple[str, bool]:
        """Where the input of a new wording goes, and whether it is a chat turn: both forms in turn."""
        words = TEXTS[self._chinese]
        cue = words["cue" if self.data.labels else "answer"]
        return ("\n\n{input}", True) if slot % 2 == 0 else ("\n\n{input}" + cue, False)


def _letters(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def instruction_of(template: Template) -> str:
    """What a wording says besides its places, on one line."""
    text = re.sub(r"['\"“”‘’「」]*\{input\}['\"“”‘’「」]*", " … ", template.text.replace("{labels}", " … "))
    return " ".join(text.split()).strip(" …")


def form(parent: Template) -> tuple[str | None, bool]:
    """Where a wording has its input, and the cue behind it, for another instruction; None where it stands in words."""
    after = parent.text.partition("{input}")[2]
    if parent.chat:
        return "\n\n{input}", True
    return ("\n\n{input}" + after, False) if after.startswith("\n") and len(after) < 60 else (None, False)


def cleaned(text: str) -> str:
    """An instruction as it was meant: without fences, quotes around it, a heading, and what follows a blank line."""
    text = re.sub(r"^```\w*\n?|\n?```$", "", text.strip())
    text = re.sub(
        r"^\W*(?:new |the )?(?:instruction|prompt|指令|新指令|新的指令)\s*\W*[:：]\s*", "", text, flags=re.IGNORECASE
    )
    text = text.lstrip("*: \n").split("\n\n")[0].strip().rstrip("\ufffd")  # cut off inside a character
    if len(text) > 1 and text[0] + text[-1] in ('""', "''", "“”", "「」", "``"):
        text = text[1:-1].strip()
    return text


def load(name: str, base: WordedLM, endpoint: EndpointConfig) -> WordedLM:
    """The model that writes: the base itself without a name, else another model or an endpoint."""
    if not name:
        return base
    from luthier.models.loading.of_recipe import load_base

    values: Any = {"model": name, "endpoint": endpoint}
    return load_base(Recipe(**values))
