"""Numbers in words, the charts' numbers, and the terminal's leaderboard."""

from __future__ import annotations

import math
from io import StringIO

import pytest
from rich.console import Console

from board_sample import sample_board, sample_curves, sample_details
from luthier.evals import formatting as shown
from luthier.reports.comparison import charts
from luthier.reports.comparison.terminal import print_leaderboard


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (shown.count, 0, "0"), (shown.count, 512, "512"), (shown.count, 12_345, "12.3 k"),
        (shown.count, 20_000, "20 k"),
        (shown.count, 999_960, "1.0 M"), (shown.count, 134_515_008, "135 M"), (shown.count, None, "–"),
        (shown.size, 412, "412 B"), (shown.size, 4_200_000, "4.2 MB"), (shown.size, 3.12e9, "3.1 GB"),
        (shown.size, float("nan"), "–"),
        (shown.duration, 0, "0 s"), (shown.duration, 0.01, "< 0.1 s"), (shown.duration, 4.23, "4.2 s"),
        (shown.duration, 59.7, "1 m"), (shown.duration, 192, "3 m 12 s"), (shown.duration, 3840, "1 h 04 m"),
        (shown.duration, 3599.7, "1 h"),
        (shown.latency, 4.21, "4.2 ms"), (shown.latency, 412.3, "412 ms"), (shown.latency, 1300, "1.3 s"),
        (shown.share, 0.0, "0 %"), (shown.share, 1.0, "100 %"), (shown.share, 0.00341, "0.34 %"),
        (shown.share, 1e-6, "< 0.01 %"), (shown.share, 0.2106, "21.1 %"),
        (shown.signed, 0.064, "+0.06"), (shown.signed, -0.001, "0.00"), (shown.signed, -0.2, "-0.20"),
        (shown.rate, 3e-4, "3e-4"), (shown.rate, 2.5e-5, "2.5e-5"), (shown.rate, None, "–"),
    ],
)  # fmt: skip
def test_units(function, value, text) -> None:  # type: ignore[no-untyped-def]
    assert function(value) == text


def test_pareto_front() -> None:
    points = [("a", 0.0, 40.0), ("b", 0.0, 50.0), ("c", 10.0, 50.0), ("d", 10.0, 70.0), ("e", 99.0, 69.0)]
    assert charts.pareto(points) == ["b", "d"]


def test_a_front_does_not_rest_on_noise() -> None:
    """Hand-worked: b is 0.3 points above a for ten times the cost, d surely better than both, e as dear as d and surely
    worse, f as cheap as a and surely worse. Seen failing with the front of the points."""
    points = [("f", 1.0, 30.0), ("a", 1.05, 50.0), ("b", 10.0, 50.3), ("d", 20.0, 70.0), ("e", 21.0, 60.0)]
    clear = {("a", "f"), ("b", "f"), *(("d", other) for other in "fabe"), *(("e", other) for other in "fab")}
    assert charts.pareto(points) == ["f", "a", "b", "d"]
    assert charts.clear_front(points, clear) == ["a", "d"]
    board = sample_board()
    everything = {("lora", other) for other in ("zero_shot", "few_shot", "features", "head", "soft_prompt", "layers")}
    said = "".join(map(str, charts.scatter(board, charts.COSTS[2], everything)["summary"]))
    assert "Each is clearly better than everything clearly cheaper" in said and "zero_shot" in said


def test_zero_has_a_place_left_of_every_paid_cost() -> None:
    chart = charts.scatter(sample_board(), charts.COSTS[0])
    axis, places = chart["x"], {point["name"]: point["x"] for point in chart["points"]}
    free = {places.pop("zero_shot"), places.pop("few_shot")}
    assert len(free) == 2 and all(axis["zero"][0] < x < axis["zero"][1] for x in free)
    assert min(places.values()) > axis["zero"][1] and axis["ticks"][0][1] == "0"
    assert places["full"] == pytest.approx(math.log10(134_515_008))
    assert chart["y"]["range"][1] - chart["y"]["range"][0] >= 10


def test_scatter_leaves_out_and_names_what_lacks_a_value() -> None:
    board = sample_board()
    board["rows"][1]["train_seconds"] = None
    chart = charts.scatter(board, charts.COSTS[2])
    assert "lora" not in [point["name"] for point in chart["points"]]
    assert "a value is missing: lora" in str(chart["summary"][-1])


def test_smoothing_keeps_a_line_and_the_ends() -> None:
    line = [5 - 0.01 * step for step in range(200)]
    assert charts.smooth(line) == pytest.approx(line)
    assert charts.smooth([1.0]) == [1.0]
    assert charts.smooth([1.0, 3.0]) == pytest.approx([1.0, 3.0])


def test_curves_are_thinned_and_never_hold_a_nan() -> None:
    records = [{"seed": 0, "tokens": step, "loss": 1.0} for step in range(5000)]
    records.append({"seed": 0, "tokens": 5000, "loss": float("nan")})
    chart = charts.curve("lora", records)
    assert chart and len(chart["lines"][0]["x"]) <= charts.CURVE_POINTS + 1 and chart["last"] == 4999
    assert charts.curve("lora", records[-1:]) is None
    assert [panel["title"] for panel in charts.learning_curves(sample_curves())][:2] == ["lora", "full"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_terminal(width: int) -> None:
    details, out = sample_details(), StringIO()
    print_leaderboard(sample_board(), Console(file=out, width=width), {**details, "notes": []})
    text = out.getvalue()
    lines = text.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert "87.1 ± 4.1" in text and "…" not in text and "\x1b" not in text
    assert [line.split()[0] for line in lines[2:10]][0::7] == ["lora", "zero_shot"]
    assert ("not distinguishable" in lines[3]) == (width >= 80)
    assert "2.5e-4" in text and text.count("soft_prompt ") == {60: 3, 80: 2, 200: 1}[width], "no column is lost"
    assert "<script>alert(1)</script>" in text and "It needs a teacher model" in text
    assert text.index("distill") < text.index("Use lora: the best score measured, 87.1 accuracy")


def test_terminal_with_nothing_finished() -> None:
    board, out = sample_board(), StringIO()
    board["rows"] = [row for row in board["rows"] if row["status"] != "ok"]
    board["rows"][0]["reason"] = "first [bold]line[/bold]\n" + "traceback\n" * 50
    print_leaderboard({**board, "best": None, "recommendation": None}, Console(file=out, width=80), {})
    assert "first [bold]line[/bold] …" in out.getvalue() and "traceback" not in out.getvalue()
