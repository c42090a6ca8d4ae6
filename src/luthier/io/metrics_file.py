"""metrics.jsonl: one line a step, without doubles after a resume."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from luthier.io.files import write_text


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a metrics file; a last line that a kill cut short is left out, and all behind a damaged one."""
    out: list[dict[str, Any]] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                break
            if not (isinstance(found, dict) and {"step", "tokens", "loss"} <= found.keys()):
                break
            out.append(found)
    return out


class MetricsFile:
    """Appends reports; opened at a step, it forgets what a killed run had written beyond it."""

    def __init__(self, path: Path, step: int) -> None:
        kept = [m for m in read_metrics(path) if m["step"] <= step]
        write_text(path, "".join(json.dumps(m) + "\n" for m in kept))
        self._path, self._file = path, path.open("a", encoding="utf-8")

    def add(self, report: Any) -> None:
        """Write one report as a line."""
        given = {k: v for k, v in vars(report).items() if v is not None and k != "metrics"} | (report.metrics or {})
        values = {k: v if not isinstance(v, float) or math.isfinite(v) else None for k, v in given.items()}
        with self._named():
            self._file.write(json.dumps(values) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with self._named():
            self._file.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What the system says of a write that fails (a full disk) does not name the file."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
