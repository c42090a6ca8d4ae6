"""Rows that vote, and documents that answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from hashed import Hashed, hashed
from luthier.core.errors import LuthierError
from luthier.core.records import Chat, Message, Rated, Sampling, Tagged, Text
from luthier.core.split import Split
from luthier.direct.retrieval import Retrieval
from luthier.index.rows import fit, voted
from luthier.io import config
from luthier.io.files import write_text
from luthier.models.embedding import Embedder
from luthier.runs import run
from luthier.runs.loaded import load_run
from luthier.training.context import Context


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hashed:
    pytest.importorskip("lancedb")
    embedder, model = hashed(tmp_path / "cache")
    monkeypatch.setattr("luthier.direct.retrieval.load_embedder", lambda name, cache=None: embedder)
    return model


def test_votes_are_those_of_scikit_learn() -> None:
    """Seen failing with weights of the wrong sign, and with k + 1 neighbours."""
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    rng = np.random.default_rng(0)
    rows, asked = rng.standard_normal((40, 6)), rng.standard_normal((9, 6))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    y = rng.integers(0, 3, 40)
    y[:3] = 0, 1, 2
    options: dict[str, Any] = {"n_neighbors": 7, "metric": "cosine", "weights": lambda far: np.exp(-far / 0.05)}
    want = KNeighborsClassifier(**options).fit(rows, y).predict_proba(asked)
    near = asked @ rows.T
    assert np.allclose(voted(near, np.eye(3)[y], 7, 0.05), want)
    number = KNeighborsRegressor(**options).fit(rows, y).predict(asked)
    assert np.allclose(voted(near, y[:, None].astype(float), 7, 0.05)[:, 0], number)


def test_k_is_chosen_without_the_row_itself() -> None:
    """With labels at random one neighbour is wrong as often as not; a row that votes for itself would be right."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((200, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert fit(list(map(str, range(200))), vectors, np.eye(2)[rng.integers(0, 2, 200)], "classification")[0] > 1


def test_k_is_chosen_without_rows_that_ask_the_same() -> None:
    """In another case, width or spacing. Seen failing with a copy that voted for its row."""
    rng = np.random.default_rng(0)
    half = rng.standard_normal((100, 8)).astype(np.float32)
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    texts = [f"row {i} abc" for i in range(100)] + [f"Ｒow  {i} ABC" for i in range(100)]
    values = np.tile(np.eye(2)[rng.integers(0, 2, 100)], (2, 1))
    assert fit(texts, np.tile(half, (2, 1)), values, "classification")[0] > 1
    assert fit(["a", "A "], half[:2], values[:2], "classification")[0] == 1


def test_rows_of_every_kind(model: Hashed, tmp_path: Path) -> None:
    def adapted(split: Split) -> Any:
        return Retrieval().adapt(Context(None, split, 0, cache=tmp_path))  # type: ignore[arg-type]

    tags = tuple(Tagged(f"{a} {b} row{i}", (a, b)) for i in range(6) for a, b in (("red", "big"), ("blue", "small")))
    lm = adapted(Split("multilabel", tags, (), labels=("red", "blue", "big", "small")))
    assert lm.output == "tags" and (lm.predict(["red big"], lm.labels).exp() > 0.5).tolist() == [
        [True, False, True, False]
    ]
    rated = tuple(Rated(word + f" row{i}", value) for i in range(6) for word, value in (("good", 5.0), ("bad", 1.0)))
    lm = adapted(Split("regression", rated, ()))
    assert lm.predict(["good", "bad"], ()).round().tolist() == [[5.0], [1.0]]
    chats = tuple(
        Chat((Message("user", q), Message("assistant", a))) for q, a in (("年假几天", "十五"), ("bow price", "£85"))
    )
    lm = adapted(Split("generation", chats, ()))
    asked = [(Message("system", "Be brief"), Message("user", "what is the bow price?")), "年假呢"]
    assert lm.generate(asked, Sampling()) == ["£85", "十五"] and lm.sources(asked) == [[1], [0]]


def test_rows_of_another_embedder_are_refused(model: Hashed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of two models cannot be compared."""
    rows = tuple(Rated(f"row{i}", float(i)) for i in range(3))
    Retrieval().adapt(Context(None, Split("regression", rows, ()), 0, cache=tmp_path)).save(tmp_path)  # type: ignore[arg-type]
    assert Retrieval().load(tmp_path, Context(None)).output == "scalar"  # type: ignore[arg-type]
    newer = Embedder("hashed", "newer", lambda: model, tmp_path)
    monkeypatch.setattr("luthier.direct.retrieval.load_embedder", lambda name, cache=None: newer)
    with pytest.raises(LuthierError, match="made by hashed, and newer is here"):
        Retrieval().load(tmp_path, Context(None))  # type: ignore[arg-type]


DOCUMENTS = (
    Text("# Cat\nThe cat is called Gusset. She sleeps.", "cat.md"),
    Text("# 年假\n满五年，年假十五天。请假要提前。", "leave.md"),
)
QUESTIONS = tuple(
    Chat((Message("user", q), Message("assistant", a)))
    for q, a in (("What is the cat called?", "The cat is called Gusset."), ("年假几天？", "满五年，年假十五天。"))
)


def documents_lm(tmp_path: Path, say: str, **options: Any) -> Any:
    class Base:
        can, name, key, context, progress, tokenizer = frozenset({"generate"}), "b", "b", 10_000, None, None

        def generate(self, prompts: Sequence[str], sampling: Sampling) -> list[str]:
            return [say] * len(prompts)

        def length(self, text: str) -> int:
            return len(text)

    split = Split("generation", QUESTIONS, QUESTIONS, metric="token_f1", documents=DOCUMENTS)
    return Retrieval(**options).adapt(Context(Base(), split, 0, cache=tmp_path))  # type: ignore[arg-type]


def test_documents_answer(model: Hashed, tmp_path: Path) -> None:
    """Written or quoted, by language, whichever the validation rows prefer. Seen failing with one choice for all."""
    lm = documents_lm(tmp_path, "The cat is called Gusset. [1]")
    assert lm.modes == {"": "write", "han": "quote"}
    asked = ["What is the cat called?", "年假几天？"]
    assert lm.generate(asked, Sampling()) == ["The cat is called Gusset.", "满五年，年假十五天。"]
    assert [found[0] for found in lm.sources(asked)] == ["cat.md, characters 1-43", "leave.md, characters 1-21"]
    citing = documents_lm(tmp_path, "nonsense", cite=True, k=1)
    assert citing.generate(asked, Sampling())[1] == "满五年，年假十五天。 [leave.md]"
    # with both documents found, in either order: seen failing with the file of the first passage
    asked = ["年假几天？", "What is the cat called?", "cat 年假几天？", "年假 cat called?"]
    for said in documents_lm(tmp_path, "nonsense", cite=True, k=2).generate(asked, Sampling()):
        assert said.endswith("[leave.md]" if "年假" in said else "[cat.md]"), said


def test_documents_are_saved(model: Hashed, tiny_folder: Any, tmp_path: Path) -> None:
    folder = tiny_folder("llama_tied")
    lm = tiny.fresh(folder)
    recipe = tiny.recipe(folder, "retrieval", direct={"cite": True})
    split = dataclasses.replace(tiny.CHATS, documents=DOCUMENTS)
    with run.adapted(lm, recipe, split, cache=tmp_path / "cache") as outcome:
        run.save_adapted(outcome, tmp_path)
        write_text(tmp_path / "recipe.yaml", config.to_yaml(recipe))
        want = outcome.lm.generate(["年假几天？", "cat?"], Sampling(max_new_tokens=8))
    assert load_run(tmp_path).generate(["年假几天？", "cat?"], Sampling(max_new_tokens=8)) == want


def test_an_encoder_quotes(model: Hashed, tiny_folder: Any, tmp_path: Path) -> None:
    folder = tiny_folder("bert")
    split = dataclasses.replace(tiny.CHATS, documents=DOCUMENTS)
    with run.adapted(tiny.fresh(folder), tiny.recipe(folder, "retrieval"), split, cache=tmp_path) as outcome:
        assert outcome.lm.generate(["年假几天？"], Sampling()) == ["满五年，年假十五天。"]
