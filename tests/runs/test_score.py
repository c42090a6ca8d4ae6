"""Answers judged by whatever gives numbers: what is written, what it is held against, and what goes wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from commands import said
from fake_server import Reply, serving
from luthier.core.errors import LuthierError
from luthier.core.records import Ranking, Scored
from luthier.data.read import read
from luthier.evals.agreement import agreement
from luthier.io.config import DataConfig
from luthier.runs.loaded import judge
from luthier.runs.score import score_file
from luthier.training.context import Meter

ROWS: list[dict[str, Any]] = [
    {"prompt": "p0", "chosen": "good and long", "rejected": "bad"},
    {"prompt": "p1", "chosen": "good", "rejected": "bad, and long"},
    {"prompt": "p2", "chosen": "so", "rejected": "good"},
]


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_pairs_are_held_against_what_people_preferred(tmp_path: Path) -> None:
    data, out = jsonl(tmp_path / "pairs.jsonl", *ROWS), tmp_path / "scored.jsonl"
    told = said("score", "re:good", data, "--out", out)
    assert "6 answers of 3 rows: 0 to 1, mean 0.5" in told and "Pairs told right: 66.7 %" in told
    assert "by length alone 66.7 %" in told, "the shorter one: of two rows of three"
    assert "cannot be told from chance" in told and "from choosing by length alone" in told
    assert "longer: 100.0 %" in told and "shorter: 50.0 %" in told
    records = read(out).records
    assert [r.numbers for r in records if isinstance(r, Ranking)] == [(1, 0), (1, 0), (0, 1)]
    assert not out.with_name("scored.jsonl.partial").exists()
    page = out.with_name("scored.jsonl.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1 and "too few pairs for a figure" in page, "three pairs have no calibration"
    assert "判断正确 66.7 %" in page and "cannot be told from chance" in page


def test_single_answers_are_read_again_as_ratings(tmp_path: Path) -> None:
    """Conversations in Chinese, thumbs and completions have one answer a row."""
    talk = {"messages": [{"role": "user", "content": "包裹在哪？"}, {"role": "assistant", "content": "明天到。"}]}
    data, out = jsonl(tmp_path / "talks.jsonl", *([talk] * 3)), tmp_path / "s.jsonl"
    (tmp_path / "length.py").write_text("def of(prompt, answer, row):\n    return len(answer)\n")
    assert "Pairs told right" not in said("score", f"{tmp_path}/length.py:of", data, "--out", out)
    assert not out.with_name("s.jsonl.html").exists(), "there is nothing to hold it against"
    (first, *_) = read(out).records
    assert isinstance(first, Scored) and (first.answer, first.number) == ("明天到。", 4)


def test_agreement_by_hand() -> None:
    """Rows count once: of the first two pairs one is right, the others are; a tie counts half."""
    found = agreement([(0, 2.0, 5), (0, -1.0, 3), (1, 0.5, -2), (2, 0.0, 0)])
    assert (found.rows, found.pairs, found.margins) == (3, 4, (-1.0, 0.0, 0.5, 2.0))
    assert found.right.value == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert found.length.value == pytest.approx((1 + 0 + 0.5) / 3) and found.longer == 0.5 and found.shorter == 1.0
    calibrated = agreement([(i, 2.0 if i % 10 else -2.0, 1) for i in range(40)])
    (only,) = calibrated.bins
    assert only.pairs == 40 and only.right == 0.9 and only.said == pytest.approx(1 / (1 + math.exp(-2)))
    assert calibrated.length.value == 1.0 and "length" in str(calibrated.doubts[0])
    sure = agreement([(i, 1.0, (-1) ** i) for i in range(60)])
    assert not sure.doubts and sure.ahead.low > 0


class Stops:
    """A judge that is killed at its second call, and counts what it is asked."""

    def __init__(self, calls: int) -> None:
        self.left, self.asked = calls, 0

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Any]) -> list[float]:
        if not self.left:
            raise KeyboardInterrupt
        self.left, self.asked = self.left - 1, self.asked + len(answers)
        return [float(len(answer)) for answer in answers]


def test_a_killed_one_goes_on(tmp_path: Path) -> None:
    """Also behind half a line; what another reward began is begun anew."""
    data, out = (
        jsonl(tmp_path / "many.jsonl", *({**ROWS[0], "prompt": f"q{i}"} for i in range(80))),
        tmp_path / "s.jsonl",
    )
    config = DataConfig(str(data), anyway=True)
    with pytest.raises(KeyboardInterrupt):
        score_file(Stops(2), "first", config, out)
    partial = tmp_path / "s.jsonl.partial"
    assert not out.exists() and len(partial.read_text().splitlines()) == 65
    with partial.open("a") as file:
        file.write('{"line": 65, "pro')
    rest = Stops(9)
    assert score_file(rest, "first", config, out).rows == 80 and rest.asked == 32
    assert [json.loads(line)["line"] for line in out.read_text().splitlines()] == list(range(1, 81))
    with pytest.raises(KeyboardInterrupt):
        score_file(Stops(2), "first", config, out)
    other = Stops(9)
    score_file(other, "second", config, out)
    assert other.asked == 160


def test_a_server_judges(tmp_path: Path) -> None:
    def decide(path: str, body: dict[str, Any], _: int) -> Reply:
        return Reply({"score": len(body["answer"]) / 2 if body["answer"] != "bad" else None})

    with serving(decide) as server:
        reward = judge(server.url, Meter())
        rows: list[Any] = [None, None]
        assert reward.score(["q", "q"], ["four", "sixsix"], rows) == [2.0, 3.0]
        asked = server.asked[0][1]
        assert asked["prompt"] == [{"role": "user", "content": "q"}] and asked["answer"] in ("four", "sixsix")
        with pytest.raises(LuthierError, match=r"gave None, which is no finite number, for the answer 'bad'"):
            reward.score(["q"], ["bad"], rows)


def test_a_module_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rewards.py").write_text("def short(p, a, r):\n    return -len(a)\ntext = 'x'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    rows: list[Any] = [None]
    assert judge("my_rewards:short", Meter()).score(["q"], ["abc"], rows) == [-3.0]
    for name, why in (("my_rewards:text", "no function"), ("no_such_module:f", "cannot be read: ModuleNotFound")):
        with pytest.raises(LuthierError, match=why):
            judge(name, Meter())


@pytest.mark.parametrize("value", ["None", "'1'", "float('nan')", "float('inf')", "[1]", "object()"])
def test_what_is_no_number_is_said(tmp_path: Path, value: str) -> None:
    (tmp_path / "r.py").write_text(f"def f(p, a, r):\n    return {value}\n")
    rows: list[Any] = [None]
    with pytest.raises(LuthierError, match="which is no finite number, for the answer 'abc'"):
        judge(f"{tmp_path}/r.py:f", Meter()).score(["q"], ["abc"], rows)


def test_what_cannot_be_judged(tmp_path: Path) -> None:
    texts = jsonl(tmp_path / "t.jsonl", {"text": "a", "label": "b"})
    cases: list[tuple[list[Path | str], str]] = [
        ([texts, "--out", tmp_path / "o.jsonl"], "there is no answer to judge"),
        ([texts, "--out", tmp_path / "o.csv"], "must end in .jsonl"),
        ([jsonl(tmp_path / "p.jsonl", *ROWS), "--out", tmp_path / "p.jsonl"], "which would be lost"),
    ]
    for arguments, why in cases:
        with pytest.raises(LuthierError, match=why):
            said("score", "re:x", *arguments)
    assert not (tmp_path / "o.jsonl").exists()
