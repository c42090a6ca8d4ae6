"""The wordings in the package: `bundled.yaml`, by task and by what the rows' own instruction asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from luthier.core.catalog import suggest
from luthier.core.errors import LuthierError
from luthier.core.split import Split
from luthier.data.prompts import Template

FILE = Path(__file__).with_name("bundled.yaml")


@cache
def _bundles() -> dict[str, dict[str, Any]]:
    import yaml

    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def bundled(data: Split, instruction: str, names: Sequence[str] = ()) -> list[Template]:
    """The wordings of these bundles; without names, of those for the task and the instruction. LuthierError: unknown.

    instruction: what all rows begin with, which wordings that say it themselves replace.
    """
    chosen = list(names)
    for name in chosen:
        if name not in _bundles():
            raise LuthierError(f"there is no bundle of wordings {name!r}{suggest(name, _bundles())}")
        if (task := _bundles()[name]["task"]) != data.task:
            raise LuthierError(f"the wordings {name!r} are for {task}, and this data is for {data.task}")
    if not chosen:
        chosen = [n for n, b in _bundles().items() if b["task"] == data.task and _fits(b, instruction)]
    return [
        Template(w.get("name", f"{name} {i}"), w["text"], w["chat"], instruction if b.get("replaces") else "")
        for name in chosen
        for b in (_bundles()[name],)
        for i, w in enumerate(b["wordings"], 1)
    ]


def _fits(bundle: dict[str, Any], instruction: str) -> bool:
    return "when" not in bundle or bool(re.search(bundle["when"], instruction, re.DOTALL))
