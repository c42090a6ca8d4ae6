"""The best of several answers: which is given, what it costs, how far it is, and what it is refused without."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import tiny
from comparing import compare
from luthier.comparison.plan import make_request
from luthier.core.errors import LuthierError, Refused
from luthier.core.records import Message, Record, Sampling
from luthier.direct.best_of_n import BestOfLM, BestOfN
from luthier.evals.judging import Pair
from luthier.io.files import read_json
from luthier.models.causal import CausalLM
from luthier.runs import run
from luthier.training.context import Context
from preferring import DATA, PAIRS


class Writes:
    """Gives the answers of a list in turn, and remembers how it was asked."""

    remote = False

    def __init__(self, answers: Sequence[str]) -> None:
        self.answers, self.prompts, self.sampling = list(answers), [""], Sampling()

    def generate(self, prompts: Sequence[Any], sampling: Sampling) -> list[str]:
        self.prompts, self.sampling = list(prompts), sampling
        return self.answers[: len(prompts)]


class Length:
    """The longer the better."""

    def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
        assert len(prompts) == len(answers) == len(records) and all(r.wanted == "" for r in records)
        return [float(len(answer)) for answer in answers]


def test_the_best_answer_by_hand() -> None:
    writes: Any = Writes(["a", "abc", "ab", "x", "yy", "zz"])
    found = BestOfLM(writes, Length(), 3, 0.7)
    assert found.generate(["p", "q"], Sampling(9)) == ["abc", "yy"], "the first of equals"
    assert writes.prompts == ["p", "p", "p", "q", "q", "q"] and writes.sampling == Sampling(9, 0.7)
    found.generate(["p", "q"], Sampling(9, 1.0))
    assert writes.sampling.temperature == 1.0, "whoever asks for a temperature gets it"
    assert found.generate([], Sampling()) == []
    assert found.kl == pytest.approx(math.log(3) - 2 / 3)
    before = (Message("user", "p"),)
    assert found.prefers([Pair(before, "aa", "a"), Pair(before, "a", "aa"), Pair(before, "a", "b")]) == [1.0, 0.0, 0.5]
    assert found.prefers([]) == []


def test_a_server_is_asked_with_a_seed_for_each_answer() -> None:
    """Seen failing: equal requests to a server are one request, so that all n answers were the same."""

    class Server(Writes):
        remote = True
        seeds: list[int] = []  # noqa: RUF012

        def generate(self, prompts: Sequence[Any], sampling: Sampling) -> list[str]:
            self.seeds.append(sampling.seed)
            return [f"{prompt}{'x' * sampling.seed}" for prompt in prompts]

    server: Any = Server([])
    assert BestOfLM(server, Length(), 3, 0.7).generate(["p", "q"], Sampling(9, seed=1)) == ["pxxxxx", "qxxxxx"]
    assert server.seeds == [3, 4, 5]


def test_one_of_one_is_the_model_itself() -> None:
    writes: Any = Writes(["a"])
    assert BestOfLM(writes, Length(), 1, 0.7).kl == 0.0


def test_answers_are_drawn_apart(lm: CausalLM) -> None:
    """Seen failing with one answer written n times: requests of one call have random numbers of their own."""
    drawn: list[str] = []

    class Watch(Length):
        def score(self, prompts: Sequence[Any], answers: Sequence[str], records: Sequence[Record]) -> list[float]:
            drawn.extend(answers)
            return super().score(prompts, answers, records)

    BestOfLM(lm.asked(template=tiny.PLAIN), Watch(), 4, 1.0).generate(["a b"], Sampling(8))
    assert len(set(drawn)) > 1


def test_it_needs_a_reward_and_others_none(lm: CausalLM) -> None:
    with (
        pytest.raises(Refused, match="best_of_n needs a reward, and none is named"),
        run.adapted(lm, tiny.recipe(Path(lm.name), "best_of_n", reward=""), DATA),
    ):
        pass
    with (
        pytest.raises(Refused, match="length has no use for a reward"),
        run.adapted(lm, tiny.recipe(Path(lm.name), "length", reward="re:x"), DATA),
    ):
        pass
    with pytest.raises(LuthierError, match="the recipe names no reward to choose by"):
        BestOfN().load(Path("x"), Context(lm))


@pytest.mark.usefixtures("in_this_process")
def test_a_comparison_gives_the_reward_to_who_needs_it(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    data = tmp_path / "pairs.jsonl"
    rows = [{"prompt": p.messages[0].content, "chosen": p.chosen, "rejected": p.rejected} for p in PAIRS]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "r.py").write_text("def length(prompt, answer, row):\n    return len(answer)\n")
    reward = f"{tmp_path}/r.py:length"
    methods = ["zero_shot", "best_of_n", "length"]
    board = compare(data, tmp_path / "out", [str(tiny_folder("llama_tied"))], methods=methods, budget="2k-tokens",
                    reward=reward, judge=reward, answer_tokens=6)  # fmt: skip
    by_name = {row["name"]: row for row in board["rows"]}
    best = by_name["best_of_n"]
    assert [row["status"] for row in board["rows"]] == ["ok"] * 3
    assert best["wins"] >= 0.5 and best["kl"] == pytest.approx(math.log(4) - 3 / 4) and best["kl_ci95"][0] == 0.0
    notes = read_json(tmp_path / "out" / "trials" / "best_of_n" / "seed-0" / "eval.json")["notes"]
    assert any("judged by the very reward" in str(note) for note in notes), notes
    assert best["latency_ms"] is not None


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_policies_stand_beside_it(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """What learns from the reward is searched, trained, measured and named like any other row."""
    data = tmp_path / "pairs.jsonl"
    rows = [{"prompt": p.messages[0].content, "chosen": p.chosen, "rejected": p.rejected} for p in PAIRS]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    methods = ["zero_shot", "best_of_n", "lora/ppo", "lora/grpo", "lora/dpo"]
    board = compare(data, tmp_path / "out", [str(tiny_folder("llama_tied"))], methods=methods, budget="20k-tokens",
                    reward="re:[aeiou]", judge="re:[aeiou]", answer_tokens=5, batch=2)  # fmt: skip
    by_name = {row["name"]: row for row in board["rows"]}
    assert {name: row["status"] for name, row in by_name.items()} == dict.fromkeys(methods, "ok"), board
    for name in ("lora/ppo", "lora/grpo"):
        row = by_name[name]
        assert row["kl"] is not None and row["wins"] is not None and row["learning_rate"] > 0
        folder = tmp_path / "out" / "trials" / name.replace("/", "+") / "seed-0"
        assert "reward: re:[aeiou]" in (folder / "recipe.yaml").read_text()
        assert (folder / "samples.jsonl").exists()
        assert any("the very reward" in str(note) for note in read_json(folder / "eval.json")["notes"])
    assert "reward:" not in (tmp_path / "out" / "trials" / "lora+dpo" / "seed-0" / "recipe.yaml").read_text()


def test_a_reward_that_is_none_is_said_before_anything_begins(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match="nosuch is neither a run folder nor"):
        compare(Path("desk"), tmp_path / "out", ["embedded"], methods=["best_of_n"], reward="nosuch")


def test_a_comparison_without_one_keeps_its_folder() -> None:
    one = make_request({"path": "desk"}, methods=["length"], budget="2k-tokens")
    other = make_request({"path": "desk"}, methods=["length"], budget="2k-tokens", reward="re:x")
    assert one.reward == "" and one.key != other.key
