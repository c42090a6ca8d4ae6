"""samples.jsonl: what a policy wrote in each rollout of a run, for people to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from luthier.io.files import write_text

SAMPLES = "samples.jsonl"
SHOWN = 6  # of a rollout


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """{"rollout", "samples": [{"prompt", "answer", "reward", "ended"}]} of each rollout that was written whole."""
    return list(_whole(folder / SAMPLES))


def write_samples(folder: Path, rollout: int, samples: Sequence[Mapping[str, Any]]) -> None:
    """Add the first samples of a rollout; what a killed run had written of it and beyond is forgotten."""
    kept = [found for found in _whole(folder / SAMPLES) if found["rollout"] < rollout]
    line = {"rollout": rollout, "samples": [dict(sample) for sample in samples[:SHOWN]]}
    write_text(folder / SAMPLES, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in (*kept, line)))


def _whole(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else ():
        try:
            found = json.loads(line)
        except ValueError:
            return
        if not (isinstance(found, dict) and {"rollout", "samples"} <= found.keys()):
            return
        yield found
