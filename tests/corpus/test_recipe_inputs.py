"""What a recipe names: files, presets and rules, what is wrong with them, faults of the machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow")
pytest.importorskip("numba")
import pyarrow.parquet as pq  # noqa: E402

from luthier.core.errors import LuthierError  # noqa: E402
from luthier.corpus import documents  # noqa: E402
from luthier.corpus.keys import look_key, outcome_key  # noqa: E402
from luthier.corpus.pool import Here  # noqa: E402
from luthier.corpus.recipe import Pipeline, read_pipeline, run_pipeline, stage_of  # noqa: E402
from luthier.corpus.rules import preset, presets, rule_set  # noqa: E402
from running import bar, rows, run, tell_threads  # noqa: E402
from stories import jsonl, story  # noqa: E402


def test_files_of_a_recipe_are_found_beside_it_and_known_by_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    jsonl(tmp_path / "own" / "a.jsonl", [story(1)])
    jsonl(tmp_path / "own" / "good.jsonl", [story(2)])
    (tmp_path / "own" / "words.txt").write_text("casino\n")
    (tmp_path / "own" / "rules.yaml").write_text("[{name: short, signal: words, least: 2}]")
    stages = [{"filter": {"rules": "rules.yaml"}}, {"keywords": {"lists": ["html", "words.txt"]}},
              {"perplexity": {"reference": "good.jsonl", "least": 0, "most": 100}}]  # fmt: skip
    made = {"input": "a.jsonl", "reference": "good.jsonl", "stages": stages}
    (tmp_path / "own" / "recipe.yaml").write_text(json.dumps(made))
    run_pipeline(read_pipeline(tmp_path / "own" / "recipe.yaml"), tmp_path / "out", Here(1), bar)
    names = {path.name for path in (tmp_path / "out" / "stages").iterdir()}
    (tmp_path / "own").rename(tmp_path / "moved")
    run_pipeline(read_pipeline(tmp_path / "moved" / "recipe.yaml"), tmp_path / "out", Here(1), bar)
    assert {path.name for path in (tmp_path / "out" / "stages").iterdir()} == names


def stages_of(folder: Path) -> set[str]:
    return {path.name for path in (folder / "stages").iterdir()}


def test_what_files_hold_and_how_they_are_read_decides(tmp_path: Path) -> None:
    """A file that moves from good to bad, another ending, a model that was trained again: nothing old is used."""
    source = jsonl(tmp_path / "a.jsonl", [story(seed) for seed in range(3)])
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
    for at in range(60):
        (tmp_path / ("good" if at < 30 else "bad") / f"{at}.txt").write_text(story(at) if at < 30 else f"win {at} now")
    named = {option: str(tmp_path / option) for option in ("good", "bad")}

    def keys(stage_: Any) -> tuple[str, str]:
        return outcome_key("", stage_of(stage_)), look_key("", stage_of(stage_))

    before = keys({"quality": named})
    run(tmp_path / "out", [source], {"quality": named})
    (tmp_path / "good" / "29.txt").rename(tmp_path / "bad" / "29.txt")
    assert not set(keys({"quality": named})) & set(before)
    run(tmp_path / "out", [source], {"quality": named})  # a classifier of what is there now, in the same process
    reference = {"perplexity": {"reference": str(tmp_path / "good")}}
    before = keys(reference)
    (tmp_path / "good" / "0.txt").rename(tmp_path / "good" / "0.md")
    assert not set(keys(reference)) & set(before)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"1")
    model = {"perplexity": {"model": str(tmp_path / "model")}}
    before = keys(model)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"2")
    assert not set(keys(model)) & set(before)
    code = {"filter": {"rules": {"zh": "chinese", "ja": "chinese", "en": "fineweb", "code": "code"}}}
    assert vars(stage_of(code))["code"] == preset("code")
    assert keys(code)[1] == keys("filter")[1] != keys({"filter": {"rules": {"zh": "chinese", "en": "fineweb"}}})[1]


def test_a_reference_that_changes_is_counted_anew_in_the_same_process(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", [story(seed) for seed in range(9)])
    good = tmp_path / "good.jsonl"
    found = []
    for seeds in (range(100, 130), range(9)):  # the second one is what it judges
        jsonl(good, [story(seed) for seed in seeds])
        told = run_pipeline(Pipeline((source,), (), reference=str(good)), tmp_path / "out", Here(1), bar)
        found.append(told[0]["perplexity"])
    assert found[1] < found[0]


def test_names_of_ours_are_not_taken_for_what_lies_beside_a_recipe(tmp_path: Path) -> None:
    for name in ("chinese", "html", "words", "embedded"):
        (tmp_path / name).mkdir()
    jsonl(tmp_path / "chinese" / "a.jsonl", [story(1)])
    rules = [{"name": "words", "signal": "words", "least": 2}]
    stages = [{"filter": {"rules": {"zh": "chinese"}}}, {"filter": {"rules": rules}}, {"keywords": {"lists": ["html"]}}]
    (tmp_path / "recipe.yaml").write_text(json.dumps({"input": "chinese", "stages": stages}))
    assert read_pipeline(tmp_path / "recipe.yaml").stages[1] == stage_of({"filter": {"rules": rules}})


def test_nothing_to_read_is_no_fault_of_the_stages(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", ["", " "])
    good = jsonl(tmp_path / "good.jsonl", [story(1)])
    stages = [
        "language",
        "filter",
        "exact",
        "near",
        "substrings",
        "sentences",
        {"perplexity": {"reference": str(good)}},
    ]
    told = run(tmp_path / "out", [source], *stages)
    assert told["read"]["dropped"] == 2 and told["perplexity"]["in"] == 0
    with pytest.raises(LuthierError, match="no such file"):  # before any work
        run_pipeline(Pipeline((source,), (), reference="god/"), tmp_path / "other", Here(1), bar)
    assert not (tmp_path / "other" / "stages").exists()


@pytest.mark.parametrize("name", presets())
def test_presets_read(name: str) -> None:
    assert preset(name).about and preset(name).rules


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"name": "a", "signal": "words"}], "rules, 1: rule a: says nothing"),
        ([{"name": "a", "signal": "wrods", "least": 1}], "no signal wrods of a document: words"),
        ([{"name": "a", "signal": "words", "least": "x"}], "rules, 1"),
        ([{"name": "a", "signal": "words", "least": 1, "do": "cut"}], "a document cannot be cut"),
        ([{"include": "gopher", "without": ["x"]}], "gopher has no rule x"),
        ([{"include": "c4"}, {"include": "c4"}], "two rules are called long_word"),
        ([], "a list of rules"),
        ({"rules": [], "rulez": 1}, "no key rulez"),
    ],
)
def test_what_is_wrong_with_rules_is_said_with_its_place(given: Any, said: str) -> None:
    with pytest.raises(LuthierError, match=said):
        rule_set(given, "mine.yaml")


def test_recipes(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("input: a.jsonl\nstages:\n  - near: {bands: 3}\n")
    with pytest.raises(LuthierError, match=r"stages, 1: near: .*112 hashes cannot be cut into 3 equal bands"):
        read_pipeline(path)
    path.write_text("input: a.jsonl\nstages: [nearly]\n")
    with pytest.raises(
        LuthierError, match="stages, 1: one of decontaminate, exact, filter, keywords, language, near, perplexity"
    ):
        read_pipeline(path)
    path.write_text("stages: [near]\n")
    with pytest.raises(LuthierError, match="a table with `input`"):
        read_pipeline(path)


def test_what_is_not_installed_is_said_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import luthier.corpus

    monkeypatch.setattr(luthier.corpus, "find_spec", lambda name: None if name == "numba" else name)
    with pytest.raises(LuthierError, match=r"corpus: needs numba: pip install 'luthier\[corpus\]'"):
        luthier.corpus.check_installed()


def test_names_that_are_no_utf8_are_read_and_told_apart(tmp_path: Path) -> None:
    for byte in (b"\xe9", b"\xea"):
        with (Path(os.fsdecode(os.fsencode(tmp_path) + b"/na" + byte + b"me.txt"))).open("w") as file:
            file.write(f"a text {byte!r}")
    found = run(tmp_path / "out", [tmp_path])
    assert found["read"]["kept"] == 2
    paths = sorted(row["path"].split("/")[1] for row in rows(tmp_path / "out" / "kept"))
    assert paths == ["na\\xe9me.txt", "na\\xeame.txt"]
    run(tmp_path / "out", [tmp_path])


def test_a_worker_that_dies_is_said() -> None:
    with pytest.raises(LuthierError, match="a worker was ended from outside, as when memory runs out: give fewer"):
        list(Here(2).in_turn(os._exit, [(1,), (1,)], 0))


def test_workers_share_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    monkeypatch.delenv("RAYON_NUM_THREADS", raising=False)
    list(Here(2).in_turn(tell_threads, [(tmp_path / "0",), (tmp_path / "1",)], 0))
    assert [(tmp_path / name).read_text() for name in "01"] == ["3", "3"] and "RAYON_NUM_THREADS" not in os.environ


def test_a_full_disk_is_said_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match=r"No space left on device: .*a\.parquet"):
        documents.write(documents.table_of([]), tmp_path / "a.parquet")
    assert not list(tmp_path.iterdir())


def test_a_kill_while_another_recipe_is_published_leaves_no_funnel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: the numbers of the recipe before stood beside the documents of the new one."""
    source = jsonl(tmp_path / "a.jsonl", [story(1), story(1)])
    run(tmp_path / "out", [source])
    with monkeypatch.context() as patched:
        patched.setattr("luthier.io.places.link", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out", [source], "exact")
    assert not (tmp_path / "out" / "funnel.json").exists()
    assert run(tmp_path / "out", [source], "exact")["exact"]["dropped"] == 1
