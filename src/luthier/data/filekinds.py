"""Files that hold no rows of text, known by their first bytes: what they are, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

_TABLE = "open it and save the table as CSV UTF-8"
_PACKED = "unpack it and name a file in it"
_STARTS: Mapping[bytes, str] = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": f"an Excel workbook or Word document of the old kind: {_TABLE}",
    b"%PDF": f"a PDF: {_TABLE}, or give a folder of documents with --docs",
    b"PAR1": "a parquet file: name it .parquet",
    b"ARROW1": "an Arrow file: write it as .parquet, or name the folder it was saved in",
    b"SQLite format 3\0": "an SQLite database: export the table as CSV",
    **dict.fromkeys((b"BZh", b"\xfd7zXZ\0", b"(\xb5/\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"),
                    f"a compressed file: {_PACKED} (only .gz is read as it is)"),
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: git lfs pull",
}  # fmt: skip
_IN_ZIP: Mapping[bytes, str] = {
    b"xl/": f"an Excel workbook: {_TABLE}",
    b"word/": f"a Word document: {_TABLE}, or give a folder of documents with --docs",
    b"opendocument.spreadsheet": f"an OpenDocument table: {_TABLE}",
    b"opendocument": f"an OpenDocument file: {_TABLE}",
}
_PAGES: Mapping[bytes, str] = {
    **dict.fromkeys((b"<!doctype html", b"<html", b"<table"), f"a web page (HTML): {_TABLE}"),
    b"<?xml": f"XML: {_TABLE}",
}


def not_rows(data: bytes) -> str:
    """What the file is and what to do with it; "" where it may be text. data: all of it, or its first kilobytes."""
    if data.startswith(b"PK\x03\x04"):
        inside = (what for name, what in _IN_ZIP.items() if name in data)
        return next(inside, f"a zip archive: {_PACKED}")
    head = data[:200].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    starts = (what for start, what in _STARTS.items() if data.startswith(start))
    return next(starts, "") or next((what for start, what in _PAGES.items() if head.startswith(start)), "")
