"""Budgets, the plan that a comparison keeps, equal cost, and the folders it may use."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from luthier.comparison import estimate as estimates
from luthier.comparison import plan as plans
from luthier.comparison.budget import parse_budget
from luthier.comparison.estimate import Speed, estimate
from luthier.comparison.execution import workers as crews
from luthier.comparison.plan import (
    Plan,
    Request,
    begin,
    check_folder,
    check_methods,
    make_request,
    read_plan,
    save_plan,
)
from luthier.comparison.planning import FEWEST, make_plan, spoken_total
from luthier.core import catalog
from luthier.core.errors import LuthierError
from luthier.core.split import Split
from luthier.io.config import DataConfig
from luthier.io.files import write_json
from luthier.models.causal import CausalLM
from luthier.objectives.sft import Sft

REQUEST = Request(DataConfig("mine.jsonl", labels={"0": "no"}), "some/model", ("zero_shot", "lora"), "3m", 2)
PLAN = Plan(REQUEST, 3000, 180.0, 16.5, "float32", 1, "key", "data")
AMOUNT = st.decimals(min_value="0.01", max_value="9999", places=2).map(str) | st.integers(1, 9999).map(str)


@given(AMOUNT, st.sampled_from([("s", 1), ("m", 60), ("h", 3600)]))
def test_times(amount: str, unit: tuple[str, int]) -> None:
    kind, seconds = parse_budget(f" {amount}{unit[0]} ")
    assert kind == "seconds" and math.isclose(seconds, float(amount) * unit[1])


@given(st.integers(1, 9999), st.sampled_from([("", 1), ("k", 1000), ("M", 1_000_000)]), st.sampled_from(["-", ""]))
def test_tokens(amount: int, unit: tuple[str, int], dash: str) -> None:
    assert parse_budget(f"{amount}{unit[0]}{dash}tokens") == ("tokens", amount * unit[1])


@given(st.text(max_size=12) | st.from_regex(r"[-+]?[0-9.e]{1,6}(s|m|h|k-tokens|tokens)?", fullmatch=True))
def test_whatever_is_written_is_a_budget_or_an_error_that_quotes_it(text: str) -> None:
    try:
        kind, value = parse_budget(text)
    except LuthierError as error:
        assert f"--budget {text}: " in str(error)
    else:
        assert kind in ("seconds", "tokens") and 0 < value < math.inf


LONG = ("9" * 400 + "h", "9" * 30 + "s")


@pytest.mark.parametrize(
    "text", ["0s", "0-tokens", "-1m", "1e9m", "", "5", "m", "inf", "nan", "0.5-tokens", "3 m", *LONG]
)
def test_nonsense(text: str) -> None:
    with pytest.raises(LuthierError, match="--budget"):
        parse_budget(text)


def test_methods_are_checked_and_named_once() -> None:
    usual = tuple(catalog.methods())
    assert set(check_methods([], DataConfig())) == set(catalog.DEFAULT) and len(catalog.DEFAULT) < 8, "one of each kind"
    assert check_methods(["all"], DataConfig()) == usual
    for known in (DataConfig("mine.jsonl", docs="folder"), DataConfig("handbook")):
        assert set(check_methods([], known)) == {*catalog.DEFAULT, "lora/lm"}
        assert check_methods(["all"], known) == (*usual, "lora/lm")
    assert check_methods(["lora", "lora/lm", "lora"], DataConfig()) == ("lora", "lora/lm")
    patches = tuple(name for name in usual if name in catalog.entries("patches"))
    assert check_methods(["features", "peft", "lora"], DataConfig()) == ("features", *patches)
    assert check_methods(["direct"], DataConfig()) == tuple(name for name in usual if name not in patches)
    with pytest.raises(LuthierError, match="did you mean lora"):
        check_methods(["full", "lorra"], DataConfig())


@settings(deadline=None)
@given(st.integers(1, 10**9))
def test_a_search_never_costs_more_than_a_final_run(tokens: int) -> None:
    plan = replace(PLAN, tokens=tokens)
    for entry in catalog.entries("patches").values():
        rates = catalog.load(entry).learning_rates
        most = len(rates) + 1  # one beyond them
        assert most * (plan.search_tokens // most) <= plan.search_tokens <= tokens


def test_what_is_spoken_is_the_most_that_is_spent() -> None:
    text = spoken_total(replace(PLAN, tokens=1000), 60)
    assert "2 methods, 2 seeds: 1,000 tokens" in text and "at most 3,000 tokens in all" in text
    text = spoken_total(replace(PLAN, tokens=1000, estimate=192.0, answering=60.0, workers=2), 60)
    assert text.endswith(". About 3 m 12 s by 2 workers, 30 s of them to answer")


def test_recipes_of_a_plan_are_equal_but_for_the_method() -> None:
    one, other = (PLAN.recipe(m, 1, PLAN.tokens, 1e-3) for m in ("lora", "full"))
    assert replace(one, method="full") == other
    assert (one.training.tokens, one.training.batch, one.threads, one.dtype) == (3000, 8, 1, "float32")


def test_a_plan_comes_back(tmp_path: Path) -> None:
    assert read_plan(tmp_path) is None
    save_plan(PLAN, tmp_path)
    assert read_plan(tmp_path) == PLAN


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"version": 1}', "\0", '{"request": 3, "tokens": "many"}'])
def test_a_damaged_plan_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(LuthierError, match=r"plan\.json: cannot go on without its plan .*choose another --out"):
        read_plan(tmp_path)


def test_a_plan_of_another_version_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "plan.json", dataclasses.asdict(replace(PLAN, version=0)))
    with pytest.raises(LuthierError, match="another version"):
        read_plan(tmp_path)


def test_folders(tmp_path: Path) -> None:
    new, file, foreign = tmp_path / "a" / "new", tmp_path / "file", tmp_path / "foreign"
    begin(REQUEST, new)
    begin(REQUEST, new)  # its own folder again
    begin(replace(REQUEST, seeds=3), new)  # nothing was planned yet: the folder is free
    save_plan(PLAN, new)
    for other in (REQUEST, replace(REQUEST, seeds=3, budget="4m")):
        with pytest.raises(LuthierError, match="holds another comparison"):
            begin(other, new)
    file.write_text("mine")
    with pytest.raises(LuthierError, match="is a file"):
        check_folder(REQUEST, file)
    foreign.mkdir()
    begin(REQUEST, foreign)
    (foreign / "request.json").rename(foreign / "notes.txt")
    with pytest.raises(LuthierError, match="not empty and holds no comparison"):
        begin(REQUEST, foreign)
    assert file.read_text() == "mine" and [p.name for p in foreign.iterdir()] == ["notes.txt"]


def test_a_damaged_request_beside_a_plan_is_another_comparison(tmp_path: Path) -> None:
    begin(REQUEST, tmp_path / "x")
    save_plan(PLAN, tmp_path / "x")
    (tmp_path / "x" / "request.json").write_text('{"data": 3}')
    with pytest.raises(LuthierError, match="holds another comparison"):
        check_folder(REQUEST, tmp_path / "x")


def test_the_same_request_has_the_same_folder() -> None:
    assert REQUEST.folder == replace(REQUEST).folder
    others = [replace(REQUEST, seeds=1), replace(REQUEST, model="x"), replace(REQUEST, data=DataConfig("mine.jsonl"))]
    assert len({REQUEST.folder, *(other.folder for other in others)}) == 4
    assert REQUEST.folder.name.startswith("compare-mine-")


def test_seconds_become_tokens_by_the_rate_on_training_rows(lm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def rate(_lm: object, data: Split, batch: int, *more: object, **others: object) -> float:
        seen.append(data.test)
        return 250.0

    monkeypatch.setattr(crews, "measure_rate", rate)
    plan = make_plan(replace(REQUEST, threads=1), lm, tiny.LABELLED, "float32")
    assert (plan.tokens, plan.seconds, plan.rate) == (45_000, 180.0, 250.0)
    assert set(seen) == {()}, "the test rows are not looked at"
    plan = make_plan(replace(REQUEST, threads=1, budget="20k-tokens"), lm, tiny.LABELLED, "float32")
    assert (plan.tokens, plan.seconds, plan.rate) == (20_000, None, None)


def test_the_rate_leaves_the_base_as_it_was(lm: CausalLM) -> None:
    before, shape = tiny.bits(lm.model), tiny.tree(lm.model)
    assert crews.measure_rate(lm, tiny.LABELLED, 4, seconds=0.05) > 0
    assert tiny.same(before, tiny.bits(lm.model)) and tiny.tree(lm.model) == shape


@pytest.mark.parametrize(
    ("cores", "trials", "gigabytes", "expected"),
    [
        (1, 9, 99, (1, 1)),
        (2, 9, 99, (2, 1)),
        (2, 1, 99, (1, 2)),
        (8, 3, 99, (3, 2)),
        (8, 9, 3.5, (2, 4)),
        (2, 9, 1, (1, 2)),
    ],
)
def test_every_core_gets_a_worker_as_far_as_trials_and_memory_go(
    cores: int, trials: int, gigabytes: float, expected: tuple[int, int], lm: CausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny model needs little beside the libraries' 1.5 GB."""
    monkeypatch.setattr(crews, "threads", lambda wanted: wanted)
    monkeypatch.setattr(crews, "memory", lambda: {"available": int(gigabytes * 1e9)})
    assert crews.crew(lm, cores, trials) == expected


def test_a_small_budget_takes_smaller_steps(lm: CausalLM) -> None:
    """As many rows as give a short run eight steps; the same for every trial, kept in the plan."""
    work = lm.asked(template=lm.wordings(tiny.LABELLED.labels)[0], labels=tiny.LABELLED.labels)
    examples = Sft().encode(work, tiny.LABELLED, tiny.LABELLED.train)
    row = sum(e.tokens for e in examples) / len(examples)
    assert crews.row_tokens(lm, tiny.LABELLED) == row
    sizes = [crews.fitting_batch(row, 8, int(crews.STEPS * row * n) + 1) for n in (0, 1, 2, 5, 8, 20)]
    assert sizes == [1, 1, 2, 5, 8, 8]
    budget = f"{int(crews.STEPS * row * 3 * plans.SHORT_RUNS) + plans.SHORT_RUNS}-tokens"
    plan = make_plan(replace(REQUEST, threads=1, budget=budget), lm, tiny.LABELLED, "float32")
    assert plan.request.batch == 3 and plan.recipe("lora", 0, 100, 1e-3).training.batch == 3
    assert plan.on_rows(4, 8).request.batch == 3
    assert "in steps of 3 rows for a budget this small" in spoken_total(plan, 8)
    assert "steps of" not in spoken_total(PLAN, 60)


def test_a_total_is_shared_out_by_what_each_method_costs(lm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 100 s by one worker less 15 to begin; lora 100 and full 50 tokens a second, one final run and as much
    again to search: 0.02 + 0.04 s a token. Answering: 0.1 s a row."""
    speed = Speed({"lora": 100.0, "full": 50.0}, 0.1, 20.0)
    request = replace(REQUEST, methods=("zero_shot", "lora", "full"), budget="", total="100s", seeds=1)
    plan = replace(PLAN, request=request, row_tokens=20.0)
    data = replace(tiny.LABELLED, test=())
    judged = len(data.validation)
    once = 10 + judged  # test rows, and validation rows for a temperature
    asked = 3 * judged + once + 2 * (once + 4 * judged)
    found = estimate(plan, data, 10, speed)
    losses = 4 * judged * 20 / 2 * (1 / 100 + 1 / 50)
    assert found.answering == pytest.approx(0.1 * asked)
    assert found.fixed == pytest.approx(0.1 * asked + losses + 1 + 2 * 2 * 3)
    tokens = found.tokens(100.0, 1)
    assert tokens == int((85 - found.fixed) / 0.06)
    assert found.seconds(tokens, 1) == pytest.approx(100, abs=0.1)
    # two workers share all but the end of the slowest final run, 0.02 s a token; seen failing: 15 m took 19 m
    assert found.seconds(tokens, 2) == pytest.approx(15 + (found.fixed + 0.08 * tokens) / 2)
    assert found.tokens(100.0, 2) == int((170 - found.fixed) / 0.08)
    # judging reads both answers of a pair in each run, 70 tokens here, and the reference's of them once
    pairs = replace(speed, judged={"lora": (70.0, 70.0), "full": (20.0, 0.0)})
    more = (4 * (70 - 20) + 70) * judged / 2 / 100
    assert estimate(plan, data, 10, pairs).fixed == pytest.approx(found.fixed + more)
    monkeypatch.setattr(estimates, "measure_speed", lambda *_: speed)
    made = make_plan(replace(request, threads=1), lm, tiny.LABELLED, "float32")
    assert made.estimate == pytest.approx(100, abs=0.5) and made.tokens > 100
    with pytest.raises(LuthierError, match=r"--total 16s: answering and loading alone take about .* --limit-test"):
        make_plan(replace(request, threads=1, total="16s"), lm, tiny.LABELLED, "float32")


def test_a_budget_that_holds_no_step_is_refused_before_anything_runs(lm: CausalLM) -> None:
    """Seen as eight failed trials after half an hour."""
    with pytest.raises(LuthierError) as caught:
        make_plan(replace(REQUEST, threads=1, budget="5-tokens"), lm, tiny.LABELLED, "float32")
    said = str(caught.value)
    assert "--budget 5-tokens is 5 tokens for each method and seed, and a step of one row takes about" in said
    assert "Give about --budget 1k-tokens" in said and said.endswith("leave out what trains: --methods zero_shot")
    make_plan(replace(REQUEST, threads=1, budget="5-tokens", methods=("zero_shot",)), lm, tiny.LABELLED, "float32")


def test_too_few_steps_are_no_search(lm: CausalLM) -> None:
    row = crews.row_tokens(lm, tiny.LABELLED)
    few, enough = (
        make_plan(replace(REQUEST, threads=1, budget=f"{int(row * n)}-tokens"), lm, tiny.LABELLED, "float32")
        for n in (6, 60)
    )
    rates = len(catalog.load(catalog.find("lora", "patches")).learning_rates)
    assert (few.short_steps(rates) or 9) < FEWEST <= (enough.short_steps(rates) or 0)
    assert "the middle of each range is taken" in spoken_total(few, 8)
    assert "the middle of each range is taken" not in spoken_total(enough, 8)


@pytest.mark.parametrize(("budget", "total"), [("1m", "5m"), ("", "20k-tokens"), ("", "soon")])
def test_a_total_is_a_time_and_alone(budget: str, total: str) -> None:
    with pytest.raises(LuthierError, match="--total"):
        make_request({}, budget=budget, total=total)


def test_without_either_a_comparison_takes_ten_minutes() -> None:
    assert (make_request({}).total, make_request({}, budget="2m").total) == ("10m", "")


def test_what_cannot_be_measured_counts_as_the_slowest_and_what_is_refused_costs_nothing() -> None:
    speed = Speed({"lora": 100.0, "full": 50.0}, 0.1, 20.0, frozenset({"prefix"}))
    assert (speed.rate("lora"), speed.rate("adapter"), speed.rate("prefix")) == (100.0, 50.0, None)
    assert Speed({}, 0.1, 20.0).rate("lora") is None


def test_nothing_that_trains_is_said_and_shares_no_tokens(lm: CausalLM) -> None:
    """Seen saying `1 tokens of training for each method` for two methods that train nothing."""
    request = replace(REQUEST, methods=("zero_shot", "few_shot"), budget="", total="10m", threads=1)
    plan = make_plan(request, lm, tiny.LABELLED, "float32")
    assert spoken_total(plan, 8).startswith("2 methods, 2 seeds, nothing is trained. About ")


def test_models_share_the_total(lm: CausalLM) -> None:
    request = replace(REQUEST, budget="", total="100s", seeds=1, threads=1, others=("other", "http://127.0.0.1:1/v1#m"))
    assert request.here == 2
    alone, shared = (make_plan(request, lm, tiny.LABELLED, "float32", share=s) for s in (1.0, 0.5))
    assert (alone.estimate or 0) > 1.5 * (shared.estimate or 0) and alone.tokens > shared.tokens


def test_a_method_that_ends_the_process_while_it_is_measured_is_not_measured_again(
    lm: CausalLM, tmp_path: Path
) -> None:
    mark = tmp_path / "measuring.json"
    write_json(mark, {"method": "lora", "dead": ["head"]})
    plan = replace(PLAN, request=replace(REQUEST, methods=("head", "lora", "full")), row_tokens=20.0)
    speed = estimates.measure_speed(plan, lm, replace(tiny.LABELLED, test=()), mark)
    assert set(speed.rates) == {"full"} and not mark.exists()
