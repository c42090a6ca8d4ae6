"""A temperature against brute force, that it calms what is overconfident and moves no label, and where it is kept."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import luthier
from luthier import api
from luthier.api.predicting import answer_file
from luthier.core.metric import Scores
from luthier.core.phrases import Phrase
from luthier.core.records import Labelled
from luthier.core.split import Split
from luthier.evals import temperature
from luthier.evals.temperature import FEW, FILE, calibration_error, fit, kept, settle, tempered
from luthier.io.config import read_recipe
from luthier.io.files import read_json


def simulated(rows: int, times: float, seed: int = 0) -> tuple[torch.Tensor, list[int]]:
    """Scores (N, 3) that would be true probabilities, multiplied, and labels drawn from the true ones."""
    rng = np.random.default_rng(seed)
    true = torch.log_softmax(torch.from_numpy(rng.standard_normal((rows, 3)) * 1.5), -1)
    wanted = [int(rng.choice(3, p=row.exp().numpy())) for row in true]
    return torch.log_softmax(true * times, -1).float(), wanted


@pytest.mark.parametrize("times", [0.3, 1.0, 4.0])
def test_the_temperature_undoes_what_was_done(times: float) -> None:
    """On rows that it was not fitted on. Seen failing with its inverse."""
    scores, wanted = simulated(600, times)
    value = fit(scores, wanted)
    assert value == pytest.approx(times, rel=0.15)
    others, labels = simulated(600, times, seed=1)
    before, after = calibration_error(others, labels), calibration_error(tempered(others, value), labels)
    assert after < 0.06 and (times == 1.0 or after < before / 2)


def test_it_is_the_likeliest() -> None:
    """Of a fine grid."""
    scores, wanted = simulated(80, 3.0)

    def loss(value: float) -> float:
        return -float(tempered(scores, value)[range(80), wanted].mean())

    assert loss(fit(scores, wanted)) <= min(map(loss, np.geomspace(0.05, 20, 400))) + 1e-7


def test_no_label_wins_that_did_not() -> None:
    """At the ends of the range too, where float32 would round labels together."""
    scores, _ = simulated(200, 1.0)
    near = torch.log_softmax(torch.tensor([[0.0, 1e-6, -3.0], [5.0, 5.0, 0.0]]), -1)
    for rows in (scores, near):
        for value in temperature.RANGE:
            assert tempered(rows, value).argmax(-1).tolist() == rows.argmax(-1).tolist()


def test_rows_that_are_all_right_do_not_make_it_certain() -> None:
    """No temperature is low enough for them. Seen failing with the lowest of the range, and 1.0000 for every row."""
    scores = torch.log_softmax(torch.tensor([[1.0, 0.5], [0.5, 1.2], [0.9, 0.1]] * 10), -1)
    sure = tempered(scores, fit(scores, scores.argmax(-1).tolist())).exp().max(-1).values
    assert 0.9 < float(sure.mean()) < 0.995


def test_the_error_against_its_definition() -> None:
    scores = torch.tensor([[0.9, 0.1], [0.92, 0.08], [0.3, 0.7], [0.55, 0.45]]).log()
    want = (abs(1 - 0.9 - 0.92) + abs(1 - 0.7) + abs(0 - 0.55)) / 4
    assert calibration_error(scores, [0, 1, 1, 1]) == pytest.approx(want)


class Fixed:
    """A model that gives these scores."""

    can = frozenset({"predict"})

    def __init__(self, scores: torch.Tensor) -> None:
        self.scores = scores

    def predict(self, texts: list[str], labels: tuple[str, ...]) -> torch.Tensor:
        return self.scores[: len(texts)]


def settled(rows: int, folder: Path, lm: Any = None) -> tuple[temperature.Settled, Scores]:
    scores, wanted = simulated(rows, 4.0)
    labels = ("a", "b", "c")
    records = tuple(Labelled(f"row {i}", labels[w]) for i, w in enumerate(wanted))
    data = Split("classification", records[:1], records, records, labels)
    scored = Scores("accuracy", [], [], {}, scores)
    return settle(lm or Fixed(scores), data, scored, folder), scored  # type: ignore[arg-type]


def test_a_run_keeps_it_with_the_error_before_and_after(tmp_path: Path) -> None:
    """Seen failing with the file alone."""
    (tmp_path / "adapter").mkdir()
    found, scored = settled(200, tmp_path / "adapter")
    fact = found.facts["temperature"]
    assert fact["rows"] == 64 and kept(tmp_path) == pytest.approx(fact["value"]) and not found.notes
    assert scored.secondary["ece"] < scored.secondary["ece_untempered"] / 2


def test_few_rows_give_none_and_say_why(tmp_path: Path) -> None:
    """Nor do scores that are not finite, nor a model that is reached over a network."""
    found, scored = settled(FEW - 1, tmp_path)
    assert found.facts["temperature"]["value"] == 1.0 and f"{FEW - 1} validation rows, {FEW} at least" in found.notes[0]
    none, _ = settled(FEW, tmp_path, Fixed(torch.full((FEW, 3), -torch.inf)))
    assert none.facts["temperature"]["value"] == 1.0
    for note in (*found.notes, *none.notes):
        assert isinstance(note, Phrase) and "得分" in note.text("zh")
    away: Any = Fixed(simulated(FEW, 1.0)[0])
    away.remote = True
    assert settled(FEW, tmp_path, away)[0].facts == {} and not (tmp_path / FILE).exists() and not scored.secondary


@pytest.fixture
def trained(tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on rows enough for a temperature."""
    monkeypatch.chdir(tmp_path)
    rows = [(f"parcel number {i} is late" if i % 3 else f"pay me back {i}", "delivery" if i % 3 else "refund")
            for i in range(110)]  # fmt: skip
    with (tmp_path / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    (tmp_path / "new.jsonl").write_text('{"text": "where is parcel 7"}\n{"text": "my money"}\n')
    values = [f"model={tiny_folder('llama_tied')}", "method=zero_shot", "data.path=data.csv", "dtype=float32"]
    return api.train(read_recipe(None, values), tmp_path / "run")


def predicted(run: Path) -> list[dict[str, Any]]:
    out = run.parent / "out.jsonl"
    answer_file(run, run.parent / "new.jsonl", out, {}, None)
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_a_loaded_run_applies_it(trained: Path) -> None:
    """By `probabilities`, `predict` and `eval`. Seen failing with the file never read."""
    result = read_json(trained / "eval.json")
    fact = result["temperature"]
    assert fact["rows"] >= FEW and {"ece", "ece_untempered", "macro_f1"} <= set(result["secondary"])
    model = luthier.load(trained)
    assert model.temperature == fact["value"] != 1.0
    texts = ["where is parcel 7", "my money"]
    raw = model.lm.predict(texts, model.labels)
    want = tempered(raw, fact["value"]).exp()
    shares = model.probabilities(texts)
    assert [list(row.values()) for row in shares] == [pytest.approx(row) for row in want.tolist()]
    rows = predicted(trained)
    assert [row["probability"] for row in rows] == pytest.approx(want.max(-1).values.tolist(), abs=1e-4)
    assert [row["prediction"] for row in rows] == model.predict(texts) and "score" not in rows[0]
    from luthier.io.config import DataConfig
    from luthier.runs.evaluate import evaluate_run

    again = evaluate_run(trained, DataConfig(path="data.csv"), None)["secondary"]
    assert again["ece"]["value"] != again["ece_untempered"]["value"]


def test_an_older_run_has_scores(trained: Path) -> None:
    """And so has a run behind another wording. Seen failing with the column called probability all the same."""
    template = trained.parent / "t.json"
    template.write_text('{"text": "{input} =", "chat": false}')
    assert luthier.load(trained, template=template).temperature is None
    (trained / "adapter" / FILE).unlink()
    model = luthier.load(trained)
    assert model.temperature is None
    raw = model.lm.predict(["my money"], model.labels).exp().max()
    row = predicted(trained)[1]
    assert row["score"] == pytest.approx(float(raw), abs=1e-4) and "probability" not in row
