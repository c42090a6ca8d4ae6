"""Rows that are in memory: a data frame, a list of dicts or a data set becomes a file named by its content.

The file lies in the cache. The same rows give the same file, so that the same call goes on where it was, and commands
on the results (`luthier train RUN/recipe.yaml`) find the rows again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from luthier.api.texts import kind
from luthier.core.errors import LuthierError
from luthier.io.files import write_text

WANTED = "a path, a pandas DataFrame, a list of dicts or a datasets.Dataset"
FOLDER = "tables"


def as_path(given: Any, name: str) -> str:
    """The path that was given, or that of the file into which the rows are written, once. Raises LuthierError.

    >>> as_path("mine.jsonl", "data")
    'mine.jsonl'
    """
    if isinstance(given, str | os.PathLike):
        return os.fspath(given)
    lines = []
    for number, row in enumerate(_rows(given, name), 1):
        values = {str(key): _plain(value, f"{name}, row {number}, column {str(key)!r}") for key, value in row.items()}
        if len(values) < len(row):
            raise LuthierError(f"{name}, row {number}: two columns have the same name")
        lines.append(json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")
    if not lines:
        raise LuthierError(f"{name}: has no rows")
    return str(_kept("".join(lines), name))


def is_kept(path: str) -> bool:
    """Whether the path is that of rows that were written here."""
    return Path(path).parent == _folder()


def _folder() -> Path:
    from luthier.models.loading.bundled import cache_dir

    return cache_dir() / FOLDER


def _kept(text: str, name: str) -> Path:
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        row = text.count("\n", 0, error.start) + 1
        raise LuthierError(f"{name}, row {row}: holds half of a character: it is no valid text") from None
    path = _folder() / f"table-{hashlib.sha256(content).hexdigest()[:12]}.jsonl"
    if not path.exists():
        try:
            write_text(path, text)
        except OSError as error:
            raise LuthierError(f"{name}: its rows cannot be written to {path.parent}: {error.strerror}") from None
    return path


def _rows(given: Any, name: str) -> Iterator[Mapping[Any, Any]]:
    """Row by row, each by its columns."""
    pandas, datasets = sys.modules.get("pandas"), sys.modules.get("datasets")
    if pandas and isinstance(given, pandas.DataFrame):
        yield from _of_frame(given, name)
    elif datasets and isinstance(given, datasets.DatasetDict | datasets.IterableDatasetDict):
        parts = list(given)
        raise LuthierError(f'{name}: has the parts {", ".join(parts)}: give one, such as {name}=found["{parts[0]}"]')
    elif datasets and isinstance(given, datasets.Dataset):
        yield from _of_dataset(given)
    elif isinstance(given, Mapping | bytes | set | frozenset) or not isinstance(given, Iterable):
        raise LuthierError(f"{name}: must be {WANTED}, not {kind(given)}")
    else:
        for number, row in enumerate(given):
            if not isinstance(row, Mapping):
                raise LuthierError(f"{name}[{number}]: must be a dict of a row's columns, not {kind(row)}")
            yield row


def _of_frame(frame: Any, name: str) -> Iterator[Mapping[Any, Any]]:
    columns = [str(column) for column in frame.columns]
    if twice := next((column for column in columns if columns.count(column) > 1), None):
        raise LuthierError(f"{name}: two columns are called {twice!r}: give one of them another name")
    for values in frame.itertuples(index=False, name=None):
        yield dict(zip(columns, values, strict=True))


def _of_dataset(dataset: Any) -> Iterator[Mapping[Any, Any]]:
    """Rows with the names of classes in place of their numbers."""
    from luthier.data.columnar import class_names, named

    names = class_names(dataset.features.to_dict())
    for row in dataset.with_format(None):
        yield {key: named(value, names[key]) if key in names else value for key, value in row.items()}


def _plain(value: Any, where: str) -> Any:
    """A value as JSON has it: gaps of a table are null, NumPy's numbers plain ones, times as texts."""
    if value is None or isinstance(value, str | bool):
        return value if value is None or isinstance(value, bool) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each, where) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, where) for each in value]
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        return _plain(value.tolist(), where) if value.__class__.__module__.startswith("numpy") else value.tolist()
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if math.isinf(value):
            raise LuthierError(f"{where}: is infinite, which is no value of a table")
        return None if math.isnan(value) else float(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise LuthierError(f"{where}: is {kind(value)}: a column holds texts, numbers, lists or dicts")
