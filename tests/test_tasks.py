"""Several labels a text and numbers, from training to the file that `luthier predict` writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import luthier
import tiny
from luthier.api.predicting import answer_file
from luthier.comparison.execution import quiet_latency
from luthier.comparison.plan import Plan, Request
from luthier.comparison.trial import Bench
from luthier.comparison.trial_list import Trial
from luthier.core.errors import LuthierError, Refused
from luthier.core.phrases import Phrase, of_error
from luthier.core.records import Rated, Tagged
from luthier.core.split import Split
from luthier.evals.task import evaluate
from luthier.io import config
from luthier.io.files import read_json, write_text
from luthier.models.causal import CausalLM
from luthier.runs import run

WORDS = {"angry": "furious", "money": "refund", "parcel": "courier"}


def many(task: str) -> Split:
    """Rows whose answer can be read off single words, so that a tiny random model can learn it."""
    rows: list[Any] = []
    for i in range(48):
        tags = tuple(t for k, t in enumerate(sorted(WORDS)) if i >> k & 1)
        text = f"row {i % 5}: " + " and ".join(WORDS[t] for t in tags)
        value = 100.0 + 30 * len(tags)
        rows.append(Tagged(text, tags) if task == "multilabel" else Rated(text, value))
    labels = tuple(sorted(WORDS)) if task == "multilabel" else ()
    return Split(task, tuple(rows[:32]), tuple(rows[32:40]), tuple(rows[40:]), labels)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["multilabel", "regression"])
@pytest.mark.parametrize("method", ["lora", "head", "features"])
def test_learned_saved_and_answered(lm: CausalLM, method: str, task: str, tmp_path: Path) -> None:
    """Seen failing with the head of a loaded run made for one label of several."""
    split, folder = many(task), tmp_path / "run"
    training = {} if method == "features" else {"training": {"epochs": 20, "learning_rate": 0.01}}
    recipe = tiny.recipe(Path(lm.name), method, **training)
    write_text(folder / "recipe.yaml", config.to_yaml(recipe))
    with run.adapted(lm, recipe, split, folder) as outcome:
        run.save_adapted(outcome, folder)
        scores = evaluate(outcome.lm, split, split.test)
        assert outcome.lm.output == {"multilabel": "tags", "regression": "scalar"}[task]
    json.dumps(scores.secondary, allow_nan=False)
    assert scores.score > 0.6 and len(scores.per_row) == len(scores.answers) == 8
    model = luthier.load(folder)
    texts = [str(r.asked) for r in split.test]
    if task == "multilabel":
        assert [", ".join(tags) for tags in model.tags(texts)] == scores.answers
        assert all(0 <= p <= 1 for p in model.probabilities(texts)[0].values())
    else:
        assert [f"{v:g}" for v in model.values(texts)] == scores.answers
    with pytest.raises(LuthierError, match="gives"):
        model.predict(texts)
    write_text(tmp_path / "new.csv", "text\n" + "\n".join(texts) + "\n")
    answer_file(folder, tmp_path / "new.csv", tmp_path / "out.csv", {}, None)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        found = [row["prediction"] for row in csv.DictReader(file)]
    if task == "multilabel":
        assert found == scores.answers
    else:
        torch.testing.assert_close(torch.tensor([*map(float, found)]), torch.tensor([*map(float, scores.answers)]))


@pytest.mark.parametrize("task", ["multilabel", "regression"])
@pytest.mark.parametrize("method", ["lora", "features"])
def test_a_trial_of_a_comparison(lm: CausalLM, method: str, task: str, tmp_path: Path) -> None:
    split = many(task)
    request = Request(model=lm.name, methods=(method,), budget="2k-tokens")
    plan = Plan(request, 2000, None, None, "float32", 1, lm.key, "")
    trial = Trial(lm.name, method, None, method)
    bench = Bench(lm, split, plan, tmp_path, lambda *_: None)
    bench.run(trial)
    result = read_json(tmp_path / "trials" / method / "seed-0" / "eval.json")
    assert result["metric"] == {"multilabel": "label_f1", "regression": "mae_skill"}[task]
    assert len(result["per_row"]) == 8 and result["latency_ms"] is None
    quiet_latency.measure(bench, [trial], 1)
    assert read_json(tmp_path / "trials" / method / "seed-0" / "latency.json")["latency_ms"] > 0


@pytest.mark.parametrize("method", ["zero_shot", "few_shot"])
def test_methods_that_only_word_the_question_say_that_they_cannot(lm: CausalLM, method: str) -> None:
    recipe = tiny.recipe(Path(lm.name), method)
    both = ("labels or text or a preference between two answers", "标签或文本或两个回答之间的偏好")
    en, zh = both if method == "zero_shot" else ("labels or text", "标签或文本")
    for task, wants in (("multilabel", "several labels a text"), ("regression", "numbers")):
        with (
            pytest.raises(Refused, match=f"{method} gives {en}, and this task wants {wants}") as error,
            run.adapted(lm, recipe, many(task)),
        ):
            pass
        said = of_error(error.value)
        assert isinstance(said, Phrase) and said.text("zh").startswith(f"{method} 给出{zh}，而本任务需要")


def test_all_training_values_the_same(lm: CausalLM) -> None:
    split = Split("regression", tuple(Rated(f"row {i}", 3.0) for i in range(8)), ())
    with (
        pytest.raises(LuthierError, match="all training rows have the value 3"),
        run.adapted(lm, tiny.recipe(Path(lm.name), "head"), split),
    ):
        pass
