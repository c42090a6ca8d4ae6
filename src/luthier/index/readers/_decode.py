"""Bytes as text, whatever the encoding."""

from __future__ import annotations

import codecs

from luthier.errors import LuthierError

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's mark, which it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decode(raw: bytes) -> tuple[str, list[str]]:
    """The text and what had to be guessed: UTF-8 unless the bytes are none; then GB18030, Big5 and others are told
    apart by what is likely. Raises LuthierError for bytes that are no text."""
    for mark, encoding in MARKS.items():
        if raw.startswith(mark):
            try:
                return raw.decode(encoding), []
            except UnicodeDecodeError as error:
                raise LuthierError(f"not {encoding} text, as its first bytes say (byte {error.start})") from None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return _guessed(raw, error.start)
    if "\0" in text:
        raise LuthierError(f"not text: it holds a zero byte (byte {raw.index(0)})")
    return text, []


def _guessed(raw: bytes, wrong: int) -> tuple[str, list[str]]:
    from charset_normalizer import from_bytes

    best = None if b"\0" in raw else from_bytes(raw).best()
    if best is None:
        raise LuthierError(f"not UTF-8 text (byte {wrong}), and no other encoding fits: save it as UTF-8")
    return str(best), [f"not UTF-8 (byte {wrong}): read as {best.encoding}; save it as UTF-8 if it looks wrong"]
