"""The card of a converted set, in English and Chinese: where from, its licence, what was dropped and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from luthier.core.phrases import Phrase, say, unpacked
from luthier.data.opensets.spec import OpenSet, Part

NAME = "CARD.md"
_TITLES = {"en": "English", "zh": "中文"}


def card(found: OpenSet, state: dict[str, Any]) -> str:
    """As Markdown. state: what stands in `get.json`."""
    lines = [f"# {found.name}", ""]
    for language, title in _TITLES.items():
        lines += [f"## {title}", "", *_told(found, state, language)]
    return "\n".join(lines).rstrip() + "\n"


def _told(found: OpenSet, state: dict[str, Any], language: str) -> Iterator[str]:
    parts = [part for part in found.parts if part.name in state["parts"]]
    yield from (found.about.text(language), "")
    if found.care:
        yield from (found.care.text(language), "")
    spoken = dict.fromkeys(code for part in parts for code in part.languages)
    yield "| | |\n|---|---|"
    yield _row(say("set_card_from").text(language), ", ".join(dict.fromkeys(part.place.page for part in parts)))
    yield _row(say("set_card_licence").text(language), found.licence)
    yield _row(say("set_card_languages").text(language), ", ".join(spoken))
    yield from ("", f"### {say('set_card_files').text(language)}", "")
    yield from _table("set_card_file", "set_card_rows", "set_card_holds", language=language)
    for part in parts:
        for file, count in state["parts"][part.name]["files"].items():
            yield _row(file, count, part.files[file].text(language))
    yield from ("", f"### {say('set_card_done').text(language)}", "")
    for part in parts:
        yield from _part(part, state["parts"][part.name], language)
    yield from (say("set_card_made", name=found.name).text(language), "")


def _part(part: Part, done: dict[str, Any], language: str) -> Iterator[str]:
    """What became of the rows of a part."""
    dropped = done["rows"] - done["kept"]
    source = done["from"]
    told = [say("set_card_read", part=part.name, rows=done["rows"], kept=done["kept"], dropped=dropped, source=source)]
    told += [part.changed] if part.changed else []
    told += [say("set_card_limit", limit=done["limit"])] if done["limit"] else []
    told += [say("set_card_spoken", languages=", ".join(done["languages"]))] if done["languages"] else []
    yield from (("" if language == "zh" else " ").join(phrase.text(language) for phrase in told), "")
    for key, title in (("dropped", "set_card_dropped"), ("left", "set_card_left")):
        if done[key]:
            yield from _table(title, "set_card_rows", language=language)
            yield from (_row(_reason(why, language), count) for why, count in done[key])
            yield ""


def _reason(why: Any, language: str) -> str:
    """A reason in that language; one that a later version knows no more stays what it is."""
    try:
        found = unpacked(why)
    except KeyError:
        return str(why)
    return found.text(language) if isinstance(found, Phrase) else str(found)


def _table(*titles: str, language: str) -> Iterator[str]:
    yield _row(*(Phrase(title).text(language) for title in titles))
    yield "|" + "---|" * len(titles)


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
