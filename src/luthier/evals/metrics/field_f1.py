"""F1 of the fields of a JSON object in the answer, as for extraction; broken JSON scores 0 and is counted.

The first JSON object in the answer counts, whatever stands around it (a sentence, a code fence). Each value is a field
named by the keys that lead to it. The order of a list makes no difference: its items are matched to the wanted ones as
well as they can be, each to one, so that values of different items are not mixed. Numbers are compared by value, texts
without regard to case, width and white space. An empty object, list or null is a field that says "nothing".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from luthier.core.errors import LuthierError
from luthier.data.answer_words import normal
from luthier.evals.written import TextMetric

DEEPEST = 100  # objects and lists within each other


class FieldF1(TextMetric):
    """0 to 1 a row; `broken_json` beside it is the share of answers without a whole JSON object."""

    name = "field_f1"
    title = "Field F1, %"
    meaning = (
        "Field F1 weighs the JSON fields of the answer against the wanted ones; an answer that is no JSON scores 0."
    )

    def per_row(self, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        return [_f1(object_in(a), w) for a, w in zip(answers, _objects(wanted), strict=True)]

    def secondary(self, answers: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
        found = [object_in(a) for a in answers]
        whole = [_f1(given, w) == 1 for given, w in zip(found, _objects(wanted), strict=True)]
        return {
            "broken_json": sum(given is None for given in found) / len(found),
            "all_fields_right": sum(whole) / len(whole),
        }


def _objects(wanted: Sequence[str]) -> list[dict[str, Any]]:
    """The wanted objects. Raises LuthierError for a row that has none."""
    out = []
    for row, text in enumerate(wanted):
        if (found := object_in(text)) is None:
            raise LuthierError(
                f"field_f1: the wanted answer of row {row} (counted from 0) holds no JSON object: {text[:80]!r}"
            )
        out.append(found)
    return out


def _f1(given: dict[str, Any] | None, wanted: dict[str, Any]) -> float:
    if given is None:
        return 0.0
    total = _count(given) + _count(wanted)
    return 2 * _shared(given, wanted) / total if total else 1.0


def object_in(text: str) -> dict[str, Any] | None:
    """The first JSON object of a text, its values as they are compared; None where there is no whole one."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            value, _ = decoder.raw_decode(text, at)
            return {_same(key): _compared(inner) for key, inner in value.items()}
        except json.JSONDecodeError as error:  # go on behind what was read: an inner object is not the whole one
            at = text.find("{", max(error.pos, at + 1))
        except (ValueError, RecursionError):  # a number of thousands of digits, objects within objects without end
            return None
    return None


def _compared(value: Any, depth: int = 0) -> Any:
    """Objects and lists with what they hold, if they hold anything; every other value as a text with its kind."""
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(value, dict) and value:
        return {_same(key): _compared(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list) and value:
        return [_compared(inner, depth + 1) for inner in value]
    return _plain(value)


def _count(value: Any) -> int:
    """How many values there are."""
    if isinstance(value, dict | list):
        return sum(map(_count, value.values() if isinstance(value, dict) else value))
    return 1


def _shared(one: Any, two: Any) -> int:
    """How many values are the same in the same place."""
    if isinstance(one, dict) and isinstance(two, dict):
        return sum(_shared(one[key], two[key]) for key in one.keys() & two.keys())
    if not (isinstance(one, list) and isinstance(two, list)):
        return int(not isinstance(one, dict | list) and one == two)
    plain = [Counter(v for v in items if isinstance(v, str)) for items in (one, two)]
    nested = [[v for v in items if not isinstance(v, str)] for items in (one, two)]
    return (plain[0] & plain[1]).total() + (_matched(*nested) if all(nested) else 0)


def _matched(one: list[Any], two: list[Any]) -> int:
    """The most that items can share when each is matched to one at most."""
    from scipy.optimize import linear_sum_assignment

    shared = [[_shared(a, b) for b in two] for a in one]
    rows, columns = linear_sum_assignment(shared, maximize=True)
    return sum(shared[r][c] for r, c in zip(rows, columns, strict=True))


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
    return " ".join(normal(text).split())


METRIC = FieldF1()
