"""What every page with charts is made of: its frame, colours, scripts that its policy allows, data, never markup."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from luthier.core.phrases import Phrase, say

ASSETS = Path(__file__).parent / "assets"

# One source for the style sheet and the charts: a chart drawn by a script does not follow the style sheet by itself.
PALETTE: dict[str, dict[str, str]] = {
    "light": {
        "paper": "#faf9f6", "card": "#ffffff", "ink": "#1c1f23", "soft": "#5b6069", "line": "#e3e0d9",
        "grid": "#eceae4", "band": "#f1efe9", "accent": "#0d6a5c", "wash": "#e8f2ef", "point": "#8a8f98",
        "warn": "#8a5300", "warnwash": "#fdf3df", "bad": "#a3312a",
    },
    "dark": {
        "paper": "#15171a", "card": "#1c1f23", "ink": "#e8e6e1", "soft": "#a2a6ad", "line": "#31353b",
        "grid": "#2a2e33", "band": "#23272c", "accent": "#63c7b2", "wash": "#1b2b29", "point": "#858b94",
        "warn": "#e9b860", "warnwash": "#2c2619", "bad": "#f08a80",
    },
}  # fmt: skip

SCRIPTS = ("words.js", "page.js", "evidence.js")  # one after the other in one element


def framed(main: str, parts: Mapping[str, str], data: Mapping[str, object]) -> str:
    """The page around `main`. parts, as markup: title_text, heading, brand, facts, quick; style; skip, a link to the

    element `start`. data: what the scripts draw.
    """
    from plotly.offline import get_plotlyjs  # half a second: only where a page is written

    library, own = script(get_plotlyjs()), script("\n".join(map(read, SCRIPTS)))
    fields = {
        **parts,
        "style": read("languages.css") + parts["style"],
        "main": main,
        "policy": policy(library, own),
        "languages": languages(),
        "footer": say("footer").html(),
        "data": as_json({**data, "palette": PALETTE}),
        "plotly": library,
        "script": own,
    }
    return Template(read("frame.html")).substitute(fields)


def languages() -> str:
    """The buttons that choose a language."""
    buttons = "".join(
        f'<button type="button" class="button" lang="{lang}" data-language="{lang}" aria-pressed="{pressed}">{name}'
        "</button>"
        for lang, name, pressed in (("en", "English", "true"), ("zh", "中文", "false"))
    )
    return f'<div class="languages" role="group" {say("language").attribute()}>{buttons}</div>'


def read(name: str) -> str:
    """A file of the page."""
    return (ASSETS / name).read_text("utf-8")


def script(text: str) -> str:
    """A script as it stands in the page: a browser turns CR into LF before it checks the hash."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def policy(*scripts: str) -> str:
    """The security policy: exactly these scripts, by their hash, and no network."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def colours() -> str:
    """The style sheet's variables, light and dark."""
    light, dark = ("".join(f"--{name}:{value};" for name, value in PALETTE[mode].items()) for mode in PALETTE)
    return (
        f":root{{color-scheme:light dark;{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
        f"@media print{{:root{{color-scheme:light;{light}}}}}\n"
    )


def as_json(data: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(_data(data), ensure_ascii=False, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _data(value: Any) -> Any:
    """The same with each phrase as the script reads it: JSON would write its English text."""
    if isinstance(value, Phrase):
        return value.packed()
    if isinstance(value, Mapping):
        return {key: _data(part) for key, part in value.items()}
    return [_data(part) for part in value] if isinstance(value, list | tuple) else value
