"""Wordings: how a text becomes a prompt for a causal model, and how an answer follows it.

Three wordings a task. `zero_shot` picks among them by validation; what trains starts from the first. Where most rows
are Chinese, those to pick among are Chinese but for one, and as many.
A template is plain text with `{input}` (and `{labels}`); braces in the user's own text are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from luthier.core.errors import Unrendered
from luthier.core.records import Chat, Message, Prompt, Record
from luthier.data.forms import SYSTEM
from luthier.data.letters import is_chinese
from luthier.data.rendering import carries_more


@dataclass(frozen=True)
class Template:
    """A wording. chat: it is one user turn for the chat template; else plain text that the answer continues.

    replaces: an instruction at the beginning of the texts that this wording says in its own words. spaced: a space
    parts a plain prompt from its answer; Chinese has none there. lines: an answer to plain text does not end with its
    line.
    """

    name: str
    text: str
    chat: bool
    replaces: str = ""
    spaced: bool = field(default=True, repr=False)  # not shown: what was kept under a wording's name stays its own
    lines: bool = field(default=False, repr=False)

    def fill(self, text: str, labels: Sequence[str]) -> str:
        """The wording with its places filled, in one pass."""
        text = text.removeprefix(self.replaces)
        before, _, after = self.text.partition("{input}")
        names = ", ".join(labels)
        return before.replace("{labels}", names) + text + after.replace("{labels}", names)

    @property
    def gap(self) -> str:
        """What stands between a plain prompt and its answer."""
        return "" if self.chat or not self.spaced else " "


CLASSIFY = (
    Template("plain", "{input}\nCategory:", chat=False),
    Template("options", "Options: {labels}\n\nText: {input}\nCategory:", chat=False),
    Template("classify", "Classify the text as one of: {labels}.\n\nText: {input}", chat=True),
)
GENERATE = (
    Template("chat", "{input}", chat=True),
    Template("only", "{input}\n\nReply with the answer only, nothing else.", chat=True),
    Template("plain", "{input}\nAnswer:", chat=False),
)
CLASSIFY_CHINESE = (
    Template("options_zh", "可选类别：{labels}\n\n文本：{input}\n类别：", chat=False, spaced=False),
    Template("classify_zh", "请判断下面的文本属于哪一类：{labels}。\n\n文本：{input}", chat=True),
    CLASSIFY[0],
)
GENERATE_CHINESE = (
    GENERATE[0],  # the row alone, whatever its language
    Template("only_zh", "{input}\n\n只给出答案，不要说别的。", chat=True),
    Template("plain_zh", "{input}\n回答：", chat=False, spaced=False),
)
CHINESE = 0.6  # share of rows from which on they are taken for Chinese: half and half is a mix


ONLY = Template(
    "only", "Classify the text as one of: {labels}. Reply with the label only, nothing else.\n\nText: {input}",
    chat=True,
)  # fmt: skip
ONLY_CHINESE = Template(
    "only_zh", "请判断下面的文本属于哪一类：{labels}。只回答类别名称，不要说别的。\n\n文本：{input}", chat=True
)


def templates(labels: Sequence[str], chinese: bool = False) -> tuple[Template, ...]:
    """The wordings for a classification task, or for generation where there are no labels."""
    if chinese:
        return CLASSIFY_CHINESE if labels else GENERATE_CHINESE
    return CLASSIFY if labels else GENERATE


def mostly_chinese(rows: Sequence[Record]) -> bool:
    """Whether most rows ask in Chinese."""
    return sum(is_chinese(question_and_answer(row)[0]) for row in rows) >= CHINESE * max(len(rows), 1)


def question_and_answer(record: Record) -> tuple[str, str]:
    """What the model is given and what it should say: the last user turn and the last assistant turn of a chat."""
    asked = record.asked
    if not isinstance(asked, str):
        asked = next(m.content for m in reversed(asked) if m.role == "user")
    return asked, record.wanted


def compose(
    template: Template, text: Prompt, labels: Sequence[str], shots: Sequence[Record]
) -> str | tuple[Message, ...]:
    """The prompt for one text: a conversation for a chat wording, plain text otherwise; worked examples first."""
    if not isinstance(text, str):
        return _conversation(template, tuple(text), labels, shots)
    if template.chat:
        return _conversation(template, (Message("user", text),), labels, shots)
    worked = [question_and_answer(s) for s in shots]
    parts = [f"{template.fill(q, labels)}{template.gap}{a}\n\n" for q, a in worked]
    return "".join(parts) + template.fill(text, labels)


def _conversation(
    template: Template, messages: tuple[Message, ...], labels: Sequence[str], shots: Sequence[Record]
) -> str | tuple[Message, ...]:
    if not template.chat:
        if carries_more(messages):
            raise Unrendered("tools, calls and reasoning are written by a chat template, not by a plain wording")
        text = "\n\n".join(m.content for m in messages)
        return compose(template, text, labels, shots)
    system = next((i for i, m in enumerate(messages) if m.role not in SYSTEM), len(messages))
    out, rest = list(messages[:system]), list(messages[system:])
    for question, answer in map(question_and_answer, shots):
        out += [Message("user", template.fill(question, labels)), Message("assistant", answer)]
    last = max((i for i, m in enumerate(rest) if m.role == "user"), default=None)
    if last is not None:
        rest[last] = replace(rest[last], content=template.fill(rest[last].content, labels))
    return (*out, *rest)


def prompt_of(record: Record) -> Prompt:
    """What a record asks, without its answer."""
    return record.asked


def answer_of(record: Record) -> str:
    """What a record answers."""
    return record.wanted


def thought_of(record: Record) -> str:
    """What is thought before the answer; "" for most records."""
    return record.messages[-1].reasoning if isinstance(record, Chat) else ""
