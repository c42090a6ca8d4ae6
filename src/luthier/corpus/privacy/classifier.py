"""Names and addresses by any token classifier of transformers, from a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.corpus.privacy import Span, stretches

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
        tagger: Any = pipeline("token-classification", model=folder, tokenizer=folder, aggregation_strategy="first")
    except (OSError, ValueError, KeyError) as error:
        raise LuthierError(f"{folder}: no token classifier that transformers loads: {error}") from None

    def find(texts: Sequence[str]) -> Iterator[list[Span]]:
        for text in texts:
            parts = list(stretches(text))  # no model reads more than its context
            spans = []
            for (start, _), found in zip(parts, tagger([part for _, part in parts]) if parts else [], strict=True):
                named = ((one["start"], one["end"], KINDS.get(one["entity_group"].upper())) for one in found)
                spans += [Span(start + low, start + high, kind, 3) for low, high, kind in named if kind]
            yield spans

    return find
