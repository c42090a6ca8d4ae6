"""Parquet files and Hugging Face data sets: class names, parts, broken texts, no network, no library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sample_files
from luthier.core.errors import LuthierError
from luthier.core.records import Labelled
from luthier.data import columnar
from luthier.data.read import Table, read


def reasons(table: Table) -> list[tuple[int, str]]:
    return [(bad.line, bad.reason) for bad in table.bad]


def test_parquet_with_text_that_is_not_utf8(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    raw = pa.array([b"good", b"caf\xe9", "好".encode()], pa.binary()).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"text": raw, "label": ["x", "y", "z"]}), tmp_path / "a.parquet")
    table = read(tmp_path / "a.parquet")
    assert table.lines == (1, 3) and reasons(table) == [(2, 'column "text" is not valid UTF-8: byte 0xe9')]
    pq.write_table(pa.table({"text": [b"bytes"], "label": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(LuthierError, match='field "text" is bytes, not text'):
        read(tmp_path / "b.parquet")
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "c.parquet")
    with pytest.raises(LuthierError, match="is empty"):
        read(tmp_path / "c.parquet")
    with pytest.raises(LuthierError, match="does not exist"):
        read(tmp_path / "d.parquet")


def named_set(path: Path) -> None:
    import datasets

    features = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["bad", "good"])
    )  # fmt: skip
    rows = {"text": ["a", "b", "c"], "label": [1, 0, -1]}
    whole = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict(train=whole, test=whole.select([1])).save_to_disk(path)
    whole.to_parquet(path.with_suffix(".parquet"))


def test_data_sets_by_folder(tmp_path: Path) -> None:
    """Class numbers become names; −1 marks a label that is kept secret."""
    named_set(tmp_path / "set")
    for path in (tmp_path / "set", Path(f"{tmp_path}/set:train"), tmp_path / "set.parquet"):
        table = read(path)
        assert table.records == (Labelled("a", "good"), Labelled("b", "bad"))
        assert reasons(table) == [(3, 'field "label" is null, not text')]
    assert read(Path(f"{tmp_path}/set:test")).records == (Labelled("b", "bad"),)
    with pytest.raises(LuthierError, match=r"has no part 'dev'; name one of .*set:train, .*set:test"):
        read(Path(f"{tmp_path}/set:dev"))
    (tmp_path / "set" / "train" / "state.json").write_text("{")
    with pytest.raises(LuthierError, match="not a data set that can be read"):
        read(tmp_path / "set")


def test_a_folder_of_files_as_the_hub_gives_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "cache" / "downloads")
    (tmp_path / "set" / "data").mkdir(parents=True)
    sample_files.jsonl([{"text": "a", "label": "x"}] * 2, tmp_path / "set" / "data" / "train-00000.jsonl")
    sample_files.jsonl([{"text": "b", "label": "x"}], tmp_path / "set" / "data" / "test-00000.jsonl")
    assert read(tmp_path / "set").records == (Labelled("a", "x"),) * 2
    assert read(Path(f"{tmp_path}/set:test")).records == (Labelled("b", "x"),)


def test_hub_ids(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    asked: list[Any] = []

    def loaded(name: str, config: str | None) -> Any:
        asked.append((name, config))
        return datasets.DatasetDict(validation=datasets.Dataset.from_list([{"text": "a", "label": "x"}]))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", loaded)
    assert read(Path("owner/name")).records == read(Path("owner/name/sst2:validation")).records
    assert asked == [("owner/name", None), ("owner/name", "sst2")]

    def unreachable(name: str, config: str | None) -> Any:
        raise ConnectionError("Couldn't reach 'owner/name' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(LuthierError, match=r"owner/name: is no file or folder here, and the .* hub cannot be reached"):
        read(Path("owner/name"))
    for path in ("plain", "a/b/c/d", "/abs/olute", "a b/c", "owner/name:"):
        assert columnar.find(Path(path)) is None


def test_without_the_library_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = sample_files.parquet([{"text": "a", "label": "x"}], tmp_path / "a.parquet")
    named_set(tmp_path / "set")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(LuthierError, match="pip install pyarrow"):
        read(path)
    with pytest.raises(LuthierError, match="pip install datasets"):
        read(tmp_path / "set")


CARD = """---
license: mit
configs:
- config_name: en
  data_files: english/*
- config_name: de
  data_files:
  - split: train
    path: german/a.parquet
  - split: check
    path: german/b.parquet
{default}---
# A data set
"""


@pytest.fixture
def carded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set whose card names two configurations, in folders of other names."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    for name in ("english/a", "german/a", "german/b"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        sample_files.parquet([{"text": name, "label": "x"}] * 2, folder / f"{name}.parquet")
    (folder / "README.md").write_text(CARD.format(default=""))
    return folder


def test_a_card_that_names_configurations(carded: Path) -> None:
    """Seen failing as a folder without a data set in it."""
    with pytest.raises(LuthierError) as caught:
        read(carded)
    assert str(caught.value) == f"{carded}: has 2 configurations; name one of {carded}/en, {carded}/de"
    assert read(carded / "en").records == (Labelled("english/a", "x"),) * 2
    assert read(Path(f"{carded}/en:train")).records == (Labelled("english/a", "x"),) * 2
    assert read(carded / "de").records == (Labelled("german/a", "x"),) * 2
    assert read(Path(f"{carded}/de:check")).records == (Labelled("german/b", "x"),) * 2
    with pytest.raises(LuthierError, match=r"no part 'dev'; name one of .*/set/de:train, .*/set/de:check"):
        read(Path(f"{carded}/de:dev"))
    with pytest.raises(LuthierError, match=r"has no configuration 'fr'; name one of .*/set/en, .*/set/de"):
        read(carded / "fr")


def test_the_default_configuration_is_read(carded: Path) -> None:
    (carded / "README.md").write_text(CARD.format(default="  default: true\n"))
    assert read(carded).records == (Labelled("german/a", "x"),) * 2
    assert read(Path(f"{carded}:check")).records == (Labelled("german/b", "x"),) * 2


def test_parts_without_train_are_asked(carded: Path) -> None:
    text = CARD.format(default="  default: true\n").replace("split: train", "split: dev")
    (carded / "README.md").write_text(text)
    with pytest.raises(LuthierError, match=r"has 2 parts and none is train; name one of .*/set:dev, .*/set:check"):
        read(carded)


def test_folders_inside_are_named(carded: Path) -> None:
    for text in ("no card", "---\nconfigs: 3\n---\n", "---\n[\n---\n"):
        (carded / "README.md").write_text(text)
        with pytest.raises(LuthierError, match=r"without a data set in it: name .*/english or .*/german$"):
            read(carded)


def test_a_hub_id_with_several_configurations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    def loaded(name: str, config: str | None) -> Any:
        raise ValueError("Config name is missing.\nPlease pick one")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", loaded)
    monkeypatch.setattr(datasets, "get_dataset_config_names", lambda name: ["en", "de"])
    with pytest.raises(
        LuthierError, match=r"owner/name: has 2 configurations; name one of owner/name/en, owner/name/de"
    ):
        read(Path("owner/name"))
    with pytest.raises(LuthierError, match=r"has no configuration 'fr'; name one of owner/name/en"):
        read(Path("owner/name/fr"))
