"""Whatever the product says to people, as data: a text's key with its values, said in English and Chinese alike.

`texts.json` is the one catalogue. In a text, `{name}` is a place and a word between backticks is code. A `Phrase` is
its English text, so that it may stand wherever a sentence does (a note, the reason of a refusal, a line of a log), and
carries the key and the values besides, by which a page says it in another language. Files keep both: `remember` writes
the phrases of a record beside its sentences, `recall` reads them back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from html import escape as html_escape
from pathlib import Path
from typing import Any

CATALOGUE = Path(__file__).parent / "texts.json"
SAID = "said"  # the key of a record under which the phrases of its sentences stand


@cache
def table() -> dict[str, dict[str, str]]:
    """All texts: `en` and `zh` by key, `summaries` from a method's English summary to the Chinese one."""
    found: dict[str, dict[str, str]] = json.loads(CATALOGUE.read_text("utf-8"))
    return found


def plain(text: object) -> str:
    """`text` without a terminal's colour codes and control characters, which an error message may carry."""
    return re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", str(text))


def escape(value: object) -> str:
    """`value` as HTML text or a quoted attribute; control characters (a terminal's colours, say) are dropped."""
    return html_escape(plain(value), quote=True)


class Phrase(str):
    """A text by its key; `values` fill its places and may be phrases themselves. KeyError for an unknown key.

    As a string it is the English text.
    """

    key: str
    values: Mapping[str, object]
    __slots__ = ("key", "values")

    def __new__(cls, key: str, values: Mapping[str, object] | None = None) -> Phrase:
        made = super().__new__(cls, "".join(_parts(key, values or {}, "en")))
        made.key, made.values = key, dict(values or {})
        return made

    def __getnewargs__(self) -> tuple[str, Mapping[str, object]]:  # type: ignore[override]
        return self.key, self.values

    def text(self, language: str = "en") -> str:
        """The text in that language, without marks."""
        return "".join(_parts(self.key, self.values, language))

    def packed(self) -> dict[str, Any]:
        """Key and values as JSON: what the page's script and files hold."""
        return {"t": self.key, "v": {name: packed(value) for name, value in self.values.items()}}

    def _carried(self) -> str:
        return escape(json.dumps(self.packed(), ensure_ascii=False) if self.values else self.key)

    def html(self, tag: str = "span", more: str = "") -> str:
        """An element with the English text, which the page's script can say in another language."""
        parts = [
            f"<code>{escape(part)}</code>" if at % 2 else escape(part)
            for at, part in enumerate(_parts(self.key, self.values, "en"))
        ]
        return f'<{tag}{more} data-say="{self._carried()}">{"".join(parts)}</{tag}>'

    def attribute(self, name: str = "aria-label") -> str:
        """The text as an attribute of an element, such as its label for a screen reader."""
        return f'{name}="{escape(self.text())}" data-say-{name}="{self._carried()}"'


def _parts(key: str, values: Mapping[str, object], language: str) -> list[str]:
    """Plain and code parts in turn. Values are put in last: a backtick in one of them is a backtick."""

    def value(match: re.Match[str]) -> str:
        return _value(values[match[1]], language)

    return [re.sub(r"\{(\w+)\}", value, part) for part in table()[language][key].split("`")]


def _value(value: object, language: str) -> str:
    if isinstance(value, list | tuple):
        return table()[language]["comma"].join(_value(part, language) for part in value)
    return value.text(language) if isinstance(value, Phrase) else plain(value)


def say(key: str, **values: object) -> Phrase:
    """A phrase by its key."""
    return Phrase(key, values)


def both(en: object, zh: object) -> Phrase:
    """A text of its own in both languages, for what only one page says."""
    return Phrase("both", {"en": en, "zh": zh})


def html(text: object) -> str:
    """A phrase as HTML, anything else as escaped text."""
    return text.html() if isinstance(text, Phrase) else escape(text)


def packed(value: object) -> Any:
    """A value as data: a text is itself, a phrase an object with its key, several are a list."""
    if isinstance(value, list | tuple):
        return [packed(part) for part in value]
    return value.packed() if isinstance(value, Phrase) else plain(value)


def unpacked(value: Any) -> Any:
    """The inverse of `packed`. KeyError for a phrase of another version."""
    if isinstance(value, list):
        return [unpacked(part) for part in value]
    if isinstance(value, dict):
        return Phrase(value["t"], {name: unpacked(part) for name, part in value["v"].items()})
    return value


def remember(record: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The record with what `recall` needs to give the phrases under these keys (a sentence or a list of them) back."""
    told = {key: packed(record[key]) for key in keys if key in record and _has_phrase(record[key])}
    return {**record, **({SAID: told} if told else {})}


def recall(record: Mapping[str, Any], key: str) -> Any:
    """What stands under the key of a record that was read from a file, its sentences as phrases where they were.

    Sentences of other versions stay what they are: text.
    """
    try:
        return unpacked(record[SAID][key])
    except (KeyError, TypeError, AttributeError):
        return record[key]


def _has_phrase(value: object) -> bool:
    return isinstance(value, Phrase) or (isinstance(value, list | tuple) and any(map(_has_phrase, value)))


def of_error(error: BaseException) -> str:
    """What an error says: its phrase, where it was raised with one."""
    said = error.args[0] if len(error.args) == 1 else None
    return said if isinstance(said, Phrase) else str(error)
