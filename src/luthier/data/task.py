"""From a recipe's `data` section to the split that every method gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from luthier.config import DataConfig
from luthier.data.documents import read_documents
from luthier.data.embedded import tickets
from luthier.data.read import Table, read, report_bad
from luthier.data.split import make_split
from luthier.errors import LuthierError
from luthier.evals.metric import for_task
from luthier.protocols import Split


def load_split(config: DataConfig, rejected: Path | None = None) -> tuple[Split, list[str]]:
    """The split and notes for the user; broken rows stop here unless `skip_bad`, which lists them in `rejected`."""
    table = _table(config, config.path, rejected)
    held_out = _table(config, config.test, rejected and rejected.with_name("rejected-test.jsonl"))
    if table is None:
        raise LuthierError("data.path: name a file, or tickets for the embedded data")
    split, notes = make_split(table, held_out, seed=config.split_seed, limit=config.limit, limit_test=config.limit_test)
    if config.metric:
        for_task(split.task, config.metric)  # a score that does not fit is said before anything long begins
    documents = read_documents(Path(config.docs)) if config.docs else split.documents
    return replace(split, metric=config.metric or split.metric, documents=documents), notes


def _table(config: DataConfig, path: str | None, rejected: Path | None) -> Table | None:
    if path is None:
        return None
    if path == "tickets":
        return tickets()
    table = read(Path(path), columns=config.map, labels=config.labels, instruction=config.instruction)
    report_bad(table, config.skip_bad, rejected)
    return table
