"""Shares learned from losses: a known optimum is found; few proxies are refused; small models are trained and go on."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("numba")
from luthier.api.weighing import Weighing, as_yaml, weigh
from luthier.core.errors import LuthierError
from luthier.corpus import documents
from luthier.corpus.mixing import regression
from luthier.corpus.mixing.mix import Mix
from stories import story

NATURAL = {"a": 0.6, "b": 0.3, "c": 0.1}


@contextmanager
def bar(title: str) -> Any:
    yield lambda done, of: None


def test_a_known_optimum_is_found_in_spite_of_noise() -> None:
    """Loss (a - 0.2)² + (b - 0.5)² and noise; natural and equal shares come first."""
    shares = regression.drawn(NATURAL, 24, 1)
    assert shares[0] == NATURAL and shares[1] == dict.fromkeys(NATURAL, 1 / 3)
    assert all(sum(one.values()) == pytest.approx(1) for one in shares)
    noise = np.random.default_rng(0).normal(0, 0.003, 24)
    losses = [3 + (one["a"] - 0.2) ** 2 + (one["b"] - 0.5) ** 2 + e for one, e in zip(shares, noise, strict=True)]
    found = regression.learned(shares, losses)
    assert found.order > 0.9 and found.predicted == pytest.approx(3, abs=0.02)
    assert [found.shares[name] for name in "abc"] == pytest.approx([0.2, 0.5, 0.3], abs=0.08)


def test_losses_by_chance_are_said_to_be_no_order() -> None:
    shares = regression.drawn(NATURAL, 24, 1)
    assert regression.learned(shares, np.random.default_rng(0).normal(3, 1, 24).tolist()).order < 0.6
    with pytest.raises(LuthierError, match="5 proxies say nothing of 3 sources: at least 8"):
        regression.learned(shares[:5], [1.0] * 5)


def test_shares_as_a_line_add_up() -> None:
    assert as_yaml({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}) == "weights: {a: 0.334, b: 0.333, c: 0.333}"


def test_proxies_are_trained_once(tmp_path: Path, tiny_folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six tiny models on two sources: the second call trains none again, other options are refused."""
    for name, texts in (("a", [story(n, 1) for n in range(20)]), ("b", [f"zz {n} qq" * 4 for n in range(20)])):
        (tmp_path / name).mkdir()
        documents.write(
            documents.table_of({"id": str(n), "text": t} for n, t in enumerate(texts)), tmp_path / name / "0.parquet"
        )
    (tmp_path / "good.txt").write_text(story(99, 3), "utf-8")
    model = tiny_folder("llama_tied")
    mix = Mix({name: tmp_path / name for name in "ab"}, str(model), end="")
    given = Weighing(mix, tmp_path / "good.txt", model, proxies=6, tokens=2500, rate=1e-3)
    found = weigh(given, tmp_path / "out", bar)
    assert set(found.shares) == {"a", "b"} and sum(found.shares.values()) == pytest.approx(1)
    monkeypatch.setattr("luthier.api.train", lambda *_, **__: pytest.fail("trained again"))
    assert weigh(given, tmp_path / "out", bar) == found
    with pytest.raises(LuthierError, match="holds proxies of other"):
        weigh(Weighing(mix, tmp_path / "good.txt", model, proxies=7), tmp_path / "out", bar)
    documents.write(documents.table_of([{"id": "1", "text": story(5, 9)}]), tmp_path / "a" / "0.parquet")
    with pytest.raises(LuthierError, match="holds proxies of other sources"):
        weigh(given, tmp_path / "out", bar)
    with pytest.raises(LuthierError, match="5 proxies say nothing of 2 sources: at least 6"):
        weigh(Weighing(mix, tmp_path / "good.txt", model, proxies=5), tmp_path / "new", bar)
    assert not (tmp_path / "new").exists()
