"""The licence of a file: its own SPDX line, else the licence texts of the nearest folder above it.

    # SPDX-License-Identifier: MIT OR Apache-2.0     LICENSE, COPYING, … by phrases that only one licence has

Names are SPDX's. A GNU licence text does not say whether later versions may be chosen, so it is GPL-3.0; a wish for
GPL-3.0 takes GPL-3.0-only and GPL-3.0-or-later, too. Several texts side by side have to be allowed all: which of them
may be chosen is not written there. What is not recognised is "unknown".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath

from luthier.corpus.collecting.programming import language_of
from luthier.corpus.reading.code import licence

UNKNOWN = "unknown"
PERMISSIVE = ("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Unlicense", "CC0-1.0")  # where none is named
FILES = re.compile(r"(licen[cs]es?|copying|unlicen[cs]e)([.-][a-z0-9.+-]+)?", re.IGNORECASE)
SUFFIX = re.compile(r"(-only|-or-later|\+)$")

# all phrases of a row are in the text, in small letters, with single spaces and no commas
PHRASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("AGPL-3.0", ("gnu affero general public license version 3",)),
    ("LGPL-3.0", ("gnu lesser general public license version 3",)),
    ("LGPL-2.1", ("gnu lesser general public license version 2.1",)),
    ("LGPL-2.0", ("gnu library general public license version 2",)),
    ("GPL-3.0", ("gnu general public license version 3",)),
    ("GPL-2.0", ("gnu general public license version 2",)),
    ("MPL-2.0", ("mozilla public license version 2.0",)),
    ("Apache-2.0", ("apache license version 2.0",)),
    ("CC0-1.0", ("cc0 1.0 universal",)),
    ("Unlicense", ("this is free and unencumbered software released into the public domain",)),
    ("BSD-3-Clause", ("redistribution and use in source and binary forms", "neither the name", '"as is"')),
    ("BSD-2-Clause", ("redistribution and use in source and binary forms", "reproduce the above copyright", '"as is"')),
    ("ISC", ("distribute this software for any purpose with or without fee is hereby granted provided that",
             "this permission notice appear in all copies")),
    ("MIT", ("permission is hereby granted free of charge to any person obtaining a copy",
             "copyright notice and this permission notice", 'the software is provided "as is"')),
)  # fmt: skip
NAMES: Mapping[str, frozenset[str]] = {  # licences that a text names without being them
    "MPL-2.0": frozenset({"GPL-2.0", "LGPL-2.1", "AGPL-3.0"}), "LGPL-2.1": frozenset({"GPL-2.0"}),
    "LGPL-2.0": frozenset({"GPL-2.0"}), "BSD-3-Clause": frozenset({"BSD-2-Clause"}),
}  # fmt: skip
FURTHER = ("all advertising materials mentioning", "commons clause", "shall be used for good not evil")  # terms


def recognised(text: str) -> str:
    """The licence that a text is, or those that it holds, joined by AND."""
    plain = re.sub(r"[\s,*#>]+", " ", re.sub("[“”]|``|''", '"', text)).lower()
    if any(phrase in plain for phrase in FURTHER):
        return UNKNOWN
    found = {name for name, phrases in PHRASES if all(phrase in plain for phrase in phrases)}
    found -= {other for name in found for other in NAMES.get(name, ())}
    return " AND ".join(sorted(found)) or UNKNOWN


def is_text_of_one(path: str) -> bool:
    """Whether a file is called as licence texts are: LICENSE, COPYING.LESSER, LICENSE-MIT, but not license.py."""
    name = PurePosixPath(path).name
    return bool(FILES.fullmatch(name)) and language_of(name) in ("", "Markdown", "reStructuredText")


def by_folder(texts: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Folder -> its licence, of paths with their texts."""
    found: dict[str, set[str]] = {}
    for path, text in texts:
        found.setdefault(str(PurePosixPath(path).parent), set()).update(recognised(text).split(" AND "))
    return {folder: " AND ".join(sorted(names)) for folder, names in found.items()}


def licence_of(path: str, text: str, folders: Mapping[str, str]) -> str:
    """Of a file."""
    if said := licence(text):
        return said
    return next((folders[str(folder)] for folder in PurePosixPath(path).parents if str(folder) in folders), UNKNOWN)


def allowed(expression: str, names: Collection[str]) -> bool:
    """Whether a licence is among those named: one side of OR is enough, of AND all are needed; of nested ones all."""
    plain = re.sub(r"\s+WITH\s+[^\s()]+", "", expression)  # an exception allows more, never less
    parts = [part.strip() for part in re.split(r"\bAND\b|\bOR\b|[()]", plain) if part.strip()]
    wanted = {name.lower() for name in names}
    fits = [part.lower() in wanted or SUFFIX.sub("", part.lower()) in wanted for part in parts]
    either = " OR " in plain and " AND " not in plain
    return bool(fits) and (any(fits) if either else all(fits))
