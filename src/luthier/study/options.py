"""Settings of a study as they are written on the command line: `ranks=1,8,64`, `grid=true`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from luthier.core.errors import LuthierError
from luthier.io.files import from_yaml
from luthier.study.catalog import load


def read_options(study: str, settings: Sequence[str]) -> dict[str, Any]:
    """Plain values by name; a field that holds several takes them by comma. Types are checked where it is built."""
    many = {f.name for f in dataclasses.fields(load(study)) if "tuple" in str(f.type)}  # type: ignore[arg-type]
    out: dict[str, Any] = {}
    for setting in settings:
        key, equals, raw = setting.partition("=")
        if not equals or not key or not raw:
            raise LuthierError(f"--set {setting}: write name=value, such as rank=4")
        try:
            parts = [from_yaml(part) for part in (raw.split(",") if key in many else [raw])]
        except ValueError:
            raise LuthierError(f"--set {setting}: {raw!r} is not a value") from None
        out[key] = tuple(parts) if key in many else parts[0]
    return out
