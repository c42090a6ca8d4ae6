"""Mixing: shares, repeats, orders, tokens on disk; the same bytes after a kill and by any number of workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyarrow")
pytest.importorskip("numba")
from luthier.core.errors import LuthierError
from luthier.corpus import documents
from luthier.corpus.mixing import mix, order, weights
from luthier.corpus.pool import Here
from luthier.corpus.tokenizers import training
from luthier.data import token_files as tokens
from luthier.data.embedded import GENERAL
from luthier.io.files import replacing
from running import bar
from stories import story

SIZES = {"a": 1000, "b": 100, "c": 10}


def kept(folder: Path, texts: list[str], shards: int = 2) -> Path:
    """A folder of documents."""
    folder.mkdir(parents=True)
    for at in range(shards):
        rows = [{"id": str(n), "text": text} for n, text in enumerate(texts[at::shards])]
        documents.write(documents.table_of(rows), folder / f"{at:05d}.parquet")
    return folder


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    training.save(training.train("bpe", list(GENERAL), 600), folder)
    return folder


def recipe(folder: Path, tokenizer: Path, **more: Any) -> Path:
    """A recipe of two sources."""
    if not (folder / "one").exists():
        kept(folder / "one", [story(n, 3 + n % 7) for n in range(40)])
        kept(folder / "two", [f"好的，这是第{n}个故事。" * (1 + n % 5) for n in range(30)])
    path = folder / "mix.yaml"
    path.write_text(json.dumps({"sources": {"one": "one", "two": {"path": "two", "kind": "web"}},
                                "tokenizer": str(tokenizer), **more}), "utf-8")  # fmt: skip
    return path


def test_shares_by_hand() -> None:
    assert weights.natural(SIZES) == {"a": 1000 / 1110, "b": 100 / 1110, "c": 10 / 1110}
    assert weights.natural(SIZES, 0.0) == dict.fromkeys(SIZES, 1 / 3)
    half = weights.natural(SIZES, 0.5)
    assert half["a"] / half["b"] == pytest.approx(10**0.5) and sum(half.values()) == pytest.approx(1)
    assert weights.asked({"a": 50, "b": 50, "c": 0}, SIZES) == {"a": 0.5, "b": 0.5, "c": 0.0}
    shares, missing = weights.like("llama", {"a": "web", "b": "books", "c": "Web"}, SIZES)
    assert shares["b"] == pytest.approx(4.5 / 86.5) and shares["a"] / shares["c"] == pytest.approx(100)
    assert missing == ["code", "papers", "stack exchange", "wikipedia"]


@pytest.mark.parametrize(("given", "said"), [
    ({"a": 0.5, "b": 0.4, "c": 0.0}, "they add up to 0.9, not to 1 or to 100"), ({"a": 1.0, "b": 0.0}, "c: no weight"),
    ({"a": 1.5, "b": -0.5, "c": 0.0}, "b: -0.5 is no share"), ({**SIZES, "d": 0.1}, "d: no such source"),
])  # fmt: skip
def test_weights_that_are_none_are_said(given: dict[str, float], said: str) -> None:
    with pytest.raises(LuthierError, match=said):
        weights.asked(given, SIZES)


def test_an_empty_source_gives_nothing_and_is_said() -> None:
    found = weights.allotted({"a": 0.5, "z": 0.5}, {"a": 100, "z": 0}, 1)
    assert found.tokens == {"a": 100, "z": 0} and found.short == ("z",)


def test_repeats_cap_a_source_and_the_others_give_the_rest() -> None:
    equal = weights.natural(SIZES, 0.0)
    assert weights.allotted(equal, SIZES, 2).tokens == {"a": 20, "b": 20, "c": 20}
    found = weights.allotted(equal, SIZES, 2, 900)
    assert (found.tokens == {"a": 680, "b": 200, "c": 20} and found.short == ("b", "c")) or found.short == ("c", "b")
    with pytest.raises(LuthierError, match=r"tokens: 9,999 asked, 2,220 there \(each source 2 times at most\)"):
        weights.allotted(equal, SIZES, 2, 9999)
    with pytest.raises(LuthierError, match="like: GPT-9: known are GPT-3, LLaMA, The Pile"):
        weights.like("GPT-9", {}, SIZES)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 400), st.integers(0, 5))
def test_documents_are_drawn_in_whole_rounds(lengths: list[int], wanted: int, seed: int) -> None:
    sizes = np.array(lengths)
    found = order.drawn(sizes, wanted, seed, "x")
    total = int(sizes[found].sum())
    assert abs(total - wanted) <= max(lengths) / 2
    rounds = np.bincount(found, minlength=len(sizes))
    assert rounds.max() - rounds.min() <= 1 and np.array_equal(found, order.drawn(sizes, wanted, seed, "x"))


def test_shares_are_the_same_from_beginning_to_end() -> None:
    random = np.random.default_rng(0)
    each, sizes = {}, []
    for _, want in (("a", 6000), ("b", 3000), ("c", 1000)):
        lengths = random.integers(1, 20, 900)
        own = np.flatnonzero(np.cumsum(lengths) <= want)
        each[str(want)] = own, order.places(lengths[own])
        sizes.append(lengths)
    found = order.together(each)
    length = np.array([sizes[s][d] for s, d in zip(found.source, found.document, strict=True)])
    for part in np.array_split(np.arange(len(length)), 5):
        share = np.bincount(found.source[part], length[part], 3) / length[part].sum()
        assert np.abs(share - [0.6, 0.3, 0.1]).max() < 0.03


def test_from_easy_to_hard_with_ramps() -> None:
    hard = np.random.default_rng(1).permutation(1000).astype(float)
    own = np.arange(1000)
    strict = order.by_difficulty(own, hard, order.Curriculum(stages=1000, ramp=0.0), 1, "x")
    assert np.array_equal(hard[strict], np.arange(1000))
    steps = order.by_difficulty(own, hard, order.Curriculum(stages=4, ramp=0.0), 1, "x")
    for at in range(4):
        assert set(hard[steps[250 * at : 250 * at + 250]]) == set(range(250 * at, 250 * at + 250))
    moved = order.by_difficulty(own, hard, order.Curriculum(stages=4, ramp=0.2), 1, "x")
    assert 0.8 < np.corrcoef(hard[moved], np.arange(1000))[0, 1] < 1 and set(moved) == set(own)


@given(
    st.lists(st.lists(st.integers(0, 70_000), max_size=9), min_size=1, max_size=6),
    st.integers(0, 40),
    st.integers(0, 40),
)
@settings(max_examples=100, deadline=None)
def test_tokens_on_disk_read_as_a_list(tmp_path_factory: Any, shards: list[list[int]], start: int, count: int) -> None:
    folder: Path = tmp_path_factory.mktemp("tokens")
    for at, ids in enumerate(shards):
        tokens.write_shard(folder, at, np.array(ids, np.int64), np.array([len(ids)]), "uint32")
    tokens.finish(folder, len(shards), "uint32", vocabulary=70_001)
    whole, found = [i for ids in shards for i in ids], tokens.Tokens(folder)
    assert len(found) == len(whole) and found[start : start + count].tolist() == whole[start : start + count]
    assert list(found) == whole
    raw = np.concatenate([np.fromfile(path, "<u4") for path in sorted(folder.glob("*.tokens"))])
    assert raw.tolist() == whole  # by any other program


def test_a_shard_that_was_cut_is_said(tmp_path: Path) -> None:
    tokens.write_shard(tmp_path, 0, np.arange(9), np.array([9]), "uint16")
    tokens.finish(tmp_path, 1, "uint16")
    path = tmp_path / "00000.tokens"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(LuthierError, match=r"00000\.tokens.*15 bytes where 18 are told"):
        tokens.Tokens(tmp_path)


def test_shards_that_were_cut_are_made_again(tmp_path: Path, tokenizer: Path) -> None:
    made = mix.read_mix(recipe(tmp_path, tokenizer))
    mix.run(made, tmp_path / "out", Here(1), bar)
    before = files_of(tmp_path / "out")
    for path in [*(tmp_path / "out" / "sources").glob("one-*/*.tokens"), tmp_path / "out" / "tokens" / "00000.tokens"]:
        path.write_bytes(path.read_bytes()[:-3])
        mix.run(made, tmp_path / "out", Here(1), bar)
        assert files_of(tmp_path / "out") == before


def test_what_was_mixed_is_told_and_not_what_was_planned(tmp_path: Path, tokenizer: Path) -> None:
    kept(tmp_path / "one", [story(n, 2) for n in range(9)], 1)
    kept(tmp_path / "two", ["so long a document " * 900], 1)
    made = mix.read_mix(recipe(tmp_path, tokenizer, weights="equal", tokens=600))
    told = mix.run(made, tmp_path / "out", Here(1), bar)
    found = tokens.Tokens(tmp_path / "out" / "tokens")
    assert sum(one["mixed"] for one in told["sources"].values()) == len(found) and told["sources"]["two"]["mixed"] == 0
    assert any("two: 0 tokens where 300 were asked: its documents are long" in note for note in told["notes"])


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "tokens").iterdir())}


def test_a_mix_of_two_sources(tmp_path: Path, tokenizer: Path) -> None:
    """Every token of it is one of a source's documents; shares and rounds are as told; the same bytes again."""
    made = mix.read_mix(recipe(tmp_path, tokenizer, weights={"one": 0.75, "two": 0.25}, repeats=3))
    told = mix.run(made, tmp_path / "out", Here(1), bar)
    found = tokens.Tokens(tmp_path / "out" / "tokens")
    assert told["tokens"] == len(found) and found.dtype.itemsize == 2
    sizes = {name: one["mixed"] for name, one in told["sources"].items()}
    assert sizes["one"] / sum(sizes.values()) == pytest.approx(0.75, abs=0.01)
    assert max(one["rounds"] for one in told["sources"].values()) == pytest.approx(3, abs=0.01)
    from luthier.corpus.tokenizers.known import known

    reads = known(str(tokenizer))
    ends = found.ends(0).tolist()
    said = [reads.decode(found[a : b - 1].tolist()) for a, b in zip([0, *ends], ends, strict=False)]
    texts = {story(n, 3 + n % 7) for n in range(40)} | {f"好的，这是第{n}个故事。" * (1 + n % 5) for n in range(30)}
    assert set(said) == texts and {found[end - 1] for end in ends} == {reads.token_to_id("<|endoftext|>")}
    before = files_of(tmp_path / "out")
    mix.run(made, tmp_path / "again", Here(2), bar)
    assert files_of(tmp_path / "again") == before
    other = mix.read_mix(recipe(tmp_path, tokenizer, weights={"one": 0.75, "two": 0.25}, repeats=3, seed=2))
    mix.run(other, tmp_path / "out", Here(1), bar)
    changed = files_of(tmp_path / "out")
    assert (
        changed["00000.tokens"] != before["00000.tokens"]
        and len(changed["00000.tokens"]) - len(before["00000.tokens"]) < 999
    )
    mix.run(made, tmp_path / "out", Here(1), bar)
    assert files_of(tmp_path / "out") == before


@pytest.mark.parametrize("after", range(12))
def test_a_kill_between_any_two_files_changes_no_byte(
    tmp_path: Path, tokenizer: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mix, "SHARD", 400)
    made = mix.read_mix(recipe(tmp_path, tokenizer, curriculum={"by": "length"}))
    mix.run(made, tmp_path / "whole", Here(1), bar)
    left = [after]
    plain = replacing

    def dies(path: Path) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return plain(path)

    with monkeypatch.context() as patch:
        for place in ("luthier.data.token_files.replacing", "luthier.corpus.mixing.sources.replacing"):
            patch.setattr(place, dies)
        with pytest.raises(KeyboardInterrupt):
            mix.run(made, tmp_path / "out", Here(1), bar)
    mix.run(made, tmp_path / "out", Here(1), bar)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_sources_one_after_another_and_by_perplexity(tmp_path: Path, tokenizer: Path) -> None:
    made = mix.read_mix(recipe(tmp_path, tokenizer, curriculum={"by": ["two", "one"], "ramp": 0.0}))
    told = mix.run(made, tmp_path / "out", Here(1), bar)
    found = tokens.Tokens(tmp_path / "out" / "tokens")
    from luthier.corpus.tokenizers.known import known

    first = known(str(tokenizer)).decode(found[: told["sources"]["two"]["mixed"] - 60].tolist())
    assert "said" not in first and "故事" in first
    (tmp_path / "good.txt").write_text("\n".join(story(n) for n in range(30)), "utf-8")
    made = mix.read_mix(recipe(tmp_path, tokenizer, curriculum={"by": "perplexity", "reference": "good.txt"}))
    assert made.curriculum and made.curriculum.reference == str(tmp_path / "good.txt")
    assert mix.run(made, tmp_path / "other", Here(1), bar)["tokens"] > 0


@pytest.mark.parametrize(("more", "said"), [
    ({"weights": "some"}, "weights: some: natural, equal"), ({"weights": {"like": "LLaMA"}}, None),
    ({"weights": {"one": 0.5}}, "weights: two: no weight"), ({"end": "</s>"}, "has no token </s>"),
    ({"curriculum": {"by": ["one"]}}, "curriculum: by: each source once: one, two"),
    ({"curriculum": "length"}, "curriculum: a table"), ({"curriculum": {"by": "perplexty"}}, "by: perplexty: length"),
    ({"curriculum": {"by": "quality"}}, "by: quality needs `good` and `bad`"),
    ({"tokens": "100M"}, "tokens: 100M: a number"),
    ({"weights": [1, 2]}, "weights: natural"), ({"weights": {"temperature": "hot"}}, "weights: natural"),
    ({"repeats": 0}, "repeats: 0: a number from 0.01 on"),
    ({"sources": {"../x": "one"}}, "sources: ../x: a name has letters"),
    ({"token": 5}, "a table with `sources`"),
])  # fmt: skip
def test_what_is_wrong_is_said(more: dict[str, Any], said: str | None, tmp_path: Path, tokenizer: Path) -> None:
    def go() -> Any:
        return mix.run(mix.read_mix(recipe(tmp_path, tokenizer, **more)), tmp_path / "out", Here(1), bar)

    if said is None:
        assert "nothing here is" in go()["notes"][0]
        return
    with pytest.raises(LuthierError, match=said):
        go()


def test_a_source_without_documents_is_said(tmp_path: Path, tokenizer: Path) -> None:
    path = recipe(tmp_path, tokenizer)
    for shard in (tmp_path / "two").glob("*.parquet"):
        shard.unlink()
    with pytest.raises(LuthierError, match="no documents: name the folder `kept` of a run"):
        mix.run(mix.read_mix(path), tmp_path / "out", Here(1), bar)


def test_a_document_that_quotes_the_end_does_not_end_there(tmp_path: Path, tokenizer: Path) -> None:
    kept(tmp_path / "one", ["before <|endoftext|> after", "other"], 1)
    kept(tmp_path / "two", ["more"], 1)
    mix.run(mix.read_mix(recipe(tmp_path, tokenizer, repeats=1)), tmp_path / "out", Here(1), bar)
    found = tokens.Tokens(tmp_path / "out" / "tokens")
    end = found.about["end"]
    assert (found.read(0, len(found)) == end).sum() == 3 == found.documents.sum()
