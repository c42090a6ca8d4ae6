"""A model as annotator: both orders, ties where they disagree, marked as a machine's, resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import fake_server
import preferring
import runs
from labelling import asked, project, stands
from luthier.core.errors import LuthierError
from luthier.feedback import assigning, judging
from luthier.feedback.export import export
from luthier.feedback.questions import Question
from luthier.feedback.store import Store
from luthier.runs.loaded import load_run
from luthier.runs.rewards import conversation

Prefers = Callable[[str], int | None]  # which label a text gets; None: none is named


class Judge:
    """A model that gives one label to each text as `prefers` says; it notes what it is asked."""

    output = "text"

    def __init__(self, prefers: Prefers) -> None:
        self.prefers, self.asked = prefers, list[str]()

    def worded(self, template: Any, labels: Sequence[str], shots: Sequence[Any] = ()) -> Judge:
        assert template.text == "{input}" and template.chat
        return self

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> torch.Tensor:
        self.asked += texts
        out = torch.full((len(texts), len(labels)), -torch.inf)
        for row, text in enumerate(texts):
            if (label := self.prefers(text)) is not None:
                out[row, label] = 0.0
        return out


def use(monkeypatch: pytest.MonkeyPatch, prefers: Prefers) -> Judge:
    model = Judge(prefers)
    monkeypatch.setattr(judging, "answering", lambda name: model)
    return model


def best(text: str) -> int:
    """The answer that says "good", in whichever place."""
    return 0 if text.index("good") < text.index("bad") else 1


PAIR = Question("why {one} {two}?", ("bad {talk}", "good {two}"))


@pytest.mark.parametrize(("prefers", "ranks"), [
    (best, [2, 1]), (lambda _: 0, [1, 1]), (lambda _: 1, [1, 1]), (lambda text: 1 - best(text), [1, 2]),
])  # fmt: skip
def test_both_orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefers: Prefers, ranks: list[int]) -> None:
    """A judge that always says A has no opinion: it is a tie. Seen failing with one order alone."""
    model = use(monkeypatch, prefers)
    folder = project(tmp_path / "p", [PAIR])
    assert judging.judge(folder, "runs/m") == (1, 0)
    (row,) = stands(folder)
    assert row["name"] == "judge m" and row["value"] == {"ranks": ranks}
    first, second = model.asked
    assert "User: why {one} {two}?" in first and "[Answer A]\nbad {talk}\n\n[Answer B]\ngood {two}\n" in first
    assert "[Answer A]\ngood {two}\n\n[Answer B]\nbad {talk}\n" in second
    export(folder, tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["machine"] is True


def test_a_chinese_conversation_is_judged_in_chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = use(monkeypatch, lambda _: 0)
    turns = [{"role": "system", "content": "简短"}, {"role": "user", "content": "在哪里？"}]
    judging.judge(project(tmp_path / "p", [Question(turns, ("这里", "那里"))]), "m")
    assert "系统：简短\n\n用户：在哪里？" in model.asked[0] and "【回答 A】\n这里" in model.asked[0]


def test_a_ranking_by_comparisons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By length, with two alike: every pair in both orders, wins counted."""

    def longer(text: str) -> int:
        one = text.split("[Answer A]\n")[1].split("\n\n[Answer B]")[0]
        two = text.split("[Answer B]\n")[1].split("\n\nWhich")[0]
        return 0 if len(one) >= len(two) else 1

    model = use(monkeypatch, longer)
    folder = project(tmp_path / "p", [Question("q", ("aa", "b", "cc", "dddd"))], "ranking")
    judging.judge(folder, "m", "judge")
    assert stands(folder)[0]["value"] == {"ranks": [2, 3, 2, 1]} and len(model.asked) == 12


def test_ratings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One number an answer; a question with an answer that gets none is left for the next time."""

    def number(text: str) -> int | None:
        return None if "answer 2 to 2" in text else 3 if "answer 1" in text else 0

    use(monkeypatch, number)
    folder = project(tmp_path / "p", 2, "rating")
    assert judging.judge(folder, "m") == (1, 1)
    assert [(row["question"], row["value"]) for row in stands(folder)] == [(1, {"scores": [4, 1]})]
    use(monkeypatch, lambda _: 4)
    assert judging.judge(folder, "m") == (1, 0) and stands(folder)[1]["value"] == {"scores": [5, 5]}
    assert judging.judge(folder, "m") == (0, 0)


def test_it_goes_on_where_it_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is labelled is not asked again, and people's questions stay theirs."""
    count = 0

    def dying(_: str) -> int:
        nonlocal count
        count += 1
        if count > 40:
            raise KeyboardInterrupt
        return 0

    use(monkeypatch, dying)
    folder = project(tmp_path / "p", 30)
    said: list[tuple[int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        judging.judge(folder, "m", say=lambda *step: said.append(step))
    assert said == [(8, 30), (16, 30)] and len(stands(folder)) == 16
    model = use(monkeypatch, lambda _: 0)
    assert judging.judge(folder, "m", say=lambda *step: said.append(step)) == (14, 0)
    assert len(model.asked) == 28 and said[-1] == (30, 30) and len(stands(folder)) == 30
    store = Store(folder)
    with store.writing() as db:
        anna, _ = assigning.enter(db, "Anna")
        state = assigning.state(db, anna, store.settings)
    store.close()
    assert state["left"] == 30 and state["question"]["id"] == 1


def test_a_reward_run_gives_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer is read once, behind its conversation; equal numbers are a tie."""

    class Reward(Judge):
        output = "reward"

        def predict(self, texts: Sequence[Any], labels: Sequence[str]) -> torch.Tensor:
            assert all(turns[-1].role == "assistant" for turns in texts)
            return torch.tensor([[float(len(turns[-1].content))] for turns in texts])

    monkeypatch.setattr(judging, "answering", lambda name: Reward(best))
    folder = project(tmp_path / "p", [Question("q", ("a", "bb")), Question("q", ("cc", "dd"))])
    assert judging.judge(folder, "m") == (2, 0)
    assert [row["value"]["ranks"] for row in stands(folder)] == [[2, 1], [1, 1]]
    with pytest.raises(LuthierError, match="no ratings from 1 to 5"):
        judging.judge(project(tmp_path / "r", 1, "rating"), "m")


def test_what_cannot_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, best)
    with pytest.raises(LuthierError, match="no model judges it"):
        judging.judge(project(tmp_path / "e", 1, "edit"), "m")
    monkeypatch.setattr(Judge, "output", "labels")
    with pytest.raises(LuthierError, match="it answers with labels"):
        judging.judge(project(tmp_path / "p", 1), "m")


def test_a_judge_behind_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, through a server that speaks as OpenAI's do."""
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))

    def decide(path: str, body: dict[str, Any], _: int) -> fake_server.Reply:
        text = body["messages"][-1]["content"]
        return fake_server.said("A" if text.index("answer 1 to") < text.index("answer 2 to") else "B.")

    folder = project(tmp_path / "p", [asked(n) for n in (1, 2)])
    with fake_server.serving(decide) as server:
        assert judging.judge(folder, f"{server.url}#fake") == (2, 0)
    assert [(row["name"], row["value"]) for row in stands(folder)] == [("judge fake", {"ranks": [1, 2]})] * 2


def test_a_reward_run_that_is_here(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """Its label is that of the numbers it gives both answers."""
    model, objective = tiny_folder("llama_tied"), {"name": "reward"}
    reward = runs.finished(model, tmp_path / "run", data=preferring.DATA, objective=objective)
    question = Question("where is order 3?", ("on its way, 3 days", "no idea at all"))
    folder = project(tmp_path / "p", [question])
    assert judging.judge(folder, str(reward)) == (1, 0)
    lm: Any = load_run(reward)
    first, second = lm.predict([conversation(question.asked, text) for text in question.answers], ())[:, 0].tolist()
    assert first != second and stands(folder)[0]["value"]["ranks"] == ([1, 2] if first > second else [2, 1])


def test_a_model_that_is_here(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """A tiny random model's opinion is worthless, and is kept for every question."""
    folder = project(tmp_path / "p", [asked(n, 3) for n in (1, 2)], "ranking")
    assert judging.judge(folder, str(tiny_folder("llama_tied"))) == (2, 0)
    assert all(len(row["value"]["ranks"]) == 3 for row in stands(folder))
