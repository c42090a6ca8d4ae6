"""Recipes of Data-Juicer: what maps, what maps nearly, what is left out, what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("numba")
from luthier.core.errors import LuthierError
from luthier.corpus import data_juicer
from luthier.corpus.pool import Here
from luthier.corpus.recipe import run_pipeline
from running import bar
from stories import jsonl, story


def recipe(folder: Path, *process: Any) -> Path:
    path = folder / "dj.yaml"
    path.write_text(json.dumps({"project_name": "x", "dataset_path": "a.jsonl", "np": 4, "process": process}), "utf-8")
    return path


def test_a_recipe_runs(tmp_path: Path) -> None:
    """Lengths, lines and duplicates decided by hand; rules next to each other are one filter."""
    jsonl(tmp_path / "a.jsonl", ["short", story(1), story(1), f"{story(2)}\n{'x' * 400}", story(3), "word " * 300])
    found = data_juicer.read(recipe(
        tmp_path, {"text_length_filter": {"min_len": 100, "max_len": 5000}},
        {"maximum_line_length_filter": {"max_len": 2000}}, {"token_num_filter": None},
        {"character_repetition_filter": {"rep_len": 3, "max_ratio": 0.4}}, "document_deduplicator",
    ))  # fmt: skip
    assert [stage.name for stage in found.pipeline.stages] == ["filter", "exact"] and found.left == (
        "token_num_filter",
    )
    told = {one["stage"]: one for one in run_pipeline(found.pipeline, tmp_path / "out", Here(1), bar)}
    assert told["filter"]["reasons"] == {"characters": 1, "character_repetition": 2}
    assert (told["exact"]["dropped"], told["exact"]["kept"]) == (1, 2)


def test_what_is_nearly_the_same_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("", "utf-8")
    found = data_juicer.read(recipe(
        tmp_path, {"character_repetition_filter": {}}, {"document_minhash_deduplicator": {"jaccard_threshold": 0.8}},
        {"document_minhash_deduplicator": {"num_bands": 20, "num_rows_per_band": 5}}, {"clean_email_mapper": {}},
        {"language_id_score_filter": {"lang": "zh", "min_score": 0.5}},
        {"text_length_filter": {}}, {"text_length_filter": {"min_len": 20}},
    ))  # fmt: skip
    assert found.told == (
        "character_repetition_filter: nearly: counts runs of 3 characters, not of 10",
        "document_minhash_deduplicator: nearly: 14 bands of 8 hashes (about 0.72) for its 0.8",
        "document_minhash_deduplicator: nearly: cuts words as Luthier does",
        "clean_email_mapper: nearly: writes [EMAIL_1] in its place",
    )
    stages = [(stage.name, vars(stage)) for stage in found.pipeline.stages]
    assert [name for name, _ in stages] == ["filter", "near", "near", "privacy", "language", "filter"]
    assert (stages[2][1]["hashes"], stages[2][1]["bands"]) == (100, 20) and tuple(stages[3][1]["kinds"]) == ("EMAIL",)
    assert (tuple(stages[4][1]["keep"]), stages[4][1]["least"]) == (("zh",), 0.5)


@pytest.mark.parametrize(("process", "said"), [
    ([{"a": 1, "b": 2}], "process, 1: an operator by its name"),
    ([{"text_length_filter": 5}], "process, 1: an operator by its name"),
    (["video_nsfw_filter"], "none of its operators is known here: video_nsfw_filter"),
    ([{"text_length_filter": {"min_len": 9, "max_len": 3}}], "least 9 is above most 3: nothing would stay"),
])  # fmt: skip
def test_what_is_wrong_is_said(process: list[Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match=said):
        data_juicer.read(recipe(tmp_path, *process))
    (tmp_path / "other.yaml").write_text("input: a\nstages: [exact]\n", "utf-8")
    with pytest.raises(LuthierError, match="has `dataset_path` and `process`"):
        data_juicer.read(tmp_path / "other.yaml")
