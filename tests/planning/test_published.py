"""Plans of machines that are not here beside published figures: the page's table is what they give."""

from __future__ import annotations

from pathlib import Path

import pytest

import plan_vs_published as published

PAGE = (Path(__file__).parents[2] / "docs" / "plan.md").read_text("utf-8")


@pytest.mark.slow
def test_the_table_of_the_page() -> None:
    pytest.importorskip("bitsandbytes")
    for row in published.compared():
        figures = (published.spoken(row.measure, value) for value in (row.published, row.planned))
        assert f"| {row.what} | {' | '.join(figures)} | {row.difference:+.0%} | {row.source} |" in PAGE
        assert -0.6 < row.difference < 0.7, row.what  # the furthest are explained on the page
