"""Written answers held against the untuned model's: wins, distance, length; in the board, the page and the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from comparing import compare
from luthier.comparison.board import gather
from luthier.comparison.plan import read_request
from luthier.core.errors import LuthierError
from luthier.core.records import Preference, Sampling
from luthier.evals.drawn import Untuned, measured
from luthier.io.files import read_json
from luthier.reports.comparison import charts
from luthier.reports.comparison.html_report import render
from luthier.runs.judges import ByAsking, ByNumber, comparer
from luthier.training.context import Meter
from preferring import PAIRS, asked

ROWS = tuple(Preference(asked(f"q{i}"), "a", "b") for i in range(4))


class Says:
    """Writes a fixed answer to each prompt; the likelihood of a letter is set."""

    can = frozenset({"generate", "logprobs"})
    output = "text"

    def __init__(self, answers: Sequence[str], nats: float = 0.0) -> None:
        self.answers, self.nats = list(answers), nats

    def generate(self, prompts: Sequence[Any], sampling: Sampling) -> list[str]:
        assert len(prompts) == len(self.answers)
        return self.answers

    def logprobs(self, pairs: Sequence[tuple[Any, str]]) -> list[torch.Tensor]:
        return [torch.full((len(text),), self.nats) for _, text in pairs]


def judged(tmp_path: Path) -> Any:
    (tmp_path / "r.py").write_text("def length(prompt, answer, row):\n    return len(answer)\n")
    return comparer(f"{tmp_path}/r.py:length", Meter())


def test_wins_distance_and_length_by_hand(tmp_path: Path) -> None:
    """Answers of 1 to 4 letters against 2 each: one worse, one alike, two better; log π moved by 0.5 a letter."""
    adapted: Any = Says(["a", "ab", "abc", "abcd"], -0.5)
    start: Any = Says(["zz"] * 4, -1.0)
    inside: list[str] = []

    @contextmanager
    def off() -> Any:
        inside.append("off")
        yield

    found = measured(adapted, Untuned(ROWS, ("zz",) * 4, Sampling(), judged(tmp_path)), start, off)
    assert found["wins"] == pytest.approx((0 + 0.5 + 1 + 1) / 4) and found["reply_tokens"] == 2.5
    assert found["kl"] == pytest.approx(0.5 * 2.5) and inside == ["off"]
    assert found["wins_ci95"][0] < found["wins"] < found["wins_ci95"][1] and found["kl_ci95"][0] < found["kl"]
    direct = measured(adapted, Untuned(ROWS, ("zz",) * 4, Sampling(), judged(tmp_path)))
    assert "kl" not in direct and direct["wins"] == found["wins"]
    nothing: Any = nullcontext
    alike = measured(start, Untuned(ROWS, ("zz",) * 4, Sampling(), judged(tmp_path)), start, nothing)
    assert alike["wins"] == 0.5 and alike["kl"] == 0.0


class Names:
    """A judge that names A or B in turn, as it is told."""

    def __init__(self, letters: str) -> None:
        self.letters = letters

    def worded(self, template: Any, labels: Sequence[str]) -> Names:
        return self

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> torch.Tensor:
        return torch.tensor([[0.0, -9.0] if letter == "A" else [-9.0, 0.0] for letter in self.letters])


def test_who_disagrees_with_himself_prefers_none() -> None:
    first: Any = Names("AAAAAAAA")
    assert ByAsking(first).prefers(ROWS, ["x"] * 4, ["y"] * 4) == [0.5] * 4
    assert ByAsking(first).prefers(ROWS, ["x"] * 4, ["x"] * 4) == [0.5] * 4
    sure: Any = Names("AAAABBBB")
    assert ByAsking(sure).prefers(ROWS, ["x", "x", "x", "y"], ["y", "y", "y", "y"]) == [1.0, 1.0, 1.0, 0.5]


@pytest.mark.usefixtures("in_this_process")
def test_a_comparison_with_a_judge(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """The untuned row has written what it is held against: half its answers win, none has moved."""
    data = tmp_path / "pairs.jsonl"
    rows = [{"prompt": p.messages[0].content, "chosen": p.chosen, "rejected": p.rejected} for p in PAIRS]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows * 1))
    (tmp_path / "r.py").write_text("def length(prompt, answer, row):\n    return len(answer)\n")
    judge, out = f"{tmp_path}/r.py:length", tmp_path / "out"
    board = compare(data, out, [str(tiny_folder("llama_tied"))], methods=["zero_shot", "lora", "length"], judge=judge,
                    budget="2k-tokens", answer_tokens=6)  # fmt: skip
    by_name = {row["name"]: row for row in board["rows"]}
    assert by_name["zero_shot"]["wins"] == 0.5 and by_name["zero_shot"]["kl"] is None
    assert by_name["length"]["wins"] is None, "it writes nothing"
    lora = by_name["lora"]
    assert lora["kl"] != 0 and lora["kl_ci95"][0] <= lora["kl"] <= lora["kl_ci95"][1] and lora["reply_tokens"] > 0
    assert read_request(out).judge == judge and len(read_json(out / "untuned.json")["answers"]) == 2
    found, details = gather(out)
    assert "column_kl" in render(found, {}, details) or "KL" in render(found, {}, details)
    assert charts.costs_of(found)[0].key == "kl"
    assert isinstance(comparer("re:x", Meter()), ByNumber)


def test_a_judge_that_is_none_is_said_before_anything_begins(tmp_path: Path) -> None:
    """Seen failing with every row failed, one after another, at its end."""
    with pytest.raises(LuthierError, match="nosuch is neither a run folder nor"):
        compare(Path("desk"), tmp_path / "out", ["embedded"], methods=["zero_shot"], judge="nosuch")
    assert not (tmp_path / "out").exists()
