"""A page of text, tables and bars that opens offline and needs no chart library (those are `page_frame`'s).

What it says in phrases it says in the reader's language, by the script of the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from luthier.core import phrases
from luthier.core.phrases import Phrase
from luthier.data.source import visible
from luthier.io.files import write_text
from luthier.reports.page_frame import as_json, languages, policy, read
from luthier.reports.page_frame import script as cleaned

STYLE = Path(__file__).parent / "assets" / "inspect.css"
BEGIN = 'document.documentElement.classList.add("js");\nwords.start();'
DRAWN = 'document.documentElement.classList.add("drawn");'
KEYS = ("both", "comma", "language")  # of the report's texts, those that a plain page says itself


def text(value: object) -> str:
    """Anything as text of a page; a phrase in the reader's language."""
    return value.html() if isinstance(value, Phrase) else escape(visible(str(value)))


def both(en: str, zh: str) -> Phrase:
    """A text of the page in both languages, with what would act on a terminal or a file written out."""
    return phrases.both(visible(en), visible(zh))


def write(
    path: Path, title: object, heading: object, body: str, more_styles: Sequence[Path] = (), script: str = "",
    wide: bool = False,
) -> None:  # fmt: skip
    """Write a page, whole or not at all. body: markup; no network and no other script is allowed."""
    style = "".join([*(p.read_text(encoding="utf-8") for p in (STYLE, *more_styles)), read("languages.css")])
    texts = {
        lang: {key: phrases.table()[lang][key] for key in KEYS} | {"page_title": "{title}"} for lang in ("en", "zh")
    }
    data = as_json({"words": texts, "title": title})
    script = cleaned("\n".join([read("words.js"), BEGIN, script, DRAWN]))
    write_text(
        path,
        f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="Luthier">
<meta http-equiv="Content-Security-Policy" content="{policy(script)}">
<title>{text(str(title))}</title>
<style>
{style}</style>
<header><div class="top"><p class="brand">Luthier</p>{languages()}</div><h1>{text(heading)}</h1></header>
<main{' class="wide"' if wide else ""}>
{body}
</main>
<script type="application/json" id="report-data">{data}</script>
<script>{script}</script>
</html>
""",
    )
