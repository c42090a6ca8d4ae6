"""The search: who survives, what is paid, what a kill loses, and that what fails does not take the rest with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase
from luthier.core.records import Labelled, Prompt, Record, Sampling
from luthier.core.split import Split
from luthier.data.prompts import Template
from luthier.direct.hard_prompt import HardPrompt
from luthier.direct.wording_search.log import Log, read_log
from luthier.direct.wording_search.proposer import Proposer, cleaned, instruction_of
from luthier.direct.wording_search.search import Search, Settings, affordable, fingerprint
from luthier.training.context import Context

SETTINGS = Settings(calls=120, rounds=3, write=2, score="likelihood", seed=0)
DATA = Split("classification", tuple(Labelled(f"row {i}", "ab"[i % 2]) for i in range(40)), (), labels=("a", "b"))


@dataclass
class Fake:
    """Likes wordings with many x: the right label's probability rises with them. Counts the rows it is asked about."""

    asked: list[tuple[str, str]]
    writes: Any
    template: Template | None = None
    fails: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    key = name = "fake"
    only = None

    def mute(self, labels: Sequence[str]) -> None: ...

    def worded(self, template: Template, labels: Sequence[str], shots: Sequence[Record] = ()) -> Fake:
        return replace(self, template=template, labels=tuple(labels))

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Any:
        assert self.template is not None
        if self.template.text in self.fails:
            raise LuthierError("no answer within 60 s")
        self.asked += [(self.template.text, t) for t in texts]
        p = 1 - 0.5 ** (1 + self.template.text.count("x"))
        right = [labels.index("ab"[int(t.split()[1]) % 2]) for t in texts]
        out = torch.full((len(texts), 2), 1 - p).log()
        out[range(len(texts)), right] = torch.tensor(p).log()
        return out

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        return [self.writes(sampling.seed) for _ in prompts]


def x_writer(seed: int) -> str:
    return f"Write the label of it {'x ' * (seed % 7)}please {seed}."


def search(path: Path | None, fake: Fake, settings: Settings = SETTINGS, given: int = 6) -> Search:
    log = Log(path, vars(settings) | {"data": fingerprint(DATA)})
    proposer = Proposer(fake, DATA, "", settings.seed) if settings.write else None  # type: ignore[arg-type]
    made = Search(fake, DATA, settings, log, proposer)  # type: ignore[arg-type]
    made.give([Template(f"t{i}", f"{'x' * i} {{input}} is:", False) for i in range(given)], "user")
    return made


def test_the_best_wording_survives_and_no_more_is_spent_than_was_given() -> None:
    fake = Fake([], x_writer)
    found = search(None, fake).run()
    assert found.best.template.text.count("x") == max(c.template.text.count("x") for c in found.candidates)
    assert found.calls <= 120 and len(fake.asked) == sum(len(c.values) for c in found.candidates)
    assert len(set(fake.asked)) == len(fake.asked)  # nothing is paid for twice
    rounds = [e for e in search(None, Fake([], x_writer)).log.events if e["event"] == "round"]
    assert not rounds  # a search of its own begins anew


def test_every_round_compares_the_same_rows_and_halves() -> None:
    made = search(None, Fake([], x_writer))
    made.run()
    rounds = made.log.of("round")
    assert [r["rows"] for r in rounds] == sorted(r["rows"] for r in rounds) and len(rounds) == 3
    for before, after in pairwise(rounds):
        kept = before["order"][: (len(before["order"]) + 1) // 2]
        assert set(kept) <= set(after["order"]) and len(after["order"]) <= len(kept) + SETTINGS.write
    order = [c for c in made.candidates if c.id in rounds[-1]["order"]]
    assert all(len(c.values) == rounds[-1]["rows"] for c in order)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(0, 200), st.integers(1, 40))
def test_affordable_against_trying_every_number(scored: list[int], calls: int, limit: int) -> None:
    """Seen failing with `<` in place of `<=` calls."""
    costs = [sum(max(0, m - n) for n in scored) for m in range(limit + 1)]
    assert affordable(scored, calls, limit) == max(m for m, cost in enumerate(costs) if cost <= calls)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", [1, 5, 9, 14, 20, 25, 31])
def test_killed_and_resumed_is_the_unbroken_search(at: int, tmp_path: Path) -> None:
    """Seen failing without the plan of a round in the log: the calls left were shared out anew."""
    whole = search(tmp_path / "whole.jsonl", Fake([], x_writer))
    want = whole.run()
    path = tmp_path / "broken.jsonl"
    fake = Fake([], x_writer)
    broken = search(path, fake)
    add, count = broken.log.add, [0]

    def killing(event: str, **values: Any) -> Any:
        count[0] += 1
        if count[0] == at:
            raise Killed
        return add(event, **values)

    broken.log.add = killing  # type: ignore[method-assign]
    with pytest.raises(Killed):
        broken.run()
    with path.open("ab") as file:
        file.write(b'{"event": "scores", "id": 0, "val')  # cut in the middle of a line
    rest = Fake([], x_writer)
    found = search(path, rest).run()
    assert found.best.template == want.best.template and found.calls == want.calls
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert search(path, rest).run().best.template == want.best.template
    twice = [a for a in rest.asked if a in fake.asked]
    assert len(twice) <= 32  # what the event that was lost had paid for


def test_a_log_of_another_search_and_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    search(path, Fake([], x_writer)).run()
    with pytest.raises(LuthierError, match="a search with other calls"):
        search(path, Fake([], x_writer), replace(SETTINGS, calls=200))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], "{broken", *lines[3:]]) + "\n")
    with pytest.raises(LuthierError, match=r"damaged .line 4"):
        read_log(path)


def test_garbage_is_dropped_or_repaired_with_its_reason() -> None:
    said = ["{", "", "}}}}", "!!! ... 123 456", "Sort it {text}", "Name the label of the message"]
    fake = Fake([], lambda seed: said[seed % 100 % 6])
    made = search(None, fake, replace(SETTINGS, write=6, rounds=1))
    made.run()
    dropped = {e["text"]: e["reason"] for e in made.log.of("dropped")}
    assert set(dropped) == set(said[:4]) and all(isinstance(reason, Phrase) for reason in dropped.values())
    repaired = [e["repaired"] for e in made.log.of("candidate", source="written")]
    assert repaired == ["{text} became {input}", "{input} was put at the end"]


def test_a_proposer_that_fails_is_said_and_the_search_goes_on() -> None:
    def silent(seed: int) -> str:
        raise LuthierError("no answer within 60 s, 6 times in a row")

    made = search(None, Fake([], silent))
    found = made.run()
    assert found.best.id == 5 and len(made.log.of("failed")) == 3  # once a round, not once a wording
    said = made.log.of("failed")[0]["reason"]
    assert said.text("zh") == "没有写出措辞：no answer within 60 s, 6 times in a row"


def test_a_wording_that_cannot_be_scored_is_left_and_all_of_them_is_an_error() -> None:
    texts = [f"{'x' * i} {{input}} is:" for i in range(6)]
    made = search(None, Fake([], x_writer, fails=(texts[5],)), replace(SETTINGS, write=0))
    assert made.run().best.id == 4 and made.log.of("failed")[0]["id"] == 5
    fake = Fake([], x_writer, fails=tuple(texts))
    with pytest.raises(LuthierError, match="no wording could be scored: no answer within 60 s"):
        search(None, fake, replace(SETTINGS, write=0)).run()


def test_too_few_calls_are_an_error() -> None:
    with pytest.raises(LuthierError, match=r"direct.calls 9: 8 wordings in 3 rounds.*at least"):
        search(None, Fake([], x_writer), replace(SETTINGS, calls=9)).run()


def test_what_models_wrap_around_an_instruction_goes() -> None:
    for said in ('"Sort it."', "```\nSort it.\n```", "Instruction: Sort it.", "**Instruction:** Sort it.",
                 "Sort it.\n\nInput: x\nAnswer: y", "“Sort it.”", "新的指令：Sort it."):  # fmt: skip
        assert cleaned(said) == "Sort it.", said


def test_the_request_is_no_wording() -> None:
    """Seen failing: `Reply with the instruction only.` was scored."""
    fake = Fake([], lambda seed: "Reply with the instruction only.")
    made = search(None, fake, replace(SETTINGS, write=2, rounds=1))
    made.run()
    assert made.log.of("dropped") and not [e for e in made.log.of("candidate") if e["source"] == "written"]
    assert instruction_of(Template("t", "Translate the German sentence '{input}' into English:", False)) == (
        "Translate the German sentence … into English:"
    )


def test_the_method_reports_what_it_left_out(lm: Any, tmp_path: Path) -> None:
    """A small model's search end to end: its log, its notes, and that it only ever saw training rows."""
    path = tmp_path / "mine.txt"
    path.write_text("Topic of {input} is\nbroken {input\n", encoding="utf-8")
    run = Context(lm, replace(tiny.LABELLED, test=()), 0, cache=tmp_path, folder=tmp_path / "run")
    method = HardPrompt(templates=str(path), calls=60, rounds=2, write=2)
    found = method.adapt(run)
    assert found.template and "{input}" in found.template.text and found.labels == tiny.LABELLED.labels
    (left,) = [note for note in run.notes if f"{path}:2: the brace at character 8 is never closed" in note]
    assert isinstance(left, Phrase)
    assert left.text("zh").startswith(f"未采用：{path}:2：第 8 个字符处的左花括号没有结尾")
    kept = [event["reason"] for event in read_log(tmp_path / "run" / "search.jsonl") if event["event"] == "dropped"]
    assert left.values["reason"] in kept and all(isinstance(reason, Phrase) for reason in kept)
    log = (tmp_path / "run" / "search.jsonl").read_text()
    assert "the parcel is late" not in log and json.loads(log.splitlines()[-1])["event"] == "best"
    assert method.adapt(run).template == found.template
    assert (tmp_path / "run" / "search.jsonl").read_text() == log


def test_a_search_does_not_go_on_with_other_wordings_in_the_place_of_the_old(lm: Any, tmp_path: Path) -> None:
    """A mended line moves the others: each would get the scores of the one that stood there before."""
    path = tmp_path / "mine.txt"
    data, method = replace(tiny.LABELLED, test=()), HardPrompt(templates=str(path), calls=60, rounds=2, write=0)
    path.write_text("broken {input\nTopic of {input} is\n", encoding="utf-8")
    method.adapt(Context(lm, data, 0, cache=tmp_path, folder=tmp_path / "run"))
    path.write_text("mended {input}\nTopic of {input} is\n", encoding="utf-8")
    with pytest.raises(LuthierError, match="a search with other wordings: choose another --out"):
        method.adapt(Context(lm, data, 0, cache=tmp_path, folder=tmp_path / "run"))
