"""Bytes of a text file as text: which encoding they are in, by evidence that can be said.

A mark at the beginning decides; then strict UTF-8; then how much of what an encoding makes of the bytes are letters
that its languages use often. UTF-8 with broken bytes in it stays UTF-8. What is not clear is refused in one sentence.
"""

from __future__ import annotations

import codecs
import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.data.letters import ENCODINGS, Encoding

UTF8 = "UTF-8"
_MARKS = {
    codecs.BOM_UTF8: ("utf-8", UTF8),
    codecs.BOM_UTF32_LE: ("utf-32-le", "UTF-32"),  # before UTF-16's mark, which it begins with
    codecs.BOM_UTF32_BE: ("utf-32-be", "UTF-32"),
    codecs.BOM_UTF16_LE: ("utf-16-le", "UTF-16"),
    codecs.BOM_UTF16_BE: ("utf-16-be", "UTF-16"),
}
_SAMPLE = 60_000  # bytes that are looked at to tell encodings apart
_CLEAR = 0.6  # least score of an encoding that is taken without being named
_LEAD = 0.12  # and its least lead over what makes another text of the bytes
_FEW = 2  # so many bytes that are not UTF-8 are broken ones, whatever else the file holds
_SURE = 8  # so many whole UTF-8 sequences without a broken one are no accident
_BROKEN = re.compile("[\udc80-\udcff]")
_INSIDE = re.compile(r"[^\W\d_][^\w\s\x00-\x7f’–—][^\W\d_]")


class UnclearError(LuthierError):
    """Bytes in an encoding that cannot be told; fits: Python's names of those that they may be in."""

    def __init__(self, message: str, fits: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fits = fits


@dataclass(frozen=True)
class Decoded:
    """A text, the name of its encoding, a note where it is not plain UTF-8, and whether likelihood decided.

    Bytes that the encoding has no character for are lone surrogates, as `surrogateescape` makes them.
    """

    text: str
    name: str = UTF8
    note: str = ""
    guessed: bool = False


def decode(data: bytes, named: str = "") -> Decoded:
    """The text of a file's bytes. named: the encoding that the user gives, "" for the one that fits.

    Raises LuthierError, without the file's name: for an unknown encoding, for bytes that are not what they say to be,
    and UnclearError for those that fit none or several.
    """
    if named:
        return _as_named(data, named)
    for mark, (codec, name) in _MARKS.items():
        if data.startswith(mark):
            note = "" if name == UTF8 else say("said_file_marked", encoding=name)
            return Decoded(_strictly(data[len(mark) :], codec, name), name, note)
    if (codec := _without_mark(data)) and (wide := _try(data, codec)) is not None:
        return Decoded(wide, "UTF-16", say("said_file_zeros", encoding="UTF-16"))
    text = data.decode("utf-8", "surrogateescape")
    if _is_utf8(text):
        return Decoded(text)
    return _likeliest(data)


def document(data: bytes) -> tuple[str, list[str]]:
    """A whole document's text and what is to be said of it; bytes that cannot be decoded become U+FFFD.

    Raises LuthierError, without the file's name, for bytes that are no text.
    """
    if b"\0" in data and not any(map(data.startswith, _MARKS)) and not _without_mark(data):
        first = _first_broken(data)
        raise LuthierError(f"not text: it holds a zero byte (byte {data.index(0) if first is None else first})")
    try:
        found = decode(data)
    except UnclearError as error:
        raise LuthierError(f"{error}: save it as UTF-8") from None
    notes: list[str] = [say("said_docs_guessed", encoding=found.name)] if found.guessed else []
    text, broken = _BROKEN.subn("\ufffd", found.text)
    if broken == 1:
        notes.append(say("said_docs_byte", encoding=found.name))
    elif broken:
        notes.append(say("said_docs_bytes", count=broken, encoding=found.name))
    return text, notes


def inherited(data: bytes, named: str) -> str:
    """The encoding of one file for another of the same user: "" where that one is UTF-8 or says itself what it is."""
    plain = _first_broken(data) is None and b"\0" not in data
    return "" if plain or any(map(data.startswith, _MARKS)) else named


def _as_named(data: bytes, named: str) -> Decoded:
    codec = lookup(named)
    for mark, (own, name) in _MARKS.items():
        if data.startswith(mark):
            same = codecs.lookup(own).name.startswith(codec)
            note = "" if same else say("said_file_marked_other", encoding=name, named=named)
            return Decoded(_strictly(data[len(mark) :], own, name), name, note)
    whole = _try(data, "utf-8")
    if codec != "utf-8" and whole is not None and "\0" not in whole and _wide("".join(set(whole))) >= _SURE:
        return Decoded(whole, UTF8, say("said_file_is_utf8", encoding=UTF8, named=named))
    try:
        likely = _likelier(data, codec)
        note = say("said_file_doubt", encoding=named, likely=likely) if likely else ""
        return Decoded(data.decode(codec, "surrogateescape"), named, note)
    except UnicodeDecodeError as error:
        raise LuthierError(f"not {named}: byte {error.start} cannot be read; name another encoding") from None


def _likelier(data: bytes, codec: str) -> str:
    """The encoding whose bytes these clearly look like, where another one was named. "" for none."""
    try:
        likely = _likeliest(data) if _first_broken(data) is not None else None
    except UnclearError:
        return ""
    if likely is None or likely.text == data.decode(codec, "surrogateescape"):
        return ""
    return likely.name


def lookup(named: str) -> str:
    """Python's name of an encoding. Raises LuthierError for one that there is not, with the nearest."""
    from encodings.aliases import aliases

    known = {each.name: each.codec for each in ENCODINGS}
    wanted = next((codec for name, codec in known.items() if name.casefold() == named.casefold()), named)
    try:
        found = codecs.lookup(wanted)
        if found._is_text_encoding and not found.name.startswith(("idna", "punycode", "unicode", "raw", "undefined")):
            return found.name
    except (LookupError, ValueError):  # ValueError: a zero byte in the name
        pass
    names = ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "gbk", "big5", "latin-1", *(n.lower() for n in known)]
    near = difflib.get_close_matches(named.casefold(), [*names, *aliases], 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else "such as gb18030, big5, utf-16, cp1252"
    raise LuthierError(f"--encoding {named}: there is no such encoding; {hint}")


def _strictly(data: bytes, codec: str, name: str) -> str:
    try:
        return data.decode(codec, "surrogateescape" if name == UTF8 else "strict")
    except UnicodeDecodeError as error:
        raise LuthierError(f"not {name.lower()} text, as its first bytes say (byte {error.start})") from None


def _try(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return None


def _without_mark(data: bytes) -> str:
    """UTF-16 without a mark, by the ASCII in it: a tenth of its characters at least, which other bytes do not give."""
    if len(data) % 2 or 20 * data.count(0) < len(data):
        return ""
    found = {codec: _try(data, codec) for codec in ("utf-16-le", "utf-16-be")}
    ascii = {
        codec: 0 if not text or "\0" in text else len(re.findall("[\t -~]", text)) for codec, text in found.items()
    }
    best = max(ascii, key=lambda codec: ascii[codec])
    return best if 20 * ascii[best] >= len(data) else ""


def _wide(text: str) -> int:
    """Characters that UTF-8 writes as several bytes."""
    return sum(count for char, count in Counter(text).items() if char > "\x7f" and not _BROKEN.match(char))


def _is_utf8(text: str) -> bool:
    """Whether a text decoded with `surrogateescape` is UTF-8 with a few broken bytes, if any."""
    broken = len(_BROKEN.findall(text))
    if broken <= _FEW:
        return True
    whole = sum(_wide(line) for line in text.split("\n") if not _BROKEN.search(line))
    return _wide(text) >= broken or 20 * whole >= max(broken, 20 * _SURE)


def _likeliest(data: bytes) -> Decoded:
    sample = b"".join(_telling(data))
    ranked: list[tuple[float, str, Encoding]] = []
    for each in ENCODINGS:
        if each.old and b"\n" in data:
            continue
        text = sample.decode(each.codec, "surrogateescape")
        ranked.append((_score(text, each), text, each))
    ranked.sort(key=lambda found: -found[0])
    (best, text, found), *others = ranked
    lead = max(_LEAD, 1 / sum(char > "\x7f" for char in text))  # few characters prove little
    rivals = [other for score, made, other in others if made != text and score > best - lead]
    if best >= _CLEAR and not rivals:
        note = say("said_file_guessed", encoding=found.name)
        return Decoded(data.decode(found.codec, "surrogateescape"), found.name, note, guessed=True)
    first = _first_broken(data)
    fits = [found, *rivals][:3] if best >= _CLEAR else []
    alike = f"fits {' and '.join(each.name for each in fits)} alike" if fits else "fits no other encoding"
    raise UnclearError(f"not UTF-8 (byte {first}), and it {alike}", tuple(codecs.lookup(e.codec).name for e in fits))


def _first_broken(data: bytes) -> int | None:
    """The first byte that is not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _telling(data: bytes) -> Iterator[bytes]:
    """Lines that hold more than ASCII, as far as the sample goes."""
    room = _SAMPLE
    for line in re.split(b"(?<=[\r\n])", data):
        if room > 0 and not line.isascii():
            yield line[:room]
            room -= len(line)


def _score(text: str, encoding: Encoding) -> float:
    """How likely the text is: 1 where every character beyond ASCII is a frequent one, below 0 where most are odd."""
    counts = Counter(char for char in text if char > "\x7f")
    odd = 0 if encoding.level else 2 * _switches(text) + len(_INSIDE.findall(text))
    odd += len(re.findall(encoding.odd, text)) if encoding.odd else 0
    total = sum(counts.values())
    best = max(sum(_weight(char, encoding, each) * n for char, n in counts.items()) for each in encoding.letters)
    return (best - odd) / total if total else 0.0


def _switches(text: str) -> int:
    """Capital letters behind small ones, where one of both is beyond ASCII."""
    pairs = Counter(pairwise(text))
    return sum(n for (a, b), n in pairs.items() if a.islower() and b.isupper() and max(a, b) > "\x7f")


def _weight(char: str, encoding: Encoding, letters: str) -> float:
    if char in letters:
        return 1.0
    if char in encoding.rarer:
        return 0.5
    if _BROKEN.match(char):
        return -2.0
    if encoding.level:
        return 0.4 if _common(char, encoding) else -0.5 if unicodedata.category(char)[0] in "CSZ" else 0.0
    return 0.0 if char.isalpha() else -0.5


@cache
def _common(char: str, encoding: Encoding) -> bool:
    data = char.encode(encoding.codec, "replace")  # some read characters that they cannot write
    return len(data) == 2 and data[0] in encoding.level and (encoding.codec != "gb18030" or data[1] > 0xA0)
