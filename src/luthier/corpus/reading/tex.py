"""TeX as a document: without comments, preamble, bibliography; with its inputs and short macros; formulas as they are.

A helper of `latex`. Everything is one pass over the text; what inputs and macros make of it has a bound.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from luthier.corpus.reading import LARGEST, TooLargeError

Find = Callable[[str], str | None]  # the text of an input by its name, None where there is none
DEEPEST, INPUTS = 8, 1000
SHORT = 1000  # characters of a macro that is put in
BEGIN, END = r"\begin{document}", r"\end{document}"
_MARK = re.compile(
    r"\\begin\{(?P<block>verbatim|Verbatim|lstlisting|minted|alltt|comment)\*?\}"
    r"|\\verb\*?(?P<quote>[^\w\s*])[^\n]{0,200}?(?P=quote)|\\[\\%]|%[^\n]*+(?:\n[ \t]*+(?!\n))?"
)
_INPUT = re.compile(r"\\(?:input|include|subfile)\s*\{([^{}\n]{1,200})\}|\\input\s+([\w./-]{1,200})")
_MACRO = re.compile(
    r"\\(?:(?:re|provide)?newcommand\*?\s*(?:\{\s*\\([A-Za-z]+)\s*\}|\\([A-Za-z]+))|def\s*\\([A-Za-z]+))\s*(?=\{)"
)
_NAME = re.compile(r"\\([A-Za-z]++)(\{\})?")
_LISTED = re.compile(
    r"\\(?:bibliography|bibliographystyle|printbibliography|nocite|addbibresource)\b(?:\[[^\[\]]*+\])?(?:\{[^{}]*+\})?"
)
_CLASS = re.compile(r"^[^%\n]*\\document(?:class|style)\b", re.M)


def is_main(text: str) -> bool:
    """Whether a file is a document and not a part of one."""
    return _CLASS.search(text) is not None


def names(text: str) -> set[str]:
    """What a text puts in, as it names it."""
    return {(one or two).strip() for one, two in _INPUT.findall(uncommented(text))}


def body(text: str, find: Find = lambda name: None) -> str:
    """The document in a text, its title first; "" where it has none. Raises TooLargeError."""
    whole = _Inputs(find).put_in(uncommented(text))
    head, begun, rest = whole.partition(BEGIN)
    if not begun:
        return ""
    macros, head = _definitions(head)
    more, rest = _definitions(rest.partition(END)[0])
    title, head = _title(head)
    if not title:
        title, rest = _title(rest)
    rest = _expanded(_without_bibliography(rest), _resolved(macros | more))
    title = " ".join(_expanded(title, macros | more).split())
    return re.sub(r"\n[ \t]*+\n\s*", "\n\n", f"{title}\n\n{rest}").strip()


def uncommented(text: str) -> str:
    """A text without comments; in program listings % is no comment."""
    out, at = [], 0
    while found := _MARK.search(text, at):
        out.append(text[at : found.start()])
        at = found.end()
        if block := found["block"]:
            end = text.find(f"\\end{{{block}", at)
            if end >= 0 and block != "comment":
                out.append(text[found.start() : end])
            elif end < 0:
                out += [found[0], text[at:]]
                return "".join(out)
            at = end if block != "comment" else text.find("}", end) + 1 or len(text)
        elif not found[0].startswith("%"):
            out.append(found[0])
    out.append(text[at:])
    return "".join(out)


@dataclass
class _Inputs:
    """Puts inputs in, as many and as large as is sensible."""

    find: Find
    count: int = 0
    size: int = 0

    def put_in(self, text: str, above: tuple[str, ...] = ()) -> str:
        """The text with its inputs, theirs too; one that would put in itself is left out."""

        def one(found: re.Match[str]) -> str:
            name = (found[1] or found[2]).strip()
            if name in above:
                return ""
            self.count += 1
            inner = self.find(name) if self.count <= INPUTS and len(above) < DEEPEST else None
            if inner is None:
                return found[0]
            self.size += len(inner)
            if self.size > LARGEST:
                raise TooLargeError(f"inputs of together more than {LARGEST >> 20} MB")
            inner = uncommented(inner)
            if BEGIN in inner:  # a part that can stand alone
                inner = inner.partition(BEGIN)[2].partition(END)[0]
            return self.put_in(inner, (*above, name))

        return _INPUT.sub(one, text)


def _braced(text: str, at: int, limit: int) -> int:
    """Where the brace that opens at `at` is closed, 0 where that is not within `limit` characters."""
    depth = 0
    for found in re.compile(r"\\.|[{}]", re.S).finditer(text, at, at + limit):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0 and found[0] == "}":
            return found.end()
    return 0


def _definitions(text: str) -> tuple[dict[str, str], str]:
    """Macros without arguments, and the text without their definitions."""
    macros, out, at = {}, [], 0
    for found in _MACRO.finditer(text):
        end = _braced(text, found.end(), SHORT) if found.start() >= at else 0
        if end:
            macros[found[1] or found[2] or found[3]] = text[found.end() + 1 : end - 1].replace("\\xspace", "")
            out.append(text[at : found.start()])
            at = end
    out.append(text[at:])
    return {name: value for name, value in macros.items() if "#" not in value}, "".join(out)


def _resolved(macros: dict[str, str]) -> dict[str, str]:
    """Macros with those in them put in, as far as they stay short."""
    for _ in range(3):
        made = {name: _expanded(value, macros, SHORT) for name, value in macros.items()}
        macros = {name: made[name] if len(made[name]) <= SHORT else macros[name] for name in macros}
    return macros


def _expanded(text: str, macros: dict[str, str], room: int = LARGEST) -> str:
    """A text with its macros put in, until it has grown by `room`."""

    def one(found: re.Match[str]) -> str:
        nonlocal room
        value = macros.get(found[1])
        if value is None or room < len(value):
            return found[0]
        room -= len(value)
        return value + ((found[2] or "") if re.search(r"\\[A-Za-z]+\Z", value[-40:]) else "")

    return _NAME.sub(one, text) if macros else text


def _title(text: str) -> tuple[str, str]:
    """What \\title says, without thanks, and the text without it."""
    found = re.search(r"\\title\s*(?:\[[^\[\]]*\]\s*)?(?=\{)", text)
    end = _braced(text, found.end(), 5000) if found else 0
    if not found or not end:
        return "", text
    title, rest = text[found.end() + 1 : end - 1], text[: found.start()] + text[end:]
    if thanks := re.search(r"\\(?:thanks|footnote)\s*(?=\{)", title):
        title = title[: thanks.start()] + title[_braced(title, thanks.end(), 5000) or len(title) :]
    return re.sub(r"\\\\(?:\[[^\[\]]*\])?", " ", title), rest


def _without_bibliography(text: str) -> str:
    out, at = [], 0
    while (begin := text.find(r"\begin{thebibliography}", at)) >= 0:
        out.append(text[at:begin])
        end = text.find(r"\end{thebibliography}", begin)
        at = end + len(r"\end{thebibliography}") if end >= 0 else len(text)
    return _LISTED.sub("", "".join([*out, text[at:]]))
