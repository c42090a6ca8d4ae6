"""How many rows do I need: the statistics against brute force, the words, the budget rule, the part of the page."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from board_sample import sample_board, sample_details
from luthier.comparison import curve
from luthier.comparison.trial_list import scaled
from luthier.evals.bootstrap import Interval
from luthier.reports.comparison import curve_chart, html_report, sentences

N = 200


def run(right: int, tokens: int = 100) -> dict[str, object]:
    """A run that labels the first `right` of N test rows right."""
    return {"per_row": [1.0] * right + [0.0] * (N - right), "tokens": tokens, "train_seconds": 1.5}


def line(name: str, right: dict[int, int], left_out: dict[int, str] | None = None) -> curve.Line:
    return curve.Line(name, name, "embedded", {n: [run(k, 10 * n)] for n, k in right.items()}, left_out or {})


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high)


def test_the_table_and_the_answer() -> None:
    found = [line("lora", {32: 90, 64: 150, 128: 158, 256: 160}), line("zero_shot", {256: 80})]
    table = curve.table(found, "lora")
    assert table["sizes"] == [32, 64, 128, 256]
    lora, zero_shot = table["methods"]
    assert [p["score"] for p in lora["points"]] == [0.45, 0.75, 0.79, 0.8]
    assert [p["tokens"] for p in lora["points"]] == [320, 640, 1280, 2560]
    assert lora["enough"] == 128 and lora["more_helps"] is False  # 64 is 10 rows of 200 behind: 5 points, 2 to 8
    said = sentences.curve(lora, "accuracy")
    assert table["main"] == "lora" and sentences.curve_of({"curve": table, "metric": "accuracy"}) == said
    assert "lora needs about 128 rows" in said and "No gain can be seen from 128 to 256" in said
    assert zero_shot["enough"] == 256 and zero_shot["more_helps"] is None
    assert lora["name"] == "lora"


def test_intervals_are_paired() -> None:
    """Against a bootstrap written out. Planted bug that it caught: each size resampled rows of its own."""
    table = curve.table([line("lora", {32: 90, 64: 100})], "lora")
    rng = np.random.default_rng(1)
    a, b = (np.array(run(k)["per_row"]) for k in (100, 90))
    draws = rng.integers(0, N, (4000, N))
    low, high = np.percentile((a - b)[draws].mean(1), [2.5, 97.5])
    said = sentences.curve(table["methods"][0], "accuracy")
    found = [float(x) for x in said.split("95 % interval ")[1].split(")")[0].split(" to ")]
    assert found == pytest.approx([100 * low, 100 * high], abs=0.6)
    assert "needs all 64 rows" in said and "More rows still help" in said


@pytest.mark.parametrize(
    ("behind", "enough", "more"),
    [
        ({32: (0.2, 0.4), 64: (0.05, 0.2), 128: (-0.02, 0.03)}, 128, False),
        ({32: (0.2, 0.4), 64: (-0.01, 0.2), 128: (-0.02, 0.03)}, 64, False),
        ({32: (0.2, 0.4), 64: (0.1, 0.2), 128: (0.01, 0.03)}, 256, True),
        ({32: (-0.2, 0.4), 64: (0.1, 0.2), 128: (-0.01, 0.03)}, 128, False),  # luck at 32 does not count
        ({32: (-0.2, 0.4), 64: (-0.3, -0.1)}, 32, False),  # better with fewer
    ],
)
def test_enough_is_where_nothing_above_is_worse(
    behind: dict[int, tuple[float, float]], enough: int, more: bool
) -> None:
    found = {n: interval(*ends) for n, ends in behind.items()}
    assert curve.enough(found, 256) == enough
    assert curve.more_helps(found) is more


def test_several_models_have_names() -> None:
    found = [line("lora on A", {32: 90, 64: 150})]
    table = curve.table(found, "lora on A")
    assert table["methods"][0]["name"] == "lora on A"


def test_nothing_to_say() -> None:
    table = curve.table([line("zero_shot", {64: 9})], "zero_shot")
    assert sentences.curve_of({"curve": table, "metric": "accuracy"}).startswith("No method was trained")
    assert curve.table([], None)["sizes"] == []


@given(st.integers(1, 10**7), st.integers(2, 10**5))
def test_the_budget_grows_with_the_rows_and_slower(tokens: int, all_rows: int) -> None:
    sizes = sorted({2, all_rows // 4 or 2, all_rows // 2 or 2, all_rows})
    budgets = [scaled(tokens, n, all_rows) for n in sizes]
    assert budgets[-1] == tokens if sizes[-1] == all_rows else True
    assert all(1 <= a <= b for a, b in pairwise(budgets))
    quarter = scaled(4 * tokens, 25, 100)
    assert quarter == 2 * tokens, "a quarter of the rows gets half the budget"


def test_the_page_says_and_draws_it() -> None:
    found = [
        line("lora", {32: 90, 64: 150, 128: 158}), line("<b>", {64: 100, 128: 120}, {32: "no <i>batch</i> fits"}),
        line("zero_shot", {128: 80}),
    ]  # fmt: skip
    board = sample_board() | {"curve": curve.table(found, "lora")}
    page = html_report.render(board, {}, sample_details())
    assert '<h2 id="by_rows" data-say="by_rows">How many rows do I need?</h2>' in page and "75.0 ± " in page
    assert "no &lt;i&gt;batch&lt;/i&gt; fits" in page and "<i>batch" not in page
    drawn = curve_chart.chart(board)
    assert drawn and [li["x"] for li in drawn["lines"]] == [[32, 64, 128], [64, 128], [128]]
    assert drawn["lines"][0]["y"] == [45.0, 75.0, 79.0]
    low, high = drawn["x"]["range"]
    assert low < math.log10(32) and high > math.log10(128)
    assert curve_chart.chart(sample_board()) is None
    assert 'by_rows"' not in html_report.render(sample_board(), {}, sample_details()).split("<script")[0]
