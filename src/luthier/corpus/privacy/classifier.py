"""Names and addresses by any token classifier of transformers, from a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.corpus.privacy import Span

KINDS = {
    "PERSON": "PERSON", "PER": "PERSON", "NAME": "PERSON", "GIVEN_NAME": "PERSON", "GIVENNAME": "PERSON",
    "SURNAME": "PERSON", "FIRSTNAME": "PERSON", "LASTNAME": "PERSON",
    "ADDRESS": "ADDRESS", "STREET": "ADDRESS", "STREET_ADDRESS": "ADDRESS", "STREET_NAME": "ADDRESS",
}  # fmt: skip
Finder = Callable[[Sequence[str]], Iterator[list[Span]]]


@cache
def classifier(folder: str) -> Finder:
    """What finds spans by the model of a folder. Raises LuthierError where it is no token classifier."""
    if not Path(folder).is_dir():
        raise LuthierError(f"{folder}: no such folder: a token classifier of transformers")
    from transformers import pipeline

    try:
        tagger: Any = pipeline("token-classification", model=folder, tokenizer=folder, aggregation_strategy="simple")
    except (OSError, ValueError, KeyError) as error:
        raise LuthierError(f"{folder}: no token classifier that transformers loads: {error}") from None

    def find(texts: Sequence[str]) -> Iterator[list[Span]]:
        for found in tagger(list(texts)) if texts else []:
            spans = [(one["start"], one["end"], KINDS.get(one["entity_group"].upper())) for one in found]
            yield [Span(start, end, kind, 3) for start, end, kind in spans if kind]

    return find
