"""The labelling page: one HTML file with all its sentences in both languages, its scripts and its style."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from luthier.core.phrases import escape, table
from luthier.feedback.kinds import BEST
from luthier.feedback.store import Settings

ASSETS = Path(__file__).parent / "assets"
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
MORE = ("comma", "language")  # texts that other pages say, too


def html(settings: Settings) -> str:
    """The page of a project."""
    texts = {
        language: {key: text for key, text in table()[language].items() if key.startswith("label_") or key in MORE}
        for language in ("en", "zh")
    }
    data = {"texts": texts, "project": settings.project, "kind": settings.kind, "best": BEST}
    frame = (ASSETS / "label.html").read_text("utf-8")
    return frame.replace("{title}", escape(texts["en"]["label_title"])).replace("{data}", _json(data))


def asset(name: str) -> tuple[str, str] | None:
    """A file of the page and its type; None where there is none of that name."""
    path = ASSETS / name
    if path.suffix not in KINDS or path.name != name or not path.is_file():
        return None
    return path.read_text("utf-8"), KINDS[path.suffix]


def _json(value: Any) -> str:
    """JSON that may stand in a script element: no text of it can end the element."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
