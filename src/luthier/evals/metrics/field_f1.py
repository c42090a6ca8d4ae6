"""F1 of the fields of a JSON object in the answer, as for extraction; broken JSON scores 0 and is counted.

The first JSON object in the answer counts, whatever stands around it (a sentence, a code fence). Each value is a field
named by its path; the items of a list share one name and their order makes no difference. Numbers are compared by
value, texts without regard to case, width and white space. An empty object, list or null is a field that says
"nothing".
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from luthier.errors import LuthierError
from luthier.evals.metric import TextMetric
from luthier.evals.metrics.token_f1 import bag_f1

Field = tuple[str, str]


class FieldF1(TextMetric):
    """0 to 1 a row; `broken_json` beside it is the share of answers without a whole JSON object."""

    name = "field_f1"
    title = "Field F1, %"
    meaning = (
        "Field F1 weighs the JSON fields of the answer against the wanted ones; an answer that is no JSON scores 0."
    )

    def per_row(self, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        out = []
        for row, (answer, want) in enumerate(zip(answers, wanted, strict=True)):
            given, right = fields_of(answer), fields_of(want)
            if right is None:
                raise LuthierError(
                    f"field_f1: the wanted answer of row {row} (counted from 0) holds no JSON object: {want[:80]!r}"
                )
            out.append(0.0 if given is None else bag_f1(given, right))
        return out

    def secondary(self, answers: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
        found = [fields_of(a) for a in answers]
        whole = [
            given is not None and sorted(given) == sorted(fields_of(w) or [])
            for given, w in zip(found, wanted, strict=True)
        ]
        return {
            "broken_json": sum(given is None for given in found) / len(found),
            "all_fields_right": sum(whole) / len(whole),
        }


def fields_of(text: str) -> list[Field] | None:
    """(path, value) of every value in the first JSON object of a text; None where there is no whole one."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            value, _ = decoder.raw_decode(text, at)
            return list(_flat("", value))
        except json.JSONDecodeError as error:  # go on behind what was read: an inner object is not the whole one
            at = text.find("{", max(error.pos, at + 1))
        except (ValueError, RecursionError):  # a number of thousands of digits, objects within objects without end
            return None
    return None


def _flat(path: str, value: Any) -> Iterator[Field]:
    if isinstance(value, dict) and (value or not path):
        for key, inner in value.items():
            yield from _flat(f"{path}.{_same(key)}" if path else _same(key), inner)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _flat(f"{path}[]", inner)
    else:
        yield path, _plain(value)


def _plain(value: Any) -> str:
    if value is None or value == [] or value == {} or (isinstance(value, str) and not value.strip()):
        return "nothing"
    if isinstance(value, bool):
        return f"bool {value}"
    if isinstance(value, float):
        return f"number {int(value) if value.is_integer() else value}"
    if isinstance(value, int):
        return f"number {value}"
    return f"text {_same(value)}"


def _same(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


METRIC = FieldF1()
