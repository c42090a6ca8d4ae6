"""Pages about prompts in a real browser: both languages, hostile text, votes, nothing from the network."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tiny
from luthier.core.phrases import Phrase, say
from luthier.data.prompts import Template
from luthier.direct.hard_prompt import HardPrompt
from luthier.reports.plain_page import both
from luthier.reports.prompts import curve, page, robustness
from luthier.training.context import Context

EVIL = "</script><img src=x onerror=alert(1)> `{input}` {en} 退款"
KEPT = {"chat": False, "repaired": "", "name": "n", "replaces": ""}
EVENTS: list[dict[str, Any]] = [
    {"event": "candidate", "id": 0, "parent": None, "source": "user", "round": 0, "text": EVIL, **KEPT},
    {"event": "candidate", "id": 1, "parent": 0, "source": "rewritten", "round": 1, "text": "Say: {input}", **KEPT},
    {"event": "dropped", "parent": 0, "source": "written", "round": 1, "text": "{", "reason": "the brace <b>"},
    {"event": "scores", "id": 0, "values": [-1.0, -2.0, -1.5]},
    {"event": "scores", "id": 1, "values": [-0.5, -0.2, -0.1]},
    {"event": "round", "round": 0, "order": [0], "rows": 2, "scores": [-1.5]},
    {"event": "round", "round": 1, "order": [1, 0], "rows": 3, "scores": [-0.267, -1.5]},
    {"event": "best", "id": 1, "rows": 3, "score": -0.267},
]
MEASURE = say("said_measure_label")
NOTES = [
    say("said_search_best", wordings=19, calls=239, source=say("said_source_bundled"), text="Say {input}",
        measure=MEASURE, value="-2.3", rows=17),
    say("said_search_few", rows=3), say("said_search_dropped", wordings=2, reason=say("said_wording_empty")),
    say("said_search_failures", count=2, reason="no answer"), "a note of another kind",
]  # fmt: skip
CURVE: dict[str, Any] = {
    "measure": "Accuracy, %", "rows": 3, "whole": 0.8, "whole_ci95": [0.6, 0.9], "tokens": 40.0, "shown": EVIL,
    "points": [{"way": way, "keep": 0.5, "tokens": 20.0, "shown": EVIL, "score": 0.5, "ci95": [0.3, 0.7],
                "change": -0.3, "change_ci95": [-0.5, -0.1]} for way in curve.WAYS],
}  # fmt: skip
ROBUST: dict[str, Any] = {
    "metric": "accuracy", "rows": 3, "score": 0.8, "ci95": [0.6, 0.9], "failed": [EVIL],
    "changes": [{"kind": kind, "change": -0.1, "ci95": [-0.2, 0.0], "variants": 2} for kind in ("paraphrase", "all")],
    "tried": [{"kind": "paraphrase", "shown": EVIL, "score": 0.7}],
}  # fmt: skip


def written(folder: Path) -> dict[str, Path]:
    """All four pages."""
    files = {name: folder / f"{name}.html" for name in ("search", "wordings", "curve", "robust")}
    title = both(f"Wordings for {EVIL}", f"{EVIL} 的措辞")
    page.write_search(files["search"], title, EVENTS, MEASURE, NOTES)
    page.write_sheet(files["wordings"], title, page.Sheet(["{input}", EVIL], [("asked", EVIL, ["", "yes"])]))
    curve.write_page(files["curve"], title, CURVE)
    robustness.write_page(files["robust"], EVIL, Template("t", "{input}", False), ROBUST)
    return files


SAID = {
    "search": ("Score by round", "各轮得分"),
    "wordings": ("Which wording is which", "各列是哪种措辞"),
    "curve": ("share of tokens kept, %", "保留的词元比例（%）"),
    "robust": ("all kinds together", "全部种类合计"),
}


@pytest.mark.parametrize("name", list(SAID))
def test_pages_speak_the_readers_language(name: str, open_page: Any, tmp_path: Path) -> None:
    file = written(tmp_path)[name]
    english, chinese = SAID[name]
    with open_page(file, locale="zh-CN") as (shown, heard):
        assert chinese in shown.content() and english not in shown.inner_text("body")
        assert shown.evaluate("document.documentElement.lang") == "zh-Hans"
        shown.click("[data-language=en]")
        assert english in shown.inner_text("body") and chinese not in shown.inner_text("body")
        assert EVIL.split(" ")[0] in shown.inner_text("body") and not shown.query_selector("img")
        assert not heard, heard


def test_a_curve_goes_from_left_to_right(tmp_path: Path) -> None:
    """Shares come largest first. Seen failing with points in that order: the line went back across the chart."""
    far = [{**p, "keep": 0.8} for p in CURVE["points"]]
    curve.write_page(tmp_path / "c.html", both("a", "甲"), CURVE | {"points": far + CURVE["points"]})
    ways = re.findall(r'class="line (?:main|other)" d="M([^"V]+)"', (tmp_path / "c.html").read_text(encoding="utf-8"))
    across = [[float(point.split()[0]) for point in way.split("L")] for way in ways]
    assert len(across) == 2 and all(len(xs) == 3 and xs == sorted(xs) for xs in across)


def test_the_notes_of_a_search_in_chinese(lm: Any, tmp_path: Path) -> None:
    """Those above, and those that a search really makes."""
    assert NOTES[:3] == [
        "19 wordings, 239 model calls; the best is bundled: Say {input} (log-probability of the right label, nats: "
        "-2.3 on 17 training rows)",
        "only 3 training rows decided: more --calls, or fewer wordings, would tell more",
        "2 wordings were dropped, such as: it is empty",
    ]
    zh = [said.text("zh") if isinstance(said := page.noted(note), Phrase) else said for note in NOTES]
    assert zh[0].startswith(
        "19 种措辞，239 次模型调用；最佳的措辞（软件自带）：Say {input}（正确标签的对数概率（奈特）"
    )
    assert zh[2] == "舍弃了 2 种措辞，例如：它是空的"
    assert zh[3] == "失败 2 次，例如：no answer" and zh[4] == NOTES[4]
    run = Context(lm, replace(tiny.LABELLED, test=()), 0, cache=tmp_path)
    HardPrompt(calls=60, rounds=2, write=2).adapt(run)
    assert run.notes and all(isinstance(page.noted(note), Phrase) for note in run.notes), run.notes


def test_votes_are_counted(open_page: Any, tmp_path: Path) -> None:
    with open_page(written(tmp_path)["wordings"]) as (shown, heard):
        shown.check("input[value=B]")
        assert [c.inner_text() for c in shown.query_selector_all("[data-votes]")] == ["0", "1"]
        assert not heard


def test_an_axis_does_not_go_where_no_score_is() -> None:
    """Seen failing with the margin added on both sides: an accuracy below nothing."""
    from luthier.reports.svg import Line, _round_values, chart

    name = both("a", "甲")
    assert [round(v, 3) for v in _round_values(-1.481, -0.985)] == [-1.4, -1.3, -1.2, -1.1, -1.0]
    assert _round_values(0.0, 1.0) == [0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
    for values, sign in (((0.0, 0.5), "-"), ((0.0, 0.0), "-")):
        drawn = chart([Line(name, [(0, v) for v in values])], name, name, [], "")
        assert f'text-anchor="end">{sign}' not in drawn
    assert 'text-anchor="end">0<' in chart([Line(name, [(0, -3.0), (1, 0.0)])], name, name, [], "")
