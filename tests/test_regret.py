"""What `bench/regret.py` computes from the two boards of a set, and how it is said. No model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import regret_rules as rules
import regret_table
from regret_sample import board, record, right


def test_ten_times_a_budget() -> None:
    assert rules.times("4k-tokens", 10) == "40k-tokens"
    assert [rules.times(b, 10) for b in ("300-tokens", "90s", "1.5m")] == ["3000-tokens", "900s", "15m"]
    assert rules.times("250k-tokens", 8000) == "2000000k-tokens", "no exponent"
    with pytest.raises(ValueError, match="--budget much"):
        rules.times("much", 10)


def test_rows_are_found_again_in_the_order_of_a_comparison() -> None:
    """Also where one text ends like another, or the instruction stands before it."""
    rows = [{"text": "no", "label": "bad"}, {"text": "oh  no", "label": "bad"}, {"text": "no", "label": "good"}]
    judged = [{"asked": t, "wanted": w} for t, w in (("no", "good"), ("oh no", "bad"), ("no", "bad"))]
    assert rules.order(rows, judged) == [2, 1, 0]
    written = [{"instruction": "Translate.", "input": x, "output": x.upper()} for x in ("ab", "cd")]
    assert rules.order(written, [{"asked": f"Translate.\n\n{x}", "wanted": x.upper()} for x in ("cd", "ab")]) == [1, 0]
    with pytest.raises(ValueError, match="not in the file: never"):
        rules.order(rows, [{"asked": "never", "wanted": "good"}])


@pytest.mark.parametrize("kind", ["use", "untuned", "cheaper"])
def test_what_is_recommended_is_used(kind: str) -> None:
    assert rules.followed(board("lora", kind, lora=0.5), {"lora": [1.0]}) == rules.Followed("use", "lora", "lora")


@pytest.mark.parametrize("kind", ["constant", "level", "below", "none"])
def test_none_of_these_yet_leaves_the_constant_answer_or_the_untuned_model(kind: str) -> None:
    told = board("lora", kind, lora=0.5)
    both = {"zero_shot": [1.0], "majority": [0.0]}
    assert rules.followed(told, both) == rules.Followed("none", "majority", "lora")
    assert rules.followed(told, {"zero_shot": [1.0]}).name == "zero_shot"
    assert rules.followed(told, {}).name is None


def test_regret_is_the_distance_to_the_best_in_points() -> None:
    large = {"a": right(0.5), "b": right(0.75), "c": right(0.6)}
    found = rules.regret(large, large["a"], 100.0)
    assert found.value == pytest.approx(25.0) and found.low < 25.0 < found.high
    assert rules.regret(large, large["b"], 100.0).value == 0.0, "the best itself"
    assert rules.regret({"a": [40.0] * 9}, [41.5] * 9, 1.0) == rules.Regret(-1.5, -1.5, -1.5), "no spread"


def test_the_interval_of_a_regret_holds_though_the_best_is_chosen_by_the_same_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Simulated: seven methods and the control of one quality. 95 % are due, and of 200 more than 180 are sure to hold.
    An interval of the chosen best alone holds 0 on fewer: it takes its luck for regret."""
    monkeypatch.setattr(rules, "RESAMPLES", 400)
    rng, kept, naive = np.random.default_rng(0), 0, 0
    for _ in range(200):
        large = {str(m): (rng.random(150) < 0.7).astype(float) for m in range(7)}
        control = (rng.random(150) < 0.7).astype(float)
        found = rules.regret(large, control.tolist(), 100.0)  # type: ignore[arg-type]
        kept += found.low <= 0.0 <= found.high
        top = max(large.values(), key=lambda rows: float(rows.mean()))
        alone = rules.regret({"top": top}, control.tolist(), 100.0)  # type: ignore[dict-item]
        naive += alone.low <= 0.0 <= alone.high
    assert kept > 180 > naive


def test_what_an_interval_says_of_one_point() -> None:
    found = [rules.Regret(1.0, *ends).sure for ends in ((0.0, 1.0), (1.1, 3.0), (0.5, 1.5))]
    assert found == ["near", "far", ""]


def test_held() -> None:
    """0.5 on 40 rows has noise of 0.155. By hand: 150 and 600 rows, 1.96 / sqrt(1.25) is 1.753, which 92.0 % are in."""
    ends = {"yes": [0.4, 0.6], "noise": [0.6, 0.7], "no": [0.7, 0.8]}
    for kind, ci95 in ends.items():
        assert rules.held({"ci95": ci95}, right(0.5), 20).kind == kind
    below = rules.held({"ci95": [0.1, 0.2]}, right(0.5), 20)
    assert (below.kind, below.score) == ("no", 0.5)
    assert rules.held({"ci95": [0, 1]}, [0.0, 1.0] * 300, 150).expected == pytest.approx(0.920, abs=0.001)


def test_a_set_whose_recommendation_was_right_about_the_method_and_short_of_budget() -> None:
    found = rules.outcome(record(board("lora", lora=0.7), board("full", full=0.8, lora=0.8, zero_shot=0.3), 0.6))
    assert found.best == "full" and found.method and found.run and found.held
    assert (found.method.value, found.run.value) == pytest.approx((0.0, 20.0))
    assert (found.held.kind, found.named) == ("yes", None)


def test_a_set_with_the_advice_to_use_none() -> None:
    """Both regrets are those of the constant answer, which needs no row; the named row's stands beside them."""
    large = board("full", full=0.8, lora=0.7, zero_shot=0.3)
    found = rules.outcome(record(board("lora", "level", lora=0.4), large, 0.35, majority=0.5))
    assert found.method and found.run and found.named and found.best == "full"
    assert [round(r.value) for r in (found.method, found.run, found.named)] == [30, 30, 10]
    assert found.held and found.held.kind == "yes"


def test_a_set_whose_advised_method_did_not_finish_at_the_large_budget() -> None:
    large = board("full", full=0.8)
    large["rows"].append({"name": "lora", "status": "failed"})
    found = rules.outcome(record(board("lora", lora=0.7), large, 0.6))
    assert found.method is None and found.run and round(found.run.value) == 20
    assert "| – |" in regret_table.markdown([found], "c")


def test_nothing_finished() -> None:
    small: dict[str, Any] = {"rows": [], "best": None, "winner": None, "recommendation": {"kind": "none", "name": ""}}
    kept = record(board("a", a=0.5), board("full", full=0.8), 0.5)
    found = rules.outcome(kept | {"small": small, "scores": kept["scores"] | {"small": {}}})
    assert found.followed.name is None and found.method is None and found.held is None
    page = regret_table.markdown([found], "c")
    assert "nothing finished" in page and "nothing is left to use" in page
    assert page.endswith("\nNo set has a regret.\n")


def test_shares_and_means_over_sets() -> None:
    """Wilson's interval of 6 of 8 as its paper's formula gives it: 0.409 to 0.929."""
    assert rules.wilson(6, 8) == pytest.approx((0.409, 0.929), abs=0.001)
    mean, low, high = rules.mean_over_sets([0.0, 1.0, 5.0])
    assert mean == 2.0 and 0.0 <= low < 2.0 < high <= 5.0


def test_the_table() -> None:
    made = record(board("lora", lora=0.7), board("full", full=0.8, lora=0.75), 0.6)
    page = regret_table.markdown([rules.outcome(made)] * 3, "the command").splitlines()
    line = next(line for line in page if line.startswith("| mood"))
    cells = line.strip("| ").split(" | ")
    assert cells[:6] == ["mood\\*", "9, 20, 40", "lora 70.0 [60.0, 80.0]", "60.0", "yes", "full 80.0 (78.0)"]
    assert cells[6].startswith("~ 5.0 [0.0, ") and cells[7].startswith("20.0 [") and cells[8] == "4"
    assert "- machine: cores 2, vector instructions AVX2" in page, "once, though three sets say it"
    assert page[-1].startswith(
        "The recommended method was at most 1 point below the best of 10 times the budget on 0 of 3"
    )
