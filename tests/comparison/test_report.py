"""The report page: what it says, that data stays text in it, and how it behaves in a real browser without network."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from board_sample import NASTY, sample_board, sample_curves, sample_details
from luthier.reports.comparison import html_report

OVERLAPS = """() => [...document.querySelectorAll(".grid .chart")].map(chart => {
  const boxes = [...chart.querySelectorAll(".annotation-text")].map(text => text.getBoundingClientRect());
  let worst = 0;
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => {
    const w = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const h = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (w > 0 && h > 0) worst = Math.max(worst, w * h / Math.min(a.width * a.height, b.width * b.height));
  }));
  return worst;
})"""


@pytest.fixture(scope="module")
def page_text() -> str:
    return html_report.render(sample_board(), sample_curves(), sample_details())


def own_part(page: str) -> str:
    """The page without the embedded library."""
    scripts = re.findall(r"<script>.*?</script>", page, flags=re.DOTALL)
    return page.replace(max(scripts, key=len), "")


def shown(page: str) -> str:
    """What stands on the page, without its data and scripts."""
    return page[: page.index('<script type="application/json"')]


def test_says_what_was_found(page_text: str) -> None:
    page = shown(page_text)
    assert "客服工单分类" in page and "账户安全" in page
    assert page.count("not distinguishable from the best</span>") == 2
    assert "<b>87.1</b>" in page and "82.9 – 91.0" in page
    for text in ("6 m 42 s", "9.8 MB", "538 MB", "2.4 M", "1.8 %", "2.5e-4", "12 March 2026, 14:05 UTC", "rank: 16"):
        assert text in page
    assert "Quick look" not in page
    order = re.findall(r'<th scope="row"[^>]*><code>(\w+)', page)
    assert order[:2] == ["lora", "full"] and order[-2:] == ["prefix", "distill"]


def test_quick_look_is_said_at_the_top() -> None:
    page = shown(html_report.render(sample_board(), {}, {**sample_details(), "quick_look": True}))
    assert (
        "one seed, 240 test rows; a difference to the best of less than about 6.0 points cannot be told from chance"
        in page
    )
    assert page.index("Quick look:") < page.index('class="answer"')


def test_data_stays_text() -> None:
    """Tried against a page whose reasons and recipe were not escaped: it failed on both."""
    board, details = sample_board(), sample_details()
    evil = "<script>alert(2)</script><img src=x onerror=alert(3)>\"'&${title}"
    board["rows"][1]["name"] = board["rows"][1]["method"] = board["best"] = evil
    board["recommendation"] |= {"name": evil, "command": evil}
    board["verdicts"][0] |= {"a": evil, "b": evil}
    board["model"] = evil
    details.update(dict.fromkeys(("title", "command", "recipe", "created"), evil))
    details.update({"labels": [evil], "notes": [evil], "environment": {evil: evil},
                    "summaries": {evil: evil, "full": evil}, "secondary": {evil: {evil: 0.5}}})  # fmt: skip
    page = own_part(html_report.render(board, {evil: sample_curves()["lora"]}, details))
    for tag in ("<script>alert", "<img", "\x1b", "[31m"):
        assert tag not in page
    assert page.count("<script") == 2  # the data and our own: the library was taken out
    assert "${title}" in page and "${style}" in page  # from data: not filled in


def test_data_block_is_json_that_cannot_end_its_element(page_text: str) -> None:
    block = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page_text, flags=re.DOTALL)
    assert block and "<" not in block[1] and ">" not in block[1]
    assert len(json.loads(block[1])["charts"]) == 3 + len(sample_curves())


def test_loads_nothing(page_text: str) -> None:
    page = own_part(page_text)
    assert "http://" not in page and "https://" not in page
    assert re.findall(r'(?:src|href)="([^"#]+)"', page) == ["data:,"]
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy and policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy[1] and policy[1].count("sha256-") == 2


def test_survives_missing_values() -> None:
    board = sample_board()
    for row in board["rows"]:
        row.update(dict.fromkeys(("score", "ci95", "trainable", "train_seconds", "latency_ms", "mergeable")))
    html_report.render({**board, "best": None, "recommendation": None}, {}, {"title": "x"})
    nan = [{"seed": 0, "tokens": 5, "loss": float("nan")}]
    page = html_report.render(
        {**board, "rows": [], "budget": {}, "best": None, "recommendation": None}, {"lora": nan}, {"title": "x"}
    )
    assert "No method finished." in page and "NaN" not in own_part(page)


def test_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "report.html"
    html_report.write_report(sample_board(), sample_curves(), {**sample_details(), "title": "half \ud800"}, out)
    before = out.read_bytes()
    broken = copy.deepcopy(sample_board())
    del broken["rows"][0]["name"], broken["rows"][0]["method"]
    with pytest.raises(KeyError):
        html_report.write_report(broken, {}, sample_details(), out)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        html_report.write_report(sample_board(), {}, sample_details(), out)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert out.read_bytes() == before


@pytest.fixture
def opened(open_page: Any, page_text: str, tmp_path: Path) -> Iterator[tuple[Any, list[str]]]:
    """The page in a browser without network, and what it complained about or asked for."""
    file = tmp_path / "报告 report.html"
    file.write_text(page_text, encoding="utf-8")
    with open_page(file) as found:
        yield found


def wait_for(page: Any, condition: str) -> None:
    """Poll from outside: Playwright's own waiting evaluates strings in the page, which its policy refuses."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {condition}")


def test_browser_draws_without_network_or_complaint(opened: tuple[Any, list[str]]) -> None:
    page, heard = opened
    assert page.locator(".chart .main-svg").count() >= 8
    assert page.locator(".grid .annotation-text").count() == 24  # eight names in each of three charts
    assert max(page.evaluate(OVERLAPS)) < 0.1
    with page.expect_download() as download:
        page.locator(".grid .save").first.press("Enter")
    assert download.value.suggested_filename.endswith(".png")
    assert [text for text in heard if not text.startswith(("request: data:", "request: blob:"))] == []
    assert NASTY[:20] in page.locator("tbody.out").inner_text()


def test_browser_sorts_by_mouse_and_keyboard(opened: tuple[Any, list[str]]) -> None:
    page, _ = opened
    names = lambda: page.locator(".board tbody").first.locator("th code").all_inner_texts()  # noqa: E731
    assert names()[0] == "lora"
    head = page.locator(".board th", has_text="Forgetting")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending" and names()[-1] == "few_shot"  # not measured: last
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert names()[0] == "full" and names()[-1] == "few_shot"
    assert page.locator("tbody.out tr").count() == 2
    page.locator(".board th button", has_text="Method").press("Space")
    assert names() == sorted(names())


def test_browser_copies(opened: tuple[Any, list[str]]) -> None:
    page, _ = opened
    page.locator("[data-copy=command]").click()
    wait_for(page, "() => document.querySelector('[data-copy=command]').textContent === 'Copied'")


def test_browser_follows_the_colour_scheme_and_the_width(opened: tuple[Any, list[str]]) -> None:
    page, heard = opened
    ink = "() => getComputedStyle(document.querySelector('.chart .xtick text')).fill"
    light = page.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    wait_for(page, f"() => ({ink})() !== '{light}'")
    page.set_viewport_size({"width": 400, "height": 800})
    wait_for(page, "() => document.querySelector('.chart .main-svg').clientWidth < 380")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert max(page.evaluate(OVERLAPS)) < 0.2
    assert heard == []


def test_browser_runs_no_other_script(opened: tuple[Any, list[str]]) -> None:
    page, _ = opened
    add = "document.head.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    assert page.evaluate(f"() => {{ {add}; return window.ran ?? null; }}") is None
