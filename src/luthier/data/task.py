"""From a recipe's `data` section to the split that every method gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from luthier.config import DataConfig
from luthier.data.embedded import tickets
from luthier.data.read import Table, read, report_bad
from luthier.data.split import make_split
from luthier.errors import LuthierError
from luthier.protocols import Split


def load_split(config: DataConfig, rejected: Path | None = None) -> tuple[Split, list[str]]:
    """The split and notes for the user; broken rows stop here unless `skip_bad`, which lists them in `rejected`."""
    table = _table(config, config.path, rejected)
    held_out = _table(config, config.test, rejected and rejected.with_name("rejected-test.jsonl"))
    if table is None:
        raise LuthierError("data.path: name a file, or tickets for the embedded data")
    split, notes = make_split(table, held_out, seed=config.split_seed, limit=config.limit, limit_test=config.limit_test)
    if config.train_rows is not None:
        split = first_rows(split, config.train_rows)
    return split, notes


def first_rows(split: Split, rows: int) -> Split:
    """The same split with the first `rows` of its training part, whose order is random but fixed: subsets nest."""
    if not 1 <= rows <= len(split.train):
        raise LuthierError(f"data.train_rows {rows}: the training part has {len(split.train)} rows")
    return replace(split, train=split.train[:rows])


def _table(config: DataConfig, path: str | None, rejected: Path | None) -> Table | None:
    if path is None:
        return None
    if path == "tickets":
        return tickets()
    table = read(Path(path), columns=config.map, labels=config.labels, instruction=config.instruction)
    report_bad(table, config.skip_bad, rejected)
    return table
