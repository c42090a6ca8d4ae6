"""A small comparison from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import luthier


def compare(data: Path, out: Path, models: list[str], **more: Any) -> luthier.Board:
    """Three quick methods unless others are given."""
    asked: dict[str, Any] = {"methods": ["zero_shot", "few_shot", "head"], "budget": "3000-tokens", "threads": 1} | more
    return luthier.compare(data, model=models, out=out, **asked)
