"""The command to go on with after a comparison: it labels the very file that was compared."""

from __future__ import annotations

import shlex
from pathlib import Path

from luthier.core.errors import LuthierError
from luthier.data import embedded
from luthier.io.config import DataConfig, read_recipe

STRUCTURED = (".jsonl", ".ndjson", ".json", ".parquet")
NEW = "new.csv"  # of a user whose data was an embedded set


def predict_command(run: Path) -> str:
    """`luthier predict` with a run, the file it learned from, and an output of that kind."""
    try:
        data = read_recipe(run / "recipe.yaml").data
    except LuthierError:  # results of which only the scores are left
        data = DataConfig()
    if embedded.find(data.path):
        words = [NEW, "--out", "labelled.csv"]
    else:
        words = [data.path, "--out", f"labelled{_kind(data.path)}", *(["--skip-bad"] if data.skip_bad else [])]
    return shlex.join(["luthier", "predict", str(run), *words])


def _kind(path: str) -> str:
    """The kind of file for the answers: tables stay tables, whatever holds more becomes .jsonl."""
    name = Path(path.lower().removesuffix(".gz"))
    if name.suffix in STRUCTURED or Path(path).is_dir() or not name.suffix or ":" in path:
        return ".jsonl"
    return ".tsv" if name.suffix == ".tsv" else ".csv"
