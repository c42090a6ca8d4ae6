"""`luthier eval`: the scores of a finished run on another file, with intervals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

import runs
import tiny
from commands import said
from luthier.api import load
from luthier.core.errors import LuthierError
from luthier.io.files import read_json
from luthier.runs.evaluate import macro_f1_interval

ROWS = [("where is the box", "delivery"), ("退款在哪里", "refund"), ("lost password", "account access"),
        ("pay me", "refund"), ("it is raining", "weather")]  # fmt: skip


def jsonl(path: Path, rows: list[tuple[str, str]] = ROWS, keys: tuple[str, str] = ("text", "label")) -> Path:
    lines = [json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.finished(tiny_folder("llama_tied"), tmp_path_factory.mktemp("eval") / "run", "lora", tiny.LABELLED)


def test_scores_of_labels(run: Path, tmp_path: Path) -> None:
    text = said("eval", run, jsonl(tmp_path / "new.jsonl", keys=("q", "topic")), "--map", "q=text,topic=label")
    found = read_json(run / "evaluations" / "new.json")
    chosen = load(run).predict([t for t, _ in ROWS])
    right = [float(a == b) for a, (_, b) in zip(chosen, ROWS, strict=True)]
    assert found["answers"] == chosen and found["per_row"] == right and found["rows"] == 5
    assert found["score"] == pytest.approx(sum(right) / 5)
    assert found["ci95"][0] <= found["score"] <= found["ci95"][1]
    wanted = f1_score([b for _, b in ROWS], chosen, average="macro", zero_division=0)
    assert found["secondary"]["macro_f1"]["value"] == pytest.approx(wanted)
    assert (
        found["unknown_labels"] == {"weather": 1}
        and '1 rows have labels that the run never learned ("weather")' in text
    )
    assert f"accuracy {found['score']:.3f} (95 % " in text


def test_a_name_is_for_one_file(run: Path, tmp_path: Path) -> None:
    said("eval", run, jsonl(tmp_path / "other.jsonl"))
    said("eval", run, jsonl(tmp_path / "other.jsonl"))
    jsonl(tmp_path / "other.jsonl", ROWS[:3])
    with pytest.raises(LuthierError, match="another name with --name"):
        said("eval", run, tmp_path / "other.jsonl")
    said("eval", run, tmp_path / "other.jsonl", "--name", "three", "--limit", "2")
    assert read_json(run / "evaluations" / "three.json")["rows"] == 2
    for bad in ("../up", ".hidden", "a/b"):
        with pytest.raises(LuthierError, match="without folders"):
            said("eval", run, tmp_path / "other.jsonl", "--name", bad)


def test_scores_of_text(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    run = runs.finished(tiny_folder("llama_tied"), tmp_path / "run")
    rows = [("Ich mag Tee", "I like tea"), ("再见", "bye")]
    path = jsonl(tmp_path / "pairs.jsonl", rows, ("instruction", "output"))
    said("eval", run, path)
    found = read_json(run / "evaluations" / "pairs.json")
    assert found["metric"] == "chrF" and len(found["per_row"]) == 2 and found["secondary"]["exact_match"]["ci95"]
    with pytest.raises(LuthierError, match=r"is for classification, but the run .* with text"):
        said("eval", run, jsonl(tmp_path / "new.jsonl"))


def test_broken_rows_and_runs(run: Path, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "broken.jsonl")
    path.write_text(path.read_text() + '{"text": "no label"}\n')
    with pytest.raises(LuthierError, match=r"broken.jsonl:6: missing field"):
        said("eval", run, path)
    said("eval", run, path, "--skip-bad")
    assert read_json(run / "evaluations" / "broken.json")["left_out"] == 1
    with pytest.raises(LuthierError, match="not a run folder"):
        said("eval", tmp_path, path)


def test_macro_f1_interval_against_resampling_with_scikit_learn() -> None:
    """Seen failing with the counts of what was said and what was there swapped for those that are right."""
    rng = np.random.default_rng(5)
    wanted = rng.choice(["a", "b", "c"], 90).tolist()
    chosen = [w if rng.random() < 0.7 else "a" for w in wanted]
    low, high = macro_f1_interval(wanted, chosen)
    values = []
    for _ in range(800):
        at = rng.integers(0, 90, 90)
        values.append(f1_score([wanted[i] for i in at], [chosen[i] for i in at], average="macro", zero_division=0))
    assert np.allclose([low, high], np.percentile(values, [2.5, 97.5]), atol=0.02)
