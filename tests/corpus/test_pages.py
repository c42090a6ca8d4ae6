"""The pages of a corpus in Chromium: what came of it, and a threshold that is moved by hand."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("numba")
from browser import Open
from luthier.corpus.pool import Here
from luthier.corpus.recipe import Pipeline, run_pipeline, stage_of
from luthier.corpus.tune import valued
from luthier.reports.corpus import page, tune_page
from luthier.reports.plain_page import both
from stories import jsonl, story

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)> </pre>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose documents are hostile to a page."""
    top = tmp_path_factory.mktemp("pages")
    boiler = f"Read our {HOSTILE} conditions before you go on, dear visitor."
    texts = [*(f"{story(n)}\n{boiler}" for n in range(5)), *(f"{HOSTILE} short {n}" for n in range(9)), story(50)]
    stages: list[Any] = [{"filter": {"rules": [{"name": "few", "signal": "words", "least": 40}]}}, "sentences"]
    bar = lambda title: nullcontext(lambda done, of: None)  # noqa: E731
    made = Pipeline((jsonl(top / "a.jsonl", texts),), tuple(map(stage_of, stages)))
    page.write_page(top / "out", run_pipeline(made, top / "out", Here(1), bar))
    return top


def test_the_page_of_a_run(folder: Path, open_page: Open) -> None:
    with open_page(folder / "out" / page.PAGE) as (seen, heard):
        assert not heard
        cells = [row.inner_text().split("\t") for row in seen.locator("table").first.locator("tbody tr").all()]
        wanted = (
            ("0 read", "15", "15", "0", "0"), ("1 filter", "15", "6", "9", "0"), ("2 sentences", "6", "6", "0", "5")
        )  # fmt: skip
        assert all(int(cell[7].replace(",", "")) > 0 and cell[8] == "—" for cell in cells), "tokens, no perplexity"
        assert tuple(tuple(cell[:5]) for cell in cells) == wanted
        figures = [figure.inner_text() for figure in seen.locator("figure").all()]
        assert sum("filter · few" in figure for figure in figures) == 3, "samples, not all of them"
        assert sum("sentences · repeated_sentences" in figure for figure in figures) == 3
        assert all(HOSTILE in figure for figure in figures), "text is text"
        assert "dear visitor" in seen.locator("del").first.inner_text()
        seen.get_by_role("button", name="中文").click()
        assert seen.locator("h1").inner_text() == "从文件到干净的文本" and not heard


def test_a_threshold_moved_by_hand(folder: Path, open_page: Open) -> None:
    found = valued([folder / "a.jsonl"], "words")
    below = sum(one.value < 40 for one in found)
    path = tune_page.write_page(folder / "t.html", both("words", "words"), both("a", "a"), found, 40)
    with open_page(path) as (seen, heard):
        assert seen.locator("#left-share").inner_text() == f"{below} ({100 * below / len(found):.1f} %)"
        assert len(seen.locator("#left figure").all()) == len(seen.locator("#right figure").all()) == 3
        assert HOSTILE in seen.locator("#left figure").first.inner_text()
        seen.fill("#exact", "1000000")
        assert seen.locator("#left-share").inner_text().startswith(f"{len(found)} ")
        assert not seen.locator("#right figure").all() and not heard


def test_one_value_and_pieces(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text(json.dumps({"text": "one line\n\nand another"}) + "\n")
    assert [(one.value, one.text) for one in valued([source], "words", "line")] == [(2, "one line"), (2, "and another")]
    assert "width" in tune_page.histogram([3.0])
