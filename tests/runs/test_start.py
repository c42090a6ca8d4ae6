"""A run that starts from another: its adapter trained on, or folded into the base; and who teaches and judges."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from luthier.core import catalog
from luthier.core.errors import LuthierError, Refused
from luthier.core.split import Split
from luthier.export.parity import Check
from luthier.export.write import export_run
from luthier.io import config
from luthier.io.config import Recipe
from luthier.io.files import write_text
from luthier.models.base import TrainableLM
from luthier.models.causal import CausalLM
from luthier.objectives.sft import Sft
from luthier.runs import inputs, run
from luthier.runs.judges import teacher_of
from luthier.runs.loaded import load_run, reward_of
from luthier.runs.start import goes_on, started
from luthier.training.context import Context, Meter
from watching import watched

DATA = replace(tiny.CHATS, test=())
PROMPTS = ("where is my parcel", "pay me back")
STILL: dict[str, Any] = {"training": {"epochs": 1, "learning_rate": 0.0}}


JUDGES = """
LATER = 3
def long(prompt, answer, row):
    return len(answer)
def bad(*_):
    return float("nan")
def broken(*_):
    raise KeyError("k")
"""


def made(folder: Path, base: Path, method: str = "lora", data: Split = DATA, **changes: Any) -> Path:
    """A finished run, trained as `train` trains it."""
    recipe = tiny.recipe(base, method, **changes)
    write_text(folder / "recipe.yaml", config.to_yaml(recipe))
    with run.adapted(started(tiny.fresh(base), recipe), recipe, data, folder) as outcome:
        run.save_adapted(outcome, folder)
    return folder


def says(lm: Any) -> torch.Tensor:
    """What a model makes of a few texts."""
    rows = [lm.tokenizer(text)["input_ids"] for text in PROMPTS]
    with torch.no_grad():
        found = [lm.head.logits(lm.hidden(torch.tensor(r), torch.arange(len(r)), [len(r)])) for r in rows]
    return torch.cat(found)


@pytest.fixture
def base(lm: CausalLM) -> Path:
    return Path(lm.name)


@pytest.fixture
def first(base: Path, tmp_path: Path) -> Path:
    return made(tmp_path / "first", base, training={"epochs": 6, "learning_rate": 0.02})


def test_the_same_method_trains_on(base: Path, first: Path, tmp_path: Path) -> None:
    """Without a step it is what it started from, and it needs its start no more."""
    second = made(tmp_path / "second", base, start=str(first), **STILL)
    want = says(load_run(first))
    assert goes_on(config.run_recipe(second)) and not torch.allclose(want, says(tiny.fresh(base)), atol=1e-2)
    torch.testing.assert_close(says(load_run(second)), want, rtol=0, atol=0)
    third = made(tmp_path / "third", base, start=str(second), training={"epochs": 2, "learning_rate": 0.01})
    assert not torch.allclose(says(load_run(third)), want, atol=1e-3)


@pytest.mark.parametrize("name", sorted(catalog.entries("patches")))
def test_every_patch_trains_on_or_says_why_not(base: Path, tmp_path: Path, name: str) -> None:
    try:
        one = made(tmp_path / "one", base, name, training={"epochs": 2, "learning_rate": 0.01})
        two = made(tmp_path / "two", base, name, start=str(one), **STILL)
    except (Refused, LuthierError) as error:
        assert name in ("p_tuning", "prefix", "soft_prompt") or "pip install" in str(error), str(error)
        return
    torch.testing.assert_close(says(load_run(two)), says(load_run(one)), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "options"), [("prefix", {"n": 3}), ("lora", {"rank": 3}), ("full", {}), ("bitfit", {})]
)
def test_another_method_stands_on_the_folded_start(
    base: Path, first: Path, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    """Its reference is what the start had learned."""
    changes: dict[str, Any] = {"training": {"epochs": 1, "learning_rate": 1e-9}} if name == "prefix" else STILL
    second = made(tmp_path / "second", base, name, start=str(first), patch=options, **changes)
    want = says(load_run(first))
    given = tiny.fresh(base)
    before = tiny.bits(given.model)
    loaded: Any = load_run(second, given)
    assert tiny.same(before, tiny.bits(given.model)), "the base that was given is nobody's to change"
    if name != "prefix":  # which is no identity at its start
        torch.testing.assert_close(says(loaded), want, rtol=0, atol=2e-5)
    recipe = config.run_recipe(second)
    lm = started(tiny.fresh(base), recipe)
    assert lm.key != given.key and recipe.start == str(first)
    with run.adapted(lm, recipe, DATA) as outcome:
        assert outcome.loop is not None
        assert isinstance(outcome.lm, TrainableLM)
        with outcome.loop.patch.off(outcome.lm):
            torch.testing.assert_close(says(outcome.lm), want, rtol=0, atol=2e-5)
    first.rename(tmp_path / "elsewhere")
    with pytest.raises(LuthierError, match="first does not exist"):
        load_run(second)


def test_what_needs_a_reference_folds_its_start(base: Path, first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training on would move the reference's own weights."""
    recipe = tiny.recipe(base, start=str(first), objective={"name": "sft"})
    assert goes_on(recipe)
    monkeypatch.setattr(Sft, "needs", ("reference",))
    assert not goes_on(recipe)


def test_refusals(base: Path, first: Path, tmp_path: Path) -> None:
    prefix = made(tmp_path / "prefix", base, "prefix", patch={"n": 3})
    with pytest.raises(Refused, match="prefix cannot be folded into the base"):
        made(tmp_path / "x", base, start=str(prefix))
    worded = made(tmp_path / "worded", base, "few_shot")
    with pytest.raises(LuthierError, match="holds few_shot, which changes no weights"):
        made(tmp_path / "x", base, start=str(worded))
    with pytest.raises(LuthierError, match="zero_shot trains no weights"):
        made(tmp_path / "x", base, "zero_shot", start=str(first))
    other = shutil.copytree(base, tmp_path / "other base")
    with pytest.raises(LuthierError, match="first stands on"):
        made(tmp_path / "x", other, start=str(first))
    with pytest.raises(LuthierError, match="none does not exist"):
        made(tmp_path / "x", base, start=str(tmp_path / "none"))
    labelled = made(tmp_path / "labels", base, data=replace(tiny.LABELLED, test=()), objective={"name": "classify"})
    with pytest.raises(Refused, match="answers with other labels"):
        made(tmp_path / "x", base, start=str(labelled))


def test_a_start_that_changed_is_noticed(base: Path, first: Path) -> None:
    recipe = tiny.recipe(base, start=str(first))
    before = inputs.of_recipe(recipe, DATA)
    file = first / "adapter" / "adapter_model.safetensors"
    save_file({n: t * 2 for n, t in load_file(file).items()}, file)
    assert inputs.changed(before, inputs.of_recipe(recipe, DATA)) == [f"start {first}"]


def test_exports_hold_the_start(base: Path, first: Path, tmp_path: Path) -> None:
    second = made(tmp_path / "second", base, start=str(first), patch={"rank": 3})
    with pytest.raises(LuthierError, match="was folded into, which others do not have: --to merged"):
        export_run(second, "adapter", tmp_path / "adapter", "f16", lambda _: None, lambda _: None)
    checks: list[Check] = []
    export_run(second, "merged", tmp_path / "merged", "f16", lambda _: None, checks.extend)
    assert checks and all(check.ok for check in checks)
    torch.testing.assert_close(says(tiny.fresh(tmp_path / "merged")), says(load_run(second)), rtol=0, atol=1e-4)


def test_recipes_of_before_are_written_as_before(base: Path) -> None:
    """A folder that was begun must not hold "a run of another recipe" since these came."""
    text = config.to_yaml(tiny.recipe(base))
    assert not any(f"{name}:" in text for name in ("start", "teacher", "reward"))
    recipe = tiny.recipe(base, start="runs/a", reward="re:x")
    path = base.parent / "recipe.yaml"
    write_text(path, config.to_yaml(recipe))
    assert config.read_recipe(path) == recipe


def test_a_teacher_is_a_run_or_a_model(base: Path, first: Path, tmp_path: Path) -> None:
    assert teacher_of(tiny.recipe(base)) is None
    taught: Any = teacher_of(tiny.recipe(base, teacher=str(first)))
    torch.testing.assert_close(says(taught), says(load_run(first)), rtol=0, atol=0)
    plain: Any = teacher_of(tiny.recipe(base, teacher=str(base)))
    torch.testing.assert_close(says(plain), says(tiny.fresh(base)), rtol=0, atol=0)
    with pytest.raises(Refused, match=r"sft has no use for a teacher: leave it out"):
        made(tmp_path / "x", base, teacher=str(base))
    with pytest.raises(Refused, match=r"zero_shot has no use for a reward"):
        made(tmp_path / "x", base, "zero_shot", reward="re:x")


def test_what_a_teacher_says_is_learned_from(
    base: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Context] = []
    monkeypatch.setattr(Sft, "needs", ("teacher", "reward"))
    with pytest.raises(Refused, match="sft needs a teacher, and none is named"):
        made(tmp_path / "x", base)
    monkeypatch.setattr(Sft, "setup", lambda self, lm, examples: None)
    dataset = Sft.dataset
    monkeypatch.setattr(Sft, "dataset", watched(dataset, lambda self, ctx, data: seen.append(ctx)))
    made(tmp_path / "y", base, teacher=str(first), reward="re:ok")
    assert seen[0].teacher is not None and seen[0].reward is not None
    seen[0].teacher.logprobs(dataset(Sft(), seen[0], DATA)[:1])
    assert seen[0].meter.by["teacher"] > 0


def test_rewards(base: Path, tmp_path: Path) -> None:
    recipe, meter = tiny.recipe(base), Meter()

    def judged(name: str) -> list[float]:
        reward = reward_of(replace(recipe, reward=name), meter)
        assert reward is not None
        return reward.score(["q", "q"], ["yes, 12", "no"], list(DATA.train[:2]))

    assert reward_of(recipe, meter) is None and judged(r"re:\d+") == [1.0, 0.0]
    file = tmp_path / "judge.py"
    file.write_text(JUDGES)
    assert judged(f"{file}:long") == [7.0, 2.0]
    for name, why in (
        ("re:(", "not a regular expression"), (f"{file}:LATER", "no function 'LATER'"), (f"{file}:none", "no function"),
        (f"{tmp_path}/none.py:f", "no such file"), (f"{file}:bad", "gave nan"), (f"{file}:broken", "raised KeyError"),
        ("runs/none", "neither a run folder nor"),
    ):  # fmt: skip
        with pytest.raises(LuthierError, match=why):
            judged(name)


def test_a_run_that_gives_numbers_judges(base: Path, tmp_path: Path) -> None:
    from luthier.core.records import Rated

    rated = Split("regression", tuple(Rated(f"row {i}\n{'good' * (i % 3)}", float(i % 3)) for i in range(12)), ())
    folder, meter = made(tmp_path / "rated", base, data=rated), Meter()
    reward = reward_of(Recipe(model=str(base), reward=str(folder)), meter)
    assert reward is not None
    found = reward.score(["row 1", "row 2"], ["good", ""], [])
    assert len(found) == 2 and all(isinstance(x, float) for x in found) and meter.by["reward"] > 0
    assert reward.score([], [], []) == []
    first = made(tmp_path / "words", base)
    with pytest.raises(LuthierError, match="answers with text, and a reward is a number"):
        reward_of(Recipe(model=str(base), reward=str(first)), meter)
