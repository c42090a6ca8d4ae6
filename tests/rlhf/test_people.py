"""Stages compared by people, and answers to look at where reward and judge disagree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from commands import said
from luthier.core.errors import LuthierError
from luthier.core.records import Asked, Message
from luthier.reports.rlhf_page import audited, preferred, write_page
from luthier.rlhf.audit import LOOK, audit
from luthier.rlhf.people import QUESTIONS, add_wins, write_questions

ROWS = [Asked((Message("user", f"q{i}"),)) for i in range(10)]
WRITTEN = {
    "untuned": [f"u{i}.{k}" for i in range(10) for k in "ab"],
    "sft": [f"s{i}.{k}" for i in range(10) for k in "ab"],
    "ppo": [f"{'s' if i == 9 else 'p'}{i}.{k}" for i in range(10) for k in "ab"],
}


def stage(name: str, before: str) -> dict[str, Any]:
    return {"name": name, "before": before, "gain": -0.5, "gain_se": 0.1, "gain_without_length": 0.0,
            "gain_without_length_se": 0.1, "judged": 0.0, "reward": 1.0, "kl": 3.0, "win_rate": 0.4,
            "length": 5.0}  # fmt: skip


def test_questions_are_what_the_label_page_reads(tmp_path: Path) -> None:
    """Equal answers are no question; sources stay with the project and come back with the labels."""
    write_questions(tmp_path, ROWS, WRITTEN, 2)
    rows = [json.loads(line) for line in (tmp_path / QUESTIONS).read_text().splitlines()]
    assert len(rows) == 19 and rows[0] == {"prompt": "q0", "answers": ["u0.a", "s0.a"], "sources": ["untuned", "sft"]}
    told = said("label", "new", tmp_path / QUESTIONS, "--out", tmp_path / "labels")
    assert "19" in told


def test_labels_say_whom_people_prefer(tmp_path: Path) -> None:
    """Of sft and ppo: two for ppo on one prompt, one against it on another, a tie on a third: 1, 0, 0.5."""
    write_questions(tmp_path, ROWS, WRITTEN, 2)
    won = {"chosen_source": "ppo", "rejected_source": "sft"}
    lost = {"chosen_source": "sft", "rejected_source": "ppo"}
    labels = [
        {"prompt": "q0", "chosen": "p0.a", "rejected": "s0.a", **won, "annotator": "a"},
        {"prompt": "q0", "chosen": "p0.a", "rejected": "s0.a", **won, "annotator": "b", "machine": True},
        {"prompt": "q1", "chosen": "s1.a", "rejected": "p1.a", **lost},
        {"prompt": "q2", "answers": ["p2.a", "s2.a"], "sources": ["ppo", "sft"], "ranks": [1, 1], "verdict": "tie"},
        {"prompt": "q3", "chosen": "s3.a", "rejected": "u3.a", "chosen_source": "sft", "rejected_source": "untuned"},
    ]  # fmt: skip
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in labels))
    report: dict[str, Any] = {
        "stages": [stage("sft", "untuned"), {"name": "reward", "gain": None}, stage("ppo", "sft")]
    }
    add_wins(report, tmp_path, path)
    sft, reward, ppo = report["stages"]
    assert ppo["people"] == {"win_rate": 0.5, "win_rate_se": pytest.approx(0.5 / 3**0.5), "labels": 4, "machine": 1}
    assert sft["people"] == {"win_rate": 1.0, "win_rate_se": None, "labels": 1, "machine": 0} and "people" not in reward
    json.dumps(report, allow_nan=False)
    assert "preferred to sft in 50.0 ± 56.6 % of 4 labels (1 of them a model's)" in str(preferred(ppo))


@pytest.mark.parametrize(
    ("label", "won"),
    [
        ({"ranks": [2, 1]}, 1.0), ({"ranks": [1, 2]}, 0.0), ({"ranks": [1, 1], "verdict": "neither"}, 0.5),
        ({"scores": [2, 5]}, 1.0), ({"scores": [5, 2]}, 0.0), ({"scores": [3, 3]}, 0.5),
    ],
)  # fmt: skip
def test_rankings_and_ratings_count_as_pairs_do(label: dict[str, Any], won: float, tmp_path: Path) -> None:
    """Seen failing with every label that is no pair counted as a tie."""
    write_questions(tmp_path, ROWS, WRITTEN, 2)
    row = {"prompt": "q0", "answers": ["s0.a", "p0.a"], "sources": ["sft", "ppo"], **label}
    (tmp_path / "labels.jsonl").write_text(json.dumps(row) + "\n")
    report: dict[str, Any] = {"stages": [stage("ppo", "sft")]}
    add_wins(report, tmp_path, tmp_path / "labels.jsonl")
    assert report["stages"][0]["people"]["win_rate"] == won


def test_a_missing_file_of_labels_is_said_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match=r"none\.jsonl: there is no such file"):
        said("rlhf", "recipe.yaml", "--out", tmp_path / "out", "--labels", tmp_path / "none.jsonl")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q0", "chosen": "x", "rejected": "s0.a", "chosen_source": "ppo", "rejected_source": "sft"},
        {"prompt": "q0", "chosen": "p0.a", "rejected": "s0.a"},
        {"prompt": "q0", "answers": ["a", "b", "c"], "sources": ["x", "y", "z"]},
        {"prompt": "q0", "answers": 3},
        {"prompt": "q0", "answers": ["s0.a", "p0.a"], "sources": ["sft", "ppo"]},
        {"prompt": "q0", "answers": ["s0.a", "p0.a"], "sources": ["sft", "ppo"], "ranks": ["1", "2"]},
        {"prompt": "q0", "original": "s0.a", "edited": "x", "source": "sft"},
    ],
)
def test_labels_of_something_else(row: dict[str, Any], tmp_path: Path) -> None:
    write_questions(tmp_path, ROWS, WRITTEN, 2)
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(LuthierError, match=r"labels.jsonl:1: does not compare two stages .* for `luthier label new`"):
        add_wins({"stages": [stage("ppo", "sft")]}, tmp_path, path)


def test_a_broken_line_of_labels_is_named(tmp_path: Path) -> None:
    """Seen failing with a line that is no JSON said to compare other stages."""
    write_questions(tmp_path, ROWS, WRITTEN, 2)
    (tmp_path / "labels.jsonl").write_text('\n{"prompt": broken\n')
    with pytest.raises(LuthierError, match=r"labels\.jsonl:2: .*JSON"):
        add_wins({"stages": []}, tmp_path, tmp_path / "labels.jsonl")


def test_where_the_judge_does_not_follow() -> None:
    """The reward rises by 1 everywhere and the judge falls by 1: the six prompts whose answers differ most."""
    texts, zeros = [f"a{i}" for i in range(20)], [0.0] * 20
    rewards, judged = [1.0 + 0.01 * i for i in range(20)], [-1.0 - 0.01 * (i % 2) for i in range(20)]
    found = audit(ROWS, texts, 2, (rewards, zeros), (judged, zeros))
    assert found is not None and found["falls"] and found["reward_gain"] == pytest.approx(1.095)
    assert [a["answer"] for a in found["answers"]] == ["a19", "a17", "a15", "a13", "a11", "a9"]
    assert len({a["prompt"] for a in found["answers"]}) == LOOK
    words = str(audited({**stage("ppo", "sft"), "audit": found}))
    assert "reward rose (+1.095 on sft) while the judge fell (-0.500 ± 0.196): look at these 6 answers" in words
    assert audit(ROWS, texts, 2, (rewards, zeros), ([1.0] * 20, zeros)) is None, "both rise"
    assert audit(ROWS, texts, 2, (judged, zeros), (judged, zeros)) is None, "both fall"
    flat = audit(ROWS, texts, 2, (rewards, zeros), ([-1.0, 1.0] * 9 + [-3.0, 1.0], zeros))
    assert flat is not None and not flat["falls"]
    assert "the judge does not see it" in str(audited({**stage("ppo", "sft"), "audit": flat}))
    assert audited(stage("ppo", "sft")) is None and audit(ROWS, texts, 2, (zeros, zeros), (zeros, zeros)) is None


def test_both_stand_on_the_page(tmp_path: Path) -> None:
    texts, zeros = ["<b>x</b>"] * 20, [0.0] * 20
    found = audit(ROWS, texts, 2, ([float(i) for i in range(20)], zeros), ([-float(i) for i in range(20)], zeros))
    report = {
        "prompts": 10, "answers": 2, "temperature": 0.7, "judge": {"name": "re:x"}, "samples": [],
        "untuned": {"judged": 0.0, "length": 4.0},
        "stages": [{**stage("ppo", "sft"), "audit": found,
                    "people": {"win_rate": 0.5, "win_rate_se": 0.1, "labels": 9, "machine": 2}}],
    }  # fmt: skip
    page = write_page(tmp_path, report).read_text(encoding="utf-8")
    for words in ("these 6 answers", "请看这 6 个回答", "preferred to sft", "在 9 个标注（其中 2 个来自模型）"):
        assert words in page
    assert "<b>x</b>" not in page and page.count("&lt;b&gt;x") == 6
