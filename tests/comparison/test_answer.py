"""Whether tuning pays: each kind of answer from files, its words in both languages, and each fact once."""

from __future__ import annotations

import json
import random
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from finished import REASON, comparison, evaluation
from luthier.comparison.answer import trend
from luthier.comparison.board import gather
from luthier.io.files import write_json
from luthier.reports.comparison.answer import told
from luthier.reports.comparison.publish import publish
from luthier.reports.comparison.sentences import verdicts
from luthier.reports.comparison.terminal import print_leaderboard

NOTHING: dict[str, Any] = {"train_seconds": 0.0, "trainable": 0, "tuned": False, "steps": 0, "learning_rate": None}


def right(share: float, seed: int = 0) -> list[float]:
    """40 rows, so many of them right, in an order of their own."""
    rows = [1.0] * round(40 * share) + [0.0] * (40 - round(40 * share))
    random.Random(seed).shuffle(rows)
    return rows


def trained(share: float, seed: int = 0, steps: int = 90) -> list[dict[str, Any]]:
    return [evaluation(right(share, seed), tuned=True, steps=steps)]


def untuned(share: float, seed: int = 0) -> list[dict[str, Any]]:
    return [evaluation(right(share, seed), **NOTHING)]


def floor(folder: Path, share: float) -> None:
    write_json(folder / "floor.json", {"answer": "refund", "per_row": right(share)})


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "pays": (
        {"lora": trained(0.95), "few_shot": untuned(0.5), "zero_shot": untuned(0.3)},
        "Tuning pays here: lora is 45.0 points (95 % interval ",
        "在这里调整值得：lora 比无需训练的最佳方法 few_shot 高 45.0 点",
    ),
    "pays_not": (
        {"lora": trained(0.7), "head": trained(0.2), "few_shot": untuned(0.95), "zero_shot": untuned(0.6)},
        "Tuning does not pay here: lora, the best that was trained, differs by -25.0 points", "在这里调整不值得",
    ),
    "unsure": (
        {"lora": trained(0.6, 1), "zero_shot": untuned(0.5, 2), "head": trained(0.4, 3)},
        "Whether tuning pays cannot be told from 40 test rows: lora differs by 10.0 points",
        "仅凭 40 行测试数据无法判断",
    ),
    "collapsed": (
        {"lora": trained(0.3), "full": trained(0.2), "zero_shot": untuned(0.9)},
        "Everything that was trained collapsed: its own training left it below the untuned model (the best of it, lora",
        "训练过的方法全部崩溃",
    ),
    "no_tuned": ({"zero_shot": untuned(0.9), "few_shot": untuned(0.8)}, "Nothing was trained here", "没有训练任何方法"),
    "no_untuned": ({"lora": trained(0.9)}, "Nothing without training was compared", "没有比较无需训练的方法"),
    "cannot": (
        {"lora": trained(0.9), "zero_shot": ("skipped", REASON)},
        "Nothing without training could answer here", "无需训练的方法在这里都不能作答",
    ),
    "nothing": ({"lora": ("failed", REASON)}, "No method finished: the reasons stand below.", "没有方法完成"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_kinds(kind: str, tmp_path: Path) -> None:
    """Seen failing with the best row of all in place of the best that trained, and with single intervals."""
    trials, en, zh = CASES[kind]
    folder = comparison(tmp_path / "out", trials)
    board, details = publish(folder)
    assert board["answer"]["kind"] == kind
    first, *_ = told(board)
    assert first.text().startswith(en) and zh in first.text("zh")
    page, out = (folder / "report.html").read_text(encoding="utf-8"), StringIO()
    assert f'class="headline {kind}"' in page and page.index("headline " + kind) < page.index('id="leaderboard"')
    print_leaderboard(board, Console(file=out, width=400), details)
    assert first.text() in out.getvalue()


def test_what_does_not_beat_the_constant_answer_is_useless(tmp_path: Path) -> None:
    folder = comparison(tmp_path / "out", {"lora": trained(0.5), "zero_shot": untuned(0.3)})
    floor(folder, 0.5)
    board, _ = gather(folder)
    assert board["answer"]["kind"] == "useless"
    assert next(told(board)).text() == (
        "Nothing here is worth using yet: the best score does not clearly beat always answering "
        "the commonest label (refund)."
    )


def test_rows_that_would_tell(tmp_path: Path) -> None:
    """As many as narrow the interval to the difference: its half-width shrinks with the root of the rows."""
    board, _ = gather(comparison(tmp_path / "out", CASES["unsure"][0]))
    value, low, high = board["answer"]["interval"]
    exact = 40 * ((high - low) / 2 / value) ** 2
    assert exact <= board["answer"]["rows_needed"] <= exact + 10
    assert f"About {board['answer']['rows_needed']} test rows would tell" in " ".join(map(str, told(board)))


def test_a_collapse_is_named_with_what_would_help(tmp_path: Path) -> None:
    trials = {"lora": trained(0.9), "full": trained(0.2, steps=13), "head": trained(0.1, steps=900),
              "zero_shot": untuned(0.6), "few_shot": untuned(0.2)}  # fmt: skip
    board, details = publish(comparison(tmp_path / "out", trials))
    said = "\n".join(verdicts(board))
    assert "full collapsed: its own training left it 40.0 points (95 % interval " in said
    assert "below zero_shot after 13 steps: a larger budget, or fewer methods in the same time, would help." in said
    assert "after 900 steps: a lower learning rate, or more rows, would help." in said
    assert "few_shot is worse than zero_shot" in said and "few_shot collapsed" not in said, "it trained nothing"
    assert details["below"] == {"full": ["collapsed"], "head": ["collapsed"], "few_shot": ["untuned"]}
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "collapsed: training left it worse than the untuned model" in page and "said_collapsed_rate" in page


def test_each_pair_is_told_once(tmp_path: Path) -> None:
    """The untuned model leads: `worse than zero_shot` and `behind zero_shot` are one fact. Seen failing with both."""
    board, details = gather(comparison(tmp_path / "out", {"lora": trained(0.3), "zero_shot": untuned(0.9)}))
    assert [v.split(" ")[0] for v in verdicts(board)] == ["lora"]
    tie = {"lora": trained(0.9), "zero_shot": untuned(0.925)}
    board, details = gather(comparison(tmp_path / "tie", tie))
    assert len(verdicts(board)) == 1 and details["tied"] == ["lora"], "the mark stands without the sentence"


def test_the_banner_speaks_of_differences(tmp_path: Path) -> None:
    """Two rows that agree on nearly all: a difference of 9 points can be told, though each score is known to ± 15."""
    folder = comparison(tmp_path / "out", {"lora": trained(0.5), "zero_shot": untuned(0.525)})
    _, details = gather(folder)
    assert details["resolution"] < 0.09
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    write_json(folder / "request.json", {**request, "seeds": 1})
    publish(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "a difference to the best of less than about 8.5 points cannot be told from chance" in page


def test_trend() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, 80)
    falling, flat = (list(np.linspace(a, b, 80) + noise) for a, b in ((3.0, 1.0), (1.0, 1.0)))
    assert (trend(falling) or (0, 0, False))[2] is True and (trend(flat) or (0, 0, True))[2] is False
    wild = list(np.random.default_rng(1).normal(1.0, 1.0, 12))
    assert (trend(wild) or (0, 0, True))[2] is False, "lower by chance is not falling"
    assert trend([3.0, 2.0, 1.0]) is None


def test_what_it_cost_and_what_a_thousand_requests_cost(tmp_path: Path) -> None:
    times = {"train_cpu_seconds": 70.0, "answer_cpu_seconds": 10.0, "search_cpu_seconds": 30.0}
    trials = {"lora": [{**trained(0.9)[0], **times}], "zero_shot": [{**untuned(0.5)[0], **times}]}
    trials["zero_shot"][0].pop("search_cpu_seconds")
    folder = comparison(tmp_path / "out", trials)
    write_json(folder / "spent.json", {"seconds": 95.0})
    board, _ = gather(folder)
    assert board["spent"] == {"wall": 95.0, "cpu": 190.0, "search": 30.0, "final": 140.0, "answers": 20.0}
    said = [phrase.text() for phrase in told(board)]
    assert (
        "The comparison took 1 m 35 s: 3 m 10 s of processor time, of which 30 s to choose learning rates, 2 m 20 s "
        "for the final runs, 20 s for test answers." in said
    )
    assert "A thousand requests to lora, one after the other, take about 5 s on this machine." in said
    assert any(text.startswith("The budget showed lora each training row about 12 times") for text in said)
    assert "Whether more rows would help was not measured: --curve 15,30 tells." not in said, "60 rows are too few"


def test_a_busy_machine_is_said(tmp_path: Path) -> None:
    trials = {"lora": [{**trained(0.9)[0], "waiting": 0.5}], "zero_shot": [{**untuned(0.5)[0], "waiting": 0.1}]}
    folder = comparison(tmp_path / "out", trials)
    write_json(folder / "trials/lora/seed-0/latency.json", {"latency_ms": 7.0, "waiting": 0.6})
    board, details = gather(folder)
    assert details["notes"][:2] == [
        "Training was measured on a busy machine: it had no core for 30 % of the time.",
        "Latency was measured on a busy machine: it had no core for 60 % of the time.",
    ]
    assert {row["method"]: row["latency_ms"] for row in board["rows"]} == {"lora": 7.0, "zero_shot": 5.0}
