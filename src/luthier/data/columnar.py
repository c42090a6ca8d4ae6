"""Parquet files (pyarrow) and Hugging Face data sets (`datasets`): rows are numbered from 1, there are no lines.

A data set is named as `folder`, `folder:test`, `folder/config:test`, `owner/name`, `owner/name:test` or
`owner/name/config:test`. The part is `train` unless it is said, or the only one; the configuration is the default one
of the data set's card unless it is said, or the only one. Class numbers become the names that the data set gives them.
No code of a data set's author is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.data.source import Row, Source, objects, quoted
from luthier.io.files import front_matter

if TYPE_CHECKING:
    import pyarrow as pa

_HUB = re.compile(r"([\w.-]+/[\w.-]+)(?:/([\w.-]+))?(?::([\w.-]+))?")
_SAVED = ("dataset_dict.json", "dataset_info.json")  # what `save_to_disk` writes
_FILES = ("*.parquet", "*.arrow", "*.jsonl", "*.json", "*.csv")
_WITHIN = (".", "data", "train", "test", "validation")  # where a folder of files keeps them
ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Place:
    """Where a data set is: a folder here or a hub id, with its configuration and part ("": not said)."""

    path: Path
    id: str
    local: bool
    config: str = ""
    part: str = ""


def find(path: Path) -> Place | None:
    """The data set that `path` names, if it can be one: a folder that holds one, or the form of a hub id."""
    folder, _, part = str(path).rpartition(":")
    for place, name in ((Path(path), ""), (Path(folder or "."), part if folder else "")):
        if (name and not re.fullmatch(r"[\w.-]+", name)) or (not name and place != path):
            continue
        configurations = () if ":" in place.name else _configurations(place.parent)
        if place.name in configurations or (configurations and not place.exists()):
            return Place(path, str(place.parent), True, place.name, name)
        if place.is_dir() and (_holds_rows(place) or _configurations(place)):
            return Place(path, str(place), True, "", name)
    found = _HUB.fullmatch(str(path))
    if path.exists() or found is None:
        return None
    return Place(path, found[1], False, found[2] or "", found[3] or "")


def inside(folder: Path) -> str:
    """The folders right inside that hold a data set, as a choice in words; "" where there is none."""
    found = [str(each) for each in sorted(folder.iterdir()) if each.is_dir() and _holds_rows(each)]
    return " or ".join(found[:5])


def _holds_rows(folder: Path) -> bool:
    saved = any((folder / file).exists() for file in _SAVED)
    return saved or any(next(folder.glob(f"{inside}/{p}"), None) for inside in _WITHIN for p in _FILES)


def _configurations(folder: Path) -> tuple[str, ...]:
    """The configurations that the card of a data set names, the head of its README.md; none where it names no files."""
    configs = front_matter(folder / "README.md").get("configs") or ()
    try:
        return tuple(
            str(each.get("config_name", "default")) for each in configs if {"data_files", "data_dir"} & each.keys()
        )
    except (TypeError, AttributeError):
        return ()


def read_parquet(path: Path, mapped: tuple[str, ...], encoding: str = "") -> Source:
    """A .parquet file. Raises LuthierError when it is none or cannot be read."""
    _no_encoding(path, encoding)
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        raise LuthierError(f"{path}: reading parquet needs pyarrow: pip install pyarrow") from None
    if not path.exists():
        raise LuthierError(f"{path} does not exist: check the path")
    try:
        with parquet.ParquetFile(path) as file:
            names = class_names(_features(file.schema_arrow.metadata))
            rows = tuple(rows_of(file.iter_batches(ROWS_AT_ONCE), names))
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise LuthierError(f"{path}: not a parquet file that can be read: {_first_line(error)}") from None
    return objects(path, rows, mapped, unit="row")


def read_dataset(place: Place, mapped: tuple[str, ...], encoding: str = "") -> Source:
    """A data set by folder or hub id. Raises LuthierError when there is none, or no such part."""
    _no_encoding(place.path, encoding)
    try:
        import datasets
    except ImportError:
        raise LuthierError(f"{place.path}: a Hugging Face data set needs its library: pip install datasets") from None
    try:
        found = _load(datasets, place)
        names = class_names(found.features.to_dict())
        tables = found.with_format("arrow").iter(ROWS_AT_ONCE)
        rows = tuple(rows_of((batch for table in tables for batch in table.to_batches()), names))
    except LuthierError:
        raise
    except Exception as error:  # readers of many formats and a network: they may raise anything
        raise LuthierError(f"{place.path}: {_why(place, error)}") from None
    return objects(place.path, rows, mapped, unit="row")


def _no_encoding(path: Path, encoding: str) -> None:
    if encoding:
        raise LuthierError(f"{path}: --encoding is for text files (.csv, .tsv, .json, .jsonl, .txt), which it is not")


def _load(datasets: Any, place: Place) -> Any:
    saved = place.local and any((Path(place.id) / file).exists() for file in _SAVED)
    if saved:
        found = datasets.load_from_disk(place.id)
    else:
        found = _load_files(datasets, place)
    if not isinstance(found, dict):
        if place.part and str(found.split or "") != place.part:
            raise LuthierError(f"{place.path}: the folder holds one part only; name it without :{place.part}")
        return found
    part = place.part or ("train" if "train" in found else next(iter(found)) if len(found) == 1 else "")
    if part not in found:
        known = ", ".join(f"{place.id}{'/' * bool(place.config)}{place.config}:{name}" for name in found)
        lacks = f"has no part {part!r}" if part else f"has {len(found)} parts and none is train"
        raise LuthierError(f"{place.path}: {lacks}; name one of {known}")
    return found[part]


def _load_files(datasets: Any, place: Place) -> Any:
    try:
        return datasets.load_dataset(place.id, place.config or None)
    except ValueError:  # several configurations and none is the default, or another fault
        names: list[str] = []
        with suppress(Exception):
            names = list(datasets.get_dataset_config_names(place.id))
        if len(names) < 2 or place.config in names:
            raise
        known = ", ".join(f"{place.id}/{name}" for name in names[:12]) + (", …" if len(names) > 12 else "")
        lacks = f"has no configuration {place.config!r}" if place.config else f"has {len(names)} configurations"
        raise LuthierError(f"{place.path}: {lacks}; name one of {known}") from None


def _why(place: Place, error: Exception) -> str:
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and len(chain) < 20:
        chain.append(cause)
    kinds = {type(each).__name__ for each in chain}
    if place.local:
        return f"not a data set that can be read: {_first_line(error)}"
    if kinds & {"ConnectionError", "ConnectError", "OfflineModeIsEnabled", "ConnectTimeout", "TimeoutError"}:
        return "is no file or folder here, and the Hugging Face hub cannot be reached: check the path, or the network"
    return f"is no file or folder here, and the Hugging Face hub gives no data set: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__


def _features(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any]:
    """What the `datasets` library wrote into a parquet file about its columns."""
    try:
        found = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def class_names(features: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of the classes of each column that holds class numbers, or lists of them."""
    out: dict[str, list[str]] = {}
    for column, feature in features.items():
        inner = feature
        if isinstance(inner, dict) and isinstance(inner.get("feature"), dict):
            inner = inner["feature"]
        if isinstance(inner, list) and inner:
            inner = inner[0]
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" and isinstance(inner.get("names"), list):
            out[column] = [str(name) for name in inner["names"]]
    return out


def rows_of(batches: Iterable[pa.RecordBatch], names: Mapping[str, list[str]]) -> Iterator[Row]:
    number = 0
    for batch in batches:
        try:
            values: list[dict[str, Any] | str] = list(batch.to_pylist())
        except (ValueError, OverflowError):  # a text that is not UTF-8, a date outside Python's: one row's fault
            values = [_one(batch, i) for i in range(batch.num_rows)]
        for value in values:
            number += 1
            if isinstance(value, str):
                yield Row(number, "", value)
                continue
            for column in names.keys() & value.keys():
                value[column] = named(value[column], names[column])
            yield Row(number, "", columns=value)


def _one(batch: pa.RecordBatch, i: int) -> dict[str, Any] | str:
    """The columns of one row, or why they cannot be read."""
    out: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            out[name] = column[i].as_py()
        except UnicodeDecodeError as error:
            return f"column {quoted([name])} is not valid UTF-8: byte 0x{error.object[error.start]:02x}"
        except (ValueError, OverflowError) as error:
            return f"column {quoted([name])} cannot be read: {_first_line(error)}"
    return out


def named(value: Any, names: list[str]) -> Any:
    if isinstance(value, list):
        return [named(each, names) for each in value]
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if value == -1:  # how data sets mark rows whose label is kept secret
        return None
    return names[value] if 0 <= value < len(names) else value
