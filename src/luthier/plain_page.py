"""A page of text, tables and bars that opens offline and needs no chart library (those are `compare.document`'s)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from pathlib import Path

from luthier.data.inspect_terminal import visible
from luthier.files import write_text

STYLE = Path(__file__).parent / "data" / "page" / "inspect.css"


def text(value: object) -> str:
    """Anything as text of a page."""
    return escape(visible(str(value)))


def write(
    path: Path, title: str, heading: str, body: str, more_styles: Sequence[Path] = (), script: str = "",
    wide: bool = False,
) -> None:  # fmt: skip
    """Write a page, whole or not at all. body: markup; no network and no script but this one is allowed."""
    style = "".join(p.read_text(encoding="utf-8") for p in (STYLE, *more_styles))
    script = script.replace("\r\n", "\n")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"; script-src 'sha256-{digest}'" if script else ""
    write_text(
        path,
        f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'{allowed}">
<title>{text(title)}</title>
<style>
{style}</style>
<header><p class="brand">Luthier</p><h1>{text(heading)}</h1></header>
<main{' class="wide"' if wide else ""}>
{body}
</main>
{f"<script>{script}</script>" if script else ""}
</html>
""",
    )
