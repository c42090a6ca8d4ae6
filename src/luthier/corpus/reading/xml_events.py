"""XML as a stream of elements in bounded memory: no entities of its own, nothing from outside, not deep.

A helper of the readers of dumps and books; it reads no files of its own.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import IO, NamedTuple
from xml.parsers import expat

from luthier.core.errors import LuthierError
from luthier.corpus.reading import LARGEST, TooLargeError
from luthier.corpus.reading.packed import FAULTS, reading

DEEPEST = 100
STEP = 1 << 16  # bytes
_LONG = re.compile(r"&#x?[0-9a-fA-F]{9,};?")


class BrokenError(LuthierError):
    """No XML, or XML that breaks off."""


class UnsafeError(LuthierError):
    """XML that declares entities, which grow without bound, or nests without end."""


class Event(NamedTuple):
    """The beginning of an element or its end. text: of an end, what stands in an element without elements."""

    opens: bool
    name: str  # without a prefix
    attributes: dict[str, str]  # of a beginning
    text: str = ""


def events(file: IO[bytes]) -> Iterator[Event]:
    """The elements of a file, in their order. What comes before a fault is given, then the fault is raised."""
    found: list[Event] = []
    parser = _parser(found)
    some = reading(file)
    fed, step = 0, STEP
    while True:
        try:
            data = some(step)
        except FAULTS as error:
            raise BrokenError(str(error) or "it breaks off") from None
        fed += len(data)
        fault = None
        try:
            parser.Parse(data, not data)
        except (expat.ExpatError, ValueError) as error:  # ValueError: an encoding that expat does not know
            fault = BrokenError(f"no well-formed XML: {error}")
        yield from found
        found.clear()
        if fault is not None:
            raise fault
        if not data:
            return
        waiting = fed - max(parser.CurrentByteIndex, 0)
        if waiting > LARGEST:
            raise TooLargeError(f"a tag of more than {LARGEST >> 20} MB")
        step = max(STEP, waiting)  # a tag that is not whole is looked at again from its beginning


def _parser(found: list[Event]) -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    texts: list[list[str] | None] = []  # of the open elements; None: it holds elements, so its text is only white space
    size = 0

    def opened(name: str, attributes: dict[str, str]) -> None:
        nonlocal size
        if len(texts) >= DEEPEST:
            raise UnsafeError(f"elements stand more than {DEEPEST} deep in each other")
        if texts:
            texts[-1] = None
        texts.append([])
        size = 0
        found.append(Event(True, name.rpartition(":")[2], attributes))

    def closed(name: str) -> None:
        found.append(Event(False, name.rpartition(":")[2], {}, "".join(texts.pop() or ())))

    def said(text: str) -> None:
        nonlocal size
        own = texts[-1]
        if own is not None:
            size += len(text)
            if size > LARGEST:
                raise TooLargeError(f"an element of more than {LARGEST >> 20} MB")
            own.append(text)

    def declared(*parts: object) -> None:
        if parts[-1]:
            raise UnsafeError("it declares entities of its own, which can grow without bound: expand them first")

    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = said, declared
    return parser


def unescaped(text: str) -> str:
    """Text with the characters that its references such as &nbsp; name."""
    return html.unescape(_LONG.sub("\ufffd", text)) if "&" in text else text  # int() refuses thousands of digits
