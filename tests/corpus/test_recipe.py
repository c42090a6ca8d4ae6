"""A recipe over files: every plant found, the numbers add up, a kill changes nothing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow")
pytest.importorskip("numba")

from luthier.corpus import documents, read, stage  # noqa: E402
from luthier.corpus.pool import Here  # noqa: E402
from luthier.corpus.recipe import Pipeline, run_pipeline, stage_of  # noqa: E402
from running import bar, rows, run  # noqa: E402
from stories import jsonl, story  # noqa: E402


def test_every_plant_is_found_and_the_numbers_add_up(tmp_path: Path) -> None:
    clean = [story(seed) for seed in range(20)]
    near = clean[3].replace("said", "told", 1)
    boiler = "Please accept our conditions before you read on, dear visitor."
    chinese = "".join(
        f"第{n}条河流经过北方的平原，春天来临时冰雪融化，村民们开始准备播种和修理农具。\n" for n in range(8)
    )
    texts = [*clean, clean[0], near, "too short", *(f"{story(100 + k)}\n{boiler}" for k in range(4)), chinese]
    one = jsonl(tmp_path / "one.jsonl", texts)
    two = tmp_path / "two.jsonl.gz"
    two.write_bytes(gzip.compress(json.dumps({"text": clean[5], "id": "mine"}).encode() + b"\n{broken\n\xff\xfe\n"))
    short: Any = {"filter": {"rules": {"": [{"name": "word_count", "signal": "words", "least": 50}], "zh": "chinese"}}}
    found = run(tmp_path / "out", [one, two], {"language": {"keep": ["en", "zh"]}}, short, "exact", "near", "sentences")
    assert found["read"]["reasons"] == {"broken_row": 1, "encoding": 1} and found["read"]["in"] == len(texts) + 3
    assert found["filter"]["reasons"] == {"word_count": 1}
    assert found["exact"]["reasons"] == {"duplicate": 2} and found["near"]["reasons"] == {"near_duplicate": 1}
    assert found["sentences"]["changed"] == {"repeated_sentences": 4}
    for told, after in zip(list(found.values())[:-1], list(found.values())[1:], strict=True):
        assert told["in"] == told["kept"] + told["dropped"] and after["in"] == told["kept"]
    kept, dropped = rows(tmp_path / "out" / "kept"), rows(tmp_path / "out" / "dropped")
    assert len(kept) + len(dropped) == found["read"]["in"] and not any(boiler in row["text"] for row in kept)
    assert [row["language"] for row in kept].count("zh") == 1 and all(row["reason"] for row in dropped)
    assert json.loads((tmp_path / "out" / "funnel.json").read_text())[0]["stage"] == "read"
    assert {row["path"] for row in kept} <= {f"one.jsonl#line {n}" for n in range(1, len(texts) + 1)}


def test_a_changed_threshold_does_nothing_again_that_stands_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = jsonl(tmp_path / "a.jsonl", [story(seed) for seed in range(5)])
    run(tmp_path / "out", [source], "exact", {"near": {"ngram": 5}})
    monkeypatch.setattr(read, "one", None)
    monkeypatch.setattr(stage, "look_at", None)
    monkeypatch.setattr(stage, "judge", lambda *_: pytest.fail("it is there"))
    run(tmp_path / "out", [source], "exact", {"near": {"ngram": 5}})
    with pytest.raises(TypeError):  # another option: this stage looks again
        run(tmp_path / "out", [source], "exact", {"near": {"ngram": 4}})
    source.write_text(json.dumps({"text": story(9)}) + "\n")
    with pytest.raises(TypeError):
        run(tmp_path / "out", [source], "exact", {"near": {"ngram": 5}})


def test_another_threshold_looks_at_no_document_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals, signatures and counts are kept; what comes of another threshold is what a fresh run gives."""

    def stages(words: int, bands: int, most: int) -> list[Any]:
        rules = [
            {"name": "menu", "at": "line", "signal": "words", "least": words // 20, "do": "cut"},
            {"name": "short", "signal": "words", "least": words},
        ]
        return [{"filter": {"rules": rules}}, {"near": {"bands": bands}}, {"sentences": {"most": most}}]

    source = jsonl(tmp_path / "a.jsonl", [f"{story(seed)}\n\nA menu" for seed in range(9)])
    for last in range(3):  # a changed stage has other documents behind it: one is changed at a time
        before, after = (40, 14, 2), [(60, 14, 2), (40, 16, 2), (40, 14, 1)][last]
        run(tmp_path / f"{last}", [source], *stages(*before))
        with monkeypatch.context() as patch:
            looked = stage.look_at
            again: list[str] = []

            def watched(one: Any, *rest: Any, looked: Any = looked, again: list[str] = again) -> Any:
                again.append(one.name)
                return looked(one, *rest)

            patch.setattr(stage, "look_at", watched)
            run(tmp_path / f"{last}", [source], *stages(*after))
        names = ["filter", "near", "sentences"]
        assert not set(again) & set(names[: last + 1])
        run(tmp_path / f"fresh{last}", [source], *stages(*after))
        for folder in ("kept", "dropped"):
            one, other = tmp_path / f"{last}" / folder, tmp_path / f"fresh{last}" / folder
            assert {p.name: p.read_bytes() for p in one.iterdir()} == {p.name: p.read_bytes() for p in other.iterdir()}


def test_a_kill_between_any_two_files_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write is the last one, once: what is done goes on to the same bytes."""
    monkeypatch.setattr(read, "UNIT", 2000)
    monkeypatch.setattr(read, "ROWS", 4)
    files = [
        jsonl(tmp_path / f"f{k}.jsonl", [story(10 * k + j, 6) for j in range(6)] + [story(1, 6)]) for k in range(3)
    ]
    reference = {"reference": str(jsonl(tmp_path / "good.jsonl", [story(99)])), "most": 80}
    steps = ("filter", "exact", "near", "substrings", "sentences", {"perplexity": reference})
    run(tmp_path / "whole", files, *steps)
    wanted = {p.name: p.read_bytes() for p in (tmp_path / "whole" / "kept").iterdir()}
    limit = 0

    def dying(function: Any) -> Any:
        def write(*args: Any, **kwargs: Any) -> Any:
            nonlocal limit
            limit -= 1
            if limit < 0:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return write

    for module, name in ((documents, "write"), (stage, "write_json"), (stage, "write_arrays"), (read, "write_json")):
        monkeypatch.setattr(module, name, dying(getattr(module, name)))
    for survived in (1, 2, 5, 9, 14, 23, 37, 1000):
        limit = survived
        try:
            run(tmp_path / "killed", files, *steps)
        except KeyboardInterrupt:
            assert not (tmp_path / "killed" / "funnel.json").exists()
    assert {p.name: p.read_bytes() for p in (tmp_path / "killed" / "kept").iterdir()} == wanted


def test_tokens_and_perplexity_are_told_of_each_stage(tmp_path: Path) -> None:
    from luthier.models.loading.load import load_base

    stories = [story(seed) for seed in range(300)]
    backwards = " ".join(reversed(story(1).split()))
    source = jsonl(tmp_path / "a.jsonl", [*stories, *[backwards] * 60])
    jsonl(tmp_path / "good.jsonl", [story(seed) for seed in range(900, 999)])
    made = Pipeline((source,), (stage_of("exact"),), reference=str(tmp_path / "good.jsonl"))
    before, after = run_pipeline(made, tmp_path / "out", Here(1), bar)
    _, words = load_base("embedded")
    whole = sum(len(words(row["text"])["input_ids"]) for row in rows(tmp_path / "out" / "kept"))
    assert after["tokens"] == pytest.approx(whole, rel=0.05) and after["tokens"] < before["tokens"]
    assert 1 < after["perplexity"] < before["perplexity"]
    plain = run_pipeline(Pipeline((source,), ()), tmp_path / "plain", Here(1), bar)
    assert plain[0]["perplexity"] is None and plain[0]["tokens"] == before["tokens"]
