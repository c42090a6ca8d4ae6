"""Templates from people and from models: read, checked, repaired where only one thing can be meant, written as JSON.

A template file is `.txt` (one wording a line, `\\n` for a line break), `.jsonl` (objects with `text` and, if wanted,
`name` and `chat`) or the `.json` that a search wrote. A broken wording is named with its line; the rest goes on.
"""

from __future__ import annotations

import codecs
import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.phrases import of_error, say
from luthier.core.records import Record
from luthier.core.split import Split
from luthier.data.prompts import Template
from luthier.io.files import read_record, write_json

LONGEST = 2000  # characters of a wording
PLACES = ("{input}", "{labels}")
_WORD = re.compile(r"\{+\s*([^\W\d]\w*)\s*\}+")  # what looks like a place
_INPUT = re.compile(  # ways in which models and people write the place of the input
    r"\{+\s*(?:input|text|sentence|question|query|message|x|输入|文本|句子|问题)\s*(?:\}+|(?=[^\w}]|$))|(?<![\w{])input\}"
    r"|\[(?:input|text|sentence|INPUT|TEXT)\]|<(?:input|text|sentence|INPUT|TEXT)>",
    re.IGNORECASE,
)


class BrokenError(ValueError):
    """Why a text is no template, in words."""


@dataclass(frozen=True)
class Bad:
    """A wording that was left out. where: file and line."""

    where: str
    reason: str
    text: str


def check(text: str, labels: Sequence[str]) -> str:
    """The text, when it is a template. Raises BrokenError with the reason."""
    if not text.strip():
        raise BrokenError(say("said_wording_empty"))
    if len(text) > LONGEST:
        raise BrokenError(say("said_wording_long", count=len(text), most=LONGEST))
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise BrokenError(say("said_wording_half"))
    _braces(text)
    for found in _WORD.finditer(text):
        if found[0] not in PLACES:
            meant = found[1].lower()
            near = "{" + meant + "}" if "{" + meant + "}" in PLACES else "{input}"
            raise BrokenError(say("said_wording_place", place=found[0], near=near))
    if not (times := text.count("{input}")):
        raise BrokenError(say("said_wording_none", place="{input}"))
    if times > 1:
        raise BrokenError(say("said_wording_times", place="{input}", times=times))
    if "{labels}" in text and not labels:
        raise BrokenError(say("said_wording_labels", place="{labels}"))
    return text


def _braces(text: str) -> None:
    opened: list[int] = []
    for at, char in enumerate(text):
        if char == "{":
            opened.append(at)
        elif char == "}":
            if not opened:
                raise BrokenError(say("said_wording_closed", at=at + 1, text=text[: at + 1][-12:]))
            opened.pop()
    if opened:
        raise BrokenError(say("said_wording_opened", at=opened[0] + 1, text=text[opened[0] :][:12]))


def repair(text: str, labels: Sequence[str], tail: str = "\n\n{input}") -> tuple[str, str]:
    """A template made of what a model wrote, and what was changed ("" when nothing was).

    tail: stands behind a text that says nowhere where the input goes. Raises BrokenError where nothing helps.
    """
    try:
        return check(text, labels), ""
    except BrokenError as error:
        why = of_error(error)
    found = _INPUT.search(text)
    if found:
        with_place = text[: found.start()] + "{input}" + _INPUT.sub("the text above", text[found.end() :])
        what = f"{found[0]} became {{input}}"
    else:
        with_place, what = text.rstrip() + tail, "{input} was put at the end"
    if not labels and "{labels}" in with_place:
        raise BrokenError(why)
    return check(with_place, labels), what


def read_templates(path: Path, labels: Sequence[str], instruction: str = "") -> tuple[list[Template], list[Bad]]:
    """The wordings of a file and those that are broken. Raises LuthierError where the file has none that can be used.

    instruction: what all rows begin with; the wordings take its place unless they say `"replaces": ""`.
    """
    try:
        raw = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except FileNotFoundError:
        raise LuthierError(f"{path}: there is no such file of templates") from None
    except OSError as error:
        raise LuthierError(f"{path}: the templates cannot be read: {error.strerror}") from None
    if path.suffix == ".json":
        return [read_template(path, labels)], []
    good: list[Template] = []
    bad: list[Bad] = []
    for number, part in enumerate(raw.split(b"\n"), 1):
        line = part.decode("utf-8", "surrogateescape")  # bytes that are no UTF-8 become half characters
        if not line.strip() or (path.suffix != ".jsonl" and line.lstrip().startswith("#")):
            continue
        try:
            if part != line.encode("utf-8", "replace"):
                raise BrokenError(say("said_wording_utf8"))
            good.append(
                _object(line, labels, instruction)
                if path.suffix == ".jsonl"
                else _line(line, number, labels, instruction)
            )
        except BrokenError as error:
            bad.append(Bad(f"{path}:{number}", of_error(error), part.decode("utf-8", "replace").strip()[:200]))
    if not good:
        first = f": {bad[0].where}: {bad[0].reason}" if bad else ""
        raise LuthierError(f"{path}: holds no wording that can be used{first or ', only empty lines'}")
    return good, bad


def _line(line: str, number: int, labels: Sequence[str], instruction: str) -> Template:
    text = check(line.strip("\r").replace("\\n", "\n"), labels)
    return Template(f"line {number}", text, False, instruction)


def _object(line: str, labels: Sequence[str], instruction: str) -> Template:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BrokenError(say("said_wording_json", reason=str(error))) from None
    if not isinstance(values, dict) or not isinstance(values.get("text"), str):
        raise BrokenError(say("said_wording_object"))
    if not isinstance(chat := values.get("chat", False), bool):
        raise BrokenError(say("said_wording_chat"))
    replaces = str(values.get("replaces", instruction))
    return Template(str(values.get("name", "wording")), check(values["text"], labels), chat, replaces)


def read_template(path: Path, labels: Sequence[str] | None = None) -> Template:
    """The template of a file that a search wrote. labels: of the task; None where they are not known yet."""
    if not path.exists():
        raise LuthierError(f"{path}: there is no such template file")
    try:
        values = read_record(path, "text")
    except LuthierError:
        raise LuthierError(
            f'{path}: no template: give the template.json of a prompt search, or {{"text": "… {{input}} …"}} in a file'
        ) from None
    known = {f.name: type(f.default) for f in dataclasses.fields(Template)}
    given = {"name": path.stem, "chat": False} | {k: v for k, v in values.items() if k in known}
    if any(
        isinstance(v, bool) != (k in ("chat", "spaced", "lines")) or not isinstance(v, str | bool)
        for k, v in given.items()
    ):
        raise LuthierError(
            f"{path}: text, name and replaces are texts, chat is true or false, and so are spaced and lines"
        )
    try:
        check(str(given["text"]), ("a",) if labels is None else labels)
    except BrokenError as error:
        raise LuthierError(f"{path}: {error}") from None
    return Template(**given)  # type: ignore[arg-type]


def write_template(path: Path, template: Template, more: Mapping[str, Any]) -> None:
    """The template and what is known about it."""
    write_json(path, dataclasses.asdict(template) | dict(more))


def shared_instruction(data: Split) -> str:
    """The whole lines that every training text begins with: an instruction given for all rows; "" where there is none.

    A wording that is tried takes its place, so that nothing is asked twice.
    """
    texts = [_asked(r) for r in data.train]
    if len(texts) < 2:
        return ""
    low, high = min(texts), max(texts)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    shared = low[:same]
    shared = shared[: shared.rfind("\n") + 1]
    return shared if shared.strip() and all(len(t) > len(shared) for t in texts) else ""


def _asked(record: Record) -> str:
    from luthier.data.prompts import question_and_answer

    return question_and_answer(record)[0]
