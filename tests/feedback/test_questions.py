"""Questions read from files, and the answers that models give to prompts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.core.errors import LuthierError
from luthier.core.records import Message, Prompt, Sampling
from luthier.feedback import project, sampling
from luthier.feedback.questions import Question, distinct, read_questions
from luthier.feedback.sampling import Asked, Draw
from luthier.feedback.store import Settings, Store

CHAT = [{"role": "system", "content": "brief"}, {"role": "user", "content": "why?"}]


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_each_layout(tmp_path: Path) -> None:
    """Answers with sources, pairs, prompts alone; a prompt is a text or a conversation."""
    three = {"prompt": CHAT, "answers": ["a", "b", "c"], "sources": ["x", "y", "x"]}
    assert read_questions(written(tmp_path, three))[0] == [Question(CHAT, ("a", "b", "c"), ("x", "y", "x"))]
    pair = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    assert read_questions(written(tmp_path, pair))[0] == [Question("q", ("good", "bad"))]
    assert read_questions(written(tmp_path, {"prompt": "q"}, {"prompt": CHAT}))[0] == [Question("q"), Question(CHAT)]
    assert Question(CHAT).messages == (Message("system", "brief"), Message("user", "why?"))


def test_layouts_of_other_commands(tmp_path: Path) -> None:
    """Conversations within chosen and rejected, transcripts, and questions by another column."""
    end = {"role": "assistant", "content": "good"}
    whole = {"prompt": "why?", "chosen": [*CHAT[1:], end], "rejected": [*CHAT[1:], {**end, "content": "bad"}]}
    assert read_questions(written(tmp_path, *[whole] * 2))[0] == [Question("why?", ("good", "bad"))] * 2
    talk = "\n\nHuman: why?\n\nAssistant: "
    text = {"chosen": f"{talk}good", "rejected": f"{talk}bad"}
    assert read_questions(written(tmp_path, text))[0] == [Question("why?", ("good", "bad"))]
    assert read_questions(written(tmp_path, {"question": "why?"}, {"question": "how?"}))[0] == [
        Question("why?"), Question("how?"),
    ]  # fmt: skip


@pytest.mark.parametrize(("row", "why"), [
    ({"prompt": "q", "answers": ["a"]}, "1 answers: a question has 2 to 9"),
    ({"prompt": "q", "answers": ["a"] * 10}, "10 answers: a question has 2 to 9"),
    ({"prompt": "q", "answers": "ab"}, "answers is a text, not a list"),
    ({"prompt": "q", "answers": ["a", 3]}, "answer 2 is a number, not text"),
    ({"prompt": "q", "answers": ["a", "  "]}, "answer 2 is empty"),
    ({"prompt": "q", "answers": ["a", " a "]}, "two answers are the same"),
    ({"prompt": "q", "answers": ["a", "b"], "sources": ["x"]}, "sources must be a list of as many"),
    ({"prompt": "", "answers": ["a", "b"]}, "prompt is empty"),
    ({"answers": ["a", "b"]}, "prompt is null"),
    ({"prompt": [{"role": "assistant", "content": "x"}], "answers": ["a", "b"]}, "not the user's"),
    ({"prompt": "q"}, "no answers"),
    ({"prompt": "q", "answers": ["a", "\ud83d"]}, "half a character"),
])  # fmt: skip
def test_what_is_wrong_with_a_row(tmp_path: Path, row: dict[str, Any], why: str) -> None:
    """It is named with its line, and left out on request, into rejected.jsonl."""
    good = {"prompt": "q", "answers": ["a", "b"]}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(good) + "\n" + json.dumps(row) + "\n")
    made, rows = read_questions(path)
    assert made == [Question("q", ("a", "b"))] and [bad.line for bad in rows.bad] == [2]
    assert why in rows.bad[0].reason
    with pytest.raises(LuthierError, match=r"rows.jsonl:2: "):
        project.new(path, tmp_path / "p", Settings("pair", 0, 0), Asked())
    project.new(path, tmp_path / "p", Settings("pair", 0, 0), Asked(), skip_bad=True)
    assert json.loads((tmp_path / "p" / "rejected.jsonl").read_text())["line"] == 2


def test_what_a_file_cannot_be(tmp_path: Path) -> None:
    for rows, kind, asked, why in (
        ([{"prompt": "q", "answers": ["a"]}], "pair", Asked(), "none of its 1 rows can be used"),
        ([{"prompt": "q", "answers": list("abc")}], "pair", Asked(), r":1: 3 answers, and --kind pair takes 2"),
        ([{"prompt": "q", "answers": list("ab")}], "pair", Asked(("m",)), "has answers already: leave --from out"),
        ([{"prompt": "q", "answers": list("ab")}], "thumbs", Asked(), "--kind thumbs: it is one of pair, ranking"),
        ([{"prompt": "q"}], "pair", Asked(), "prompts without answers: name with --from"),
        ([{"prompt": "q"}], "pair", Asked(("m",), 2, 0.0), "--temperature 0 gives the same answer"),
        ([{"prompt": "q"}], "ranking", Asked(("m", "n", "o")), "there are 3 models to ask"),
        ([{"prompt": "q"}], "pair", Asked(("m",), 3), "--answers 3: --kind pair takes 2"),
        ([{"prompt": "q"}], "pair", Asked(("m", "m")), "--from names a run or model twice"),
    ):  # fmt: skip
        with pytest.raises(LuthierError, match=why):
            project.new(written(tmp_path, *rows), tmp_path / "p", Settings(kind, 0, 0), asked)
        assert not (tmp_path / "p").exists()
    path = written(tmp_path, {"prompt": "q", "answers": list("ab")})
    for overlap in (-0.1, 1.1):
        with pytest.raises(LuthierError, match="from 0 to 1"):
            project.new(path, tmp_path / "p", Settings("pair", overlap, 0), Asked())
    project.new(path, tmp_path / "p", Settings("pair", 0, 0), Asked())
    with pytest.raises(LuthierError, match="holds a labelling project already"):
        project.new(path, tmp_path / "p", Settings("pair", 0, 0), Asked())
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "other.txt").write_text("x")
    with pytest.raises(LuthierError, match="is not empty"):
        project.new(path, tmp_path / "q", Settings("pair", 0, 0), Asked())


@given(st.integers(1, 300), st.floats(0, 1), st.integers())
@settings(deadline=None, max_examples=50)
def test_the_shared_ones_are_as_many_as_was_asked(count: int, overlap: float, seed: int) -> None:
    found = project.chosen(count, overlap, seed)
    assert len(found) == count and sum(found) == round(overlap * count)
    assert found == project.chosen(count, overlap, seed)


def test_answers_that_are_the_same_but_for_space() -> None:
    assert distinct(["a b", "a  b\n", "", " ", "c", "a b"]) == [0, 4]


class Writer:
    """A model that answers with its name, the prompt and the seed; it can die after some calls."""

    output = "text"

    def __init__(self, name: str, calls: list[tuple[str, int, int]], most: int = 10**6) -> None:
        self.name, self.calls, self.most = name, calls, most

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        if len(self.calls) >= self.most:
            raise KeyboardInterrupt
        self.calls.append((self.name, len(prompts), sampling.seed))
        return [f"{self.name} on {prompt} by {sampling.seed}" if prompt != "dull" else "same" for prompt in prompts]


def test_models_answer_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In turn, each draw by a seed of its own; prompts whose answers are all the same are left out, and counted."""
    calls: list[tuple[str, int, int]] = []
    said: list[tuple[int, int]] = []
    monkeypatch.setattr(sampling, "answering", lambda name: Writer(name, calls))
    path = written(tmp_path, {"prompt": "q"}, {"prompt": "dull"})
    asked = Asked(("m", "n"), 3, 0.7, seed=5)
    made = project.new(path, tmp_path / "p", Settings("ranking", 1, 0), asked, say=lambda *step: said.append(step))
    assert made == project.Made(1, 3, 1, alike=1)
    assert calls == [("m", 2, 5000), ("m", 2, 5001), ("n", 2, 5000)] and said == [(2, 6), (4, 6), (6, 6)]
    store = Store(tmp_path / "p")
    assert store.questions() == {
        1: Question("q", ("m on q by 5000", "n on q by 5000", "m on q by 5001"), ("m", "n", "m"))
    }
    store.close()
    assert not (tmp_path / "p" / sampling.KEPT).exists()
    assert sampling.drawn(Asked(("m",), temperature=1.0)) == [Draw(0, 0), Draw(0, 1)]


def test_sampling_goes_on_where_it_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sampled is not asked again, a line that was cut is; another request begins anew."""
    monkeypatch.setattr(sampling, "TOGETHER", 2)
    path = written(tmp_path, *({"prompt": f"q{n}"} for n in range(5)))

    def run(most: int, seed: int = 0) -> list[tuple[str, int, int]]:
        calls: list[tuple[str, int, int]] = []
        monkeypatch.setattr(sampling, "answering", lambda name: Writer(name, calls, most))
        project.new(path, tmp_path / "p", Settings("pair", 0, 0), Asked(("m",), seed=seed))
        return calls

    with pytest.raises(KeyboardInterrupt):
        run(4)
    kept = tmp_path / "p" / sampling.KEPT
    kept.write_bytes(kept.read_bytes()[:-9])
    assert sum(count for _, count, _ in run(99)) == 10 - 7 + 1
    store = Store(tmp_path / "p")
    assert store.questions()[5] == Question("q4", ("m on q4 by 0", "m on q4 by 1"), ("m", "m"))
    store.close()
    for file in (tmp_path / "p").iterdir():
        file.unlink()
    with pytest.raises(KeyboardInterrupt):
        run(4)
    assert sum(count for _, count, _ in run(99, seed=1)) == 10


def test_a_run_that_writes_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Labels(Writer):
        output = "labels"

    monkeypatch.setattr(sampling, "answering", lambda name: Labels(name, []))
    path = written(tmp_path, {"prompt": "q"})
    with pytest.raises(LuthierError, match="--from m: it answers with labels"):
        project.new(path, tmp_path / "p", Settings("pair", 0, 0), Asked(("m",)))
