"""The report's fixed texts in every language of the page, from one data file: `page/words.json`.

A `Phrase` names a text and what stands in its places. The page is written with the English text and carries the
phrase beside it, so that the page's script can put the same thing in another language. In a text, `{name}` is a place
and a word between backticks is code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from html import escape as html_escape
from pathlib import Path
from typing import Any

from luthier.compare import units

PAGE = Path(__file__).parent / "page"
SAID = "said_"  # texts of this beginning are sentences that the leaderboard says in English


@cache
def table() -> dict[str, dict[str, str]]:
    """All texts: `en` and `zh` by key, `summaries` from a method's English summary to the Chinese one."""
    found: dict[str, dict[str, str]] = json.loads((PAGE / "words.json").read_text("utf-8"))
    return found


def escape(value: object) -> str:
    """`value` as HTML text or a quoted attribute; control characters (a terminal's colours, say) are dropped."""
    return html_escape(units.plain(value), quote=True)


@dataclass(frozen=True)
class Phrase:
    """A text by its key; `values` fill its places and may be phrases themselves. KeyError for an unknown key."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict)

    def _parts(self, language: str) -> list[str]:
        """Plain and code parts in turn. Values are put in last: a backtick in one of them is a backtick."""

        def value(match: re.Match[str]) -> str:
            return _value(self.values[match[1]], language)

        return [re.sub(r"\{(\w+)\}", value, part) for part in table()[language][self.key].split("`")]

    def text(self, language: str = "en") -> str:
        """The text in that language, without marks."""
        return "".join(self._parts(language))

    def __str__(self) -> str:
        return self.text()

    def packed(self) -> Any:
        """What the page's script reads."""
        return {"t": self.key, "v": {name: packed(value) for name, value in self.values.items()}}

    def _carried(self) -> str:
        return escape(json.dumps(self.packed(), ensure_ascii=False) if self.values else self.key)

    def html(self, tag: str = "span", more: str = "") -> str:
        """An element with the English text, which the page's script can say in another language."""
        parts = [
            f"<code>{escape(part)}</code>" if at % 2 else escape(part) for at, part in enumerate(self._parts("en"))
        ]
        return f'<{tag}{more} data-say="{self._carried()}">{"".join(parts)}</{tag}>'

    def attribute(self, name: str = "aria-label") -> str:
        """The text as an attribute of an element, such as its label for a screen reader."""
        return f'{name}="{escape(self.text())}" data-say-{name}="{self._carried()}"'


def _value(value: object, language: str) -> str:
    if isinstance(value, list | tuple):
        return table()[language]["comma"].join(_value(part, language) for part in value)
    return value.text(language) if isinstance(value, Phrase) else units.plain(value)


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
    """A value as the script's data: a text is itself, a phrase an object with its key, several are a list."""
    if isinstance(value, list | tuple):
        return [packed(part) for part in value]
    return value.packed() if isinstance(value, Phrase) else units.plain(value)


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    found = []
    for key, template in table()["en"].items():
        if key.startswith(SAID):
            whole = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(template.replace("`", "")))
            found.append((key, re.compile(whole)))
    # The longest first: a sentence with an addition also matches the one without, its last place taking the rest.
    return tuple(sorted(found, key=lambda pair: -len(pair[1].pattern)))


def recognise(sentence: str) -> Phrase | None:
    """The phrase that an English sentence of the leaderboard is, or None where the dictionary has no such sentence."""
    for key, pattern in _patterns():
        if match := pattern.fullmatch(units.plain(sentence).strip()):
            values: dict[str, object] = {name: recognise(value) or value for name, value in match.groupdict().items()}
            name = f"name_{values.get('metric')}"
            return Phrase(key, {**values, "metric": say(name)} if name in table()["en"] else values)
    return None


def metric(name: str) -> object:
    """A metric's name with its unit, as on an axis."""
    from luthier.evals.metric import title

    return say(f"metric_{name}") if f"metric_{name}" in table()["en"] else title(name)
