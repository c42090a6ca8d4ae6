"""The page in a real browser without network: hostile rows, choices by keyboard, both languages, access for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import page_checks
from board_sample import sample_board, sample_curves, sample_details
from evidence_sample import HOSTILE, LABELS, sample_evidence
from luthier.core import phrases
from luthier.reports.comparison import html_report
from luthier.reports.comparison.per_row_html import evidence_sections

EVIDENCE = sample_evidence()
ZH = phrases.table()["zh"]
Opened = tuple[Any, list[str]]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    details = {**sample_details(), "evidence": EVIDENCE}
    path = tmp_path_factory.mktemp("page") / "报告.html"
    path.write_text(html_report.render(sample_board(), sample_curves(), details), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def english(open_page: Any, file: Path) -> Iterator[Opened]:
    """One page for the tests that leave it as it was: loading takes long."""
    with open_page(file) as found:
        yield found


@pytest.fixture(scope="module")
def chinese(open_page: Any, file: Path) -> Iterator[Opened]:
    """The page on a phone of a Chinese reader, dark, who wants no motion."""
    settings = {"viewport": {"width": 380, "height": 800}, "locale": "zh-CN", "color_scheme": "dark"}
    with open_page(file, **settings, reduced_motion="reduce") as found:
        yield found


def choose(page: Any, key: str, value: str) -> None:
    page.locator(f"#{key}").select_option(value)


def shown(page: Any) -> str:
    return str(page.locator("#samples-shown").inner_text())


def test_no_evidence_no_sections() -> None:
    assert evidence_sections(None, "accuracy") == ""
    page = html_report.render(sample_board(), {}, sample_details())
    assert 'id="answers"' not in page and 'href="#answers"' not in page and 'href="#curves"' in page


def test_hostile_rows_are_text_and_nothing_else(english: Opened) -> None:
    """Seen failing with answers put in as markup, and with `<` and `>` left as they are in the page's data."""
    page, heard = english
    choose(page, "show-rows", "")
    texts = page.locator("#samples .asked dd:nth-of-type(1)").all_text_contents()
    assert texts[: len(HOSTILE)] == list(HOSTILE)
    assert LABELS[3] in page.locator("#matrix").text_content()
    assert LABELS[3] in page.locator("#show-label").text_content()
    lefts = page.evaluate(
        "() => [...document.querySelectorAll('#samples h3')].map(h => h.getBoundingClientRect().left)"
    )
    assert len(lefts) == 10 and len(set(lefts)) == 1  # no row turns the page around
    assert page.locator("#samples img").count() == 0
    assert [line for line in heard if not line.startswith(("request: data:", "request: blob:"))] == []


def test_rows_are_filtered(english: Opened) -> None:
    page, _ = english
    samples = EVIDENCE["samples"]
    for kind in ("disagree", "best", "none"):
        choose(page, "show-rows", kind)
        n = sum(kind in s["is"] for s in samples)
        assert shown(page) == (f"1 to {min(10, n)} of {n} rows" if n else "No row is like this.")
    choose(page, "show-rows", "")
    for at, label in enumerate(EVIDENCE["sample_labels"]):
        choose(page, "show-label", str(at))
        assert shown(page).endswith(f"of {sum(label in s['labels'] for s in samples)} rows")
    choose(page, "show-label", "")
    choose(page, "show-language", "han")
    assert shown(page).endswith(f"of {sum(s['han'] for s in samples)} rows")
    choose(page, "show-language", "")
    first = samples[0]
    card = page.locator("#samples article").first
    assert card.locator("dd.wanted").text_content() == first["wanted"]
    lines = card.locator("tbody tr").count()
    assert lines == len({(a, s) for a, s in zip(first["answers"], first["scores"], strict=True)})
    assert sorted(card.locator("tbody code").all_text_contents()) == sorted(EVIDENCE["methods"])


def test_rows_are_turned_by_keyboard(english: Opened) -> None:
    page, _ = english
    choose(page, "show-rows", "")
    on, back = page.locator("#samples-on"), page.locator("#samples-back")
    assert back.get_attribute("aria-disabled") == "true" and shown(page) == "1 to 10 of 60 rows"
    back.press("Enter")
    assert shown(page) == "1 to 10 of 60 rows"
    for _ in range(8):  # more often than there are pages
        on.press("Enter")
    assert shown(page) == "51 to 60 of 60 rows" and on.get_attribute("aria-disabled") == "true"
    assert page.evaluate("() => document.activeElement.id") == "samples-on"
    choose(page, "show-rows", "disagree")
    assert shown(page).startswith("1 to")


def test_a_methods_confusions_by_keyboard(english: Opened) -> None:
    page, _ = english
    select, matrix = page.locator("#confusion-method"), page.locator("#matrix")
    select.focus()
    select.press("Home")
    select.press("ArrowDown")
    method = EVIDENCE["methods"][1]
    right = EVIDENCE["confusion"]["right"][method]
    assert matrix.locator("caption").inner_text() == f"{method}: {right} of 120 answers right, over 2 seeds."
    cells = [int(text.replace("·", "")) for text in matrix.locator("td.hit, td.miss").all_text_contents()]
    assert cells == [n for line in EVIDENCE["confusion"]["counts"][method] for n in line]


def test_both_languages_and_back(english: Opened) -> None:
    page, heard = english
    assert page.evaluate("document.documentElement.lang") == "en"
    texts = "() => [...document.querySelectorAll('[data-say], [data-zh]')].map(e => e.textContent)"
    before = page.evaluate(texts)
    page.locator("[data-language=zh]").click()
    assert page.evaluate("document.documentElement.lang") == "zh-Hans" and "对比报告" in page.title()
    assert page.locator("[data-language=zh]").get_attribute("aria-pressed") == "true"
    assert ZH["axis_trainable"] in page.locator(".chart").first.inner_text()
    assert ZH["show_disagree"] in page.locator("#show-rows").inner_text()
    assert "lora 比 zero_shot 高 44.8 点" in page.locator(".verdicts").inner_text()
    assert page.locator("[role=region]").first.get_attribute("aria-label") != "Leaderboard"
    assert page.evaluate(page_checks.UNSAID) == ["Luthier", "SmolLM2-135M-Instruct"]
    page.locator("[data-language=en]").click()
    assert page.evaluate(texts) == before
    assert [line for line in heard if line.startswith(("console", "error"))] == []


def test_a_chinese_reader_on_a_phone(chinese: Opened) -> None:
    page, heard = chinese
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    assert page.locator("h2").first.inner_text() == ZH["leaderboard"]
    assert page.evaluate("document.documentElement.scrollWidth") == 380
    assert page.evaluate("() => getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert page.evaluate(page_checks.MOVES) == 0
    assert [line for line in heard if line.startswith(("console", "error"))] == []


def test_names_tables_and_headings(english: Opened, chinese: Opened) -> None:
    """Seen failing without the select's label and without a caption."""
    for page, _ in (english, chinese):
        assert page.evaluate(page_checks.NAMES) == []
        assert page.evaluate(page_checks.SCROLLS) == []


def test_contrast(english: Opened, chinese: Opened) -> None:
    """Light and dark. Seen failing with the soft colour of light on dark paper."""
    for page, _ in (english, chinese):
        found = page.evaluate(page_checks.CONTRAST)
        assert found["seen"] > 400 and found["wrong"] == []


def test_everything_is_reached_by_keyboard_and_seen(english: Opened) -> None:
    page, _ = english
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    page.locator("body").click(position={"x": 5, "y": 5})
    stops: list[dict[str, Any]] = []
    for _ in range(page.evaluate(page_checks.REACHABLE) + 5):
        page.keyboard.press("Tab")
        stop = page.evaluate(page_checks.FOCUSED)
        if stop["body"] or (stops and stop["number"] <= len(stops)):
            break
        stops.append(stop)
    assert 'class="skip"' in stops[0]["tag"]
    assert len(stops) == page.evaluate(page_checks.REACHABLE)
    assert [stop["tag"] for stop in stops if stop["ring"] < 2] == []
