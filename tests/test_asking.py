"""An adapted model asked from Python: one text or many, in whatever holds them, and errors that name the place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import luthier
import tiny
from luthier.api import texts
from luthier.api.model import Model
from luthier.core.errors import LuthierError
from luthier.core.records import Message, Sampling
from luthier.io.config import to_yaml
from luthier.io.files import write_text


class Fake:
    """An adapted model that says how it was asked."""

    can = frozenset({"generate", "predict"})

    def __init__(self, output: str) -> None:
        self.output = output
        self.asked: list[Any] = []

    def predict(self, asked: Sequence[str], labels: Sequence[str]) -> torch.Tensor:
        self.asked = list(asked)
        if self.output == "scalar":
            return torch.tensor([[float(len(text))] for text in asked]).reshape(len(asked), 1)
        share = torch.tensor([[0.9, 0.1] if "a" in text else [0.2, 0.8] for text in asked])
        return share.reshape(len(asked), 2).log()

    def generate(self, prompts: Sequence[Any], sampling: Sampling) -> list[str]:
        self.asked = list(prompts)
        return [f"answer {i}" for i in range(len(prompts))]


def model(output: str) -> Any:
    fake: Any = Fake(output)
    return Model(fake, ("first", "second") if output in ("labels", "tags") else (), "lora", "some/base")


def test_a_text_is_one_question_and_gets_one_answer() -> None:
    """Seen failing before: a text of eight characters gave eight answers."""
    assert model("labels").predict("eight ch") == "second"
    assert model("tags").tags("a") == ("first",)
    assert model("scalar").values("abc") == 3.0
    assert model("labels").probabilities("a")["first"] == pytest.approx(0.9)
    assert model("text").generate("eight ch") == "answer 0"


def held(*given: str) -> list[Any]:
    """The same texts in everything that holds several."""
    import pandas

    frame = pandas.DataFrame({"text": list(given)}, index=range(7, 7 + len(given)))
    arrays = [np.array(given), np.array(given, dtype=object)]
    return [list(given), tuple(given), (text for text in given), frame["text"], dict.fromkeys(given).keys(), *arrays]


def test_whatever_holds_texts_gives_a_list() -> None:
    """Seen failing with a series read by its index."""
    for many in held("a", "b"):
        asked = model("labels")
        assert asked.predict(many) == ["first", "second"] and asked.lm.asked == ["a", "b"]
        assert all(type(text) is str for text in asked.lm.asked)
    assert [model("tags").tags(many) for many in held("b", "a")] == [[("second",), ("first",)]] * 7
    assert [model("scalar").values(many) for many in held("b", "aa")] == [[1.0, 2.0]] * 7
    assert [len(model("labels").probabilities(many)) for many in held("b", "aa", "c")] == [3] * 7
    assert [model("text").generate(many) for many in held("b", "a")] == [["answer 0", "answer 1"]] * 7


@pytest.mark.parametrize("output", ["labels", "tags", "scalar", "text"])
def test_nothing_asked_gives_nothing(output: str) -> None:
    """Seen failing in `probabilities`, which asked the model for no rows."""
    asked = model(output)
    for name in {"labels": ("predict", "probabilities"), "tags": ("tags",), "scalar": ("values",)}.get(output, ()):
        assert getattr(asked, name)([]) == [] and getattr(asked, name)(np.array([])) == []
    assert asked.generate([]) == []


def test_what_is_no_text_is_an_error_with_its_place() -> None:
    import pandas

    frame = pandas.DataFrame({"text": ["a", None]})
    cases: list[tuple[Any, str]] = [
        (["a", "b", "c", 4], r"^texts\[3\]: must be a text, not a number$"),
        (7, "^texts: must be a text or a list of texts, not a number$"),
        (None, "^texts: must be .*, not None$"), ({"a": 1}, "^texts: must be .*, not a dict$"),
        (b"bytes", "^texts: must be .*, not bytes$"), ({"a"}, "set, which has no order$"),
        (frame, r'^texts: is a whole data frame: give one of its columns, such as frame\["text"\]$'),
        (frame["text"], r"^texts\[1\]: must be a text, not (None|NaN)"), (np.array([["a"]]), "array of 2 dimensions"),
        (["a", ["b"]], r"^texts\[1\]: must be a text, not a list$"), (["\ud83d"], r"^texts\[0\]: holds half of a char"),
    ]  # fmt: skip
    asked = model("labels")
    for given, why in cases:
        for call in (asked.predict, asked.probabilities, model("tags").tags, model("scalar").values):
            with pytest.raises(LuthierError, match=why):
                call(given)
    assert asked.lm.asked == [], "the model is not asked before all is checked"


def test_a_list_of_messages_is_one_prompt() -> None:
    """Seen failing with every message asked alone."""
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    wanted = (Message("system", "Be brief."), Message("user", "Why?"))
    asked = model("text")
    for one in (turns, tuple(turns), [Message("system", "Be brief."), turns[1]], (turn for turn in turns)):
        assert asked.generate(one) == "answer 0" and asked.lm.asked == [wanted]
    shared = [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Why?"}]
    assert asked.generate([shared, "Hello", list(wanted)]) == ["answer 0", "answer 1", "answer 2"]
    assert asked.lm.asked == [wanted, "Hello", wanted]


def test_wrong_messages_are_errors_with_their_place() -> None:
    turn = {"role": "user", "content": "Why?"}
    cases: list[tuple[Any, str]] = [
        ([turn, "Why?"], r"^prompts\[1\]: must be a message such as"), (["a", 3], r"^prompts\[1\]: must be a text or"),
        (["a", [turn, {"role": "bot", "content": "x"}]], r'^prompts\[1\]\[1\]: has role "bot": roles are system'),
        ([{"content": "x"}], r"^prompts\[0\]: has no role"), (["a", []], r"^prompts\[1\]: a conversation without"),
        (5, "^prompts: must be a text, a list of messages, or a list of these, not a number$"),
        (turn, "^prompts: must be .*, not a dict$"),
    ]  # fmt: skip
    for given, why in cases:
        with pytest.raises(LuthierError, match=why):
            model("text").generate(given)


def test_a_run_that_gives_something_else_says_what_to_use() -> None:
    """Seen failing for `tags` and `values` of a run that gives labels: both gave nonsense."""
    for output, use in (("labels", "predict"), ("tags", "tags"), ("scalar", "values"), ("text", "generate")):
        for name in {"predict", "tags", "values"} - {use}:
            with pytest.raises(LuthierError, match=rf"^this run .*: use {use}\(\)$"):
                getattr(model(output), name)("a")
    with pytest.raises(LuthierError, match=r"gives numbers: use values\(\)"):
        model("scalar").probabilities("a")


def test_a_model_says_what_it_is(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    from runs import finished

    folder = finished(tiny_folder("llama_tied"), tmp_path / "run", "few_shot", tiny.LABELLED)
    read = luthier.load(folder)
    said = repr(read)
    assert f"few_shot on {tiny_folder('llama_tied')}, gives labels (account access, delivery, refund)" in said
    assert "predict()" in said and str(folder) in said
    assert read.predict("where is my parcel") in read.labels
    assert read.predict(np.array(["where", "what"])) == read.predict(["where", "what"])
    many = Model(Fake("labels"), [f"label {i}" for i in range(40)])  # type: ignore[arg-type]
    assert "label 5, … (40)" in repr(many) and "label 6" not in repr(many)


def test_errors_of_a_run_folder_are_spelled_for_python(tmp_path: Path) -> None:
    """`load` and `train` say `out=` and `again=True` where the commands say --out and --again."""
    with pytest.raises(LuthierError, match="does not exist"):
        luthier.load(tmp_path / "nothing")
    recipe = tiny.recipe(tmp_path, "lora")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(LuthierError, match=r"holds no run: choose another out=$"):
        luthier.train(recipe, tmp_path / "run")
    write_text(tmp_path / "other" / "recipe.yaml", to_yaml(recipe).replace("seed: 0", "seed: 1"))
    write_text(tmp_path / "other" / "eval.json", "{}")
    with pytest.raises(LuthierError, match=r"choose another out=, or give again=True to begin anew$"):
        luthier.train(recipe, tmp_path / "other")


def test_wrong_settings_and_places_are_named() -> None:
    """Seen failing with a TypeError of `Path`."""
    for asked, why in (
        ({"max_new_tokens": 0}, "^max_new_tokens=0: must be a whole"), ({"max_new_tokens": "x"}, "^max_new_tokens='x'"),
        ({"temperature": -1}, "^temperature=-1: must be a number of"), ({"temperature": "hot"}, "^temperature='hot'"),
    ):  # fmt: skip
        with pytest.raises(LuthierError, match=why):
            model("text").generate("a", **asked)
    for call, why in (
        (lambda: luthier.load(None), "^run_folder: must be a path, not None$"),  # type: ignore[arg-type]
        (lambda: luthier.open(3), "^folder: must be a path, not a number$"),  # type: ignore[arg-type]
        (lambda: luthier.load("x", template=3), "^template: must be a path, not a number$"),  # type: ignore[arg-type]
        (lambda: luthier.compare("tickets", out=3), "^out: must be a path, not a number$"),  # type: ignore[arg-type]
        (lambda: luthier.train({}, 3), "^out: must be a path, not a number$"),  # type: ignore[arg-type]
    ):
        with pytest.raises(LuthierError, match=why):
            call()


def test_kinds_of_values_in_words() -> None:
    found = [texts.kind(v) for v in (None, True, 3, np.float64(2), float("nan"), "a", b"", [], (), {}, set(), object())]
    assert found == [
        "None", "True", "a number", "a number", "NaN (a gap in a table)", "a text", "bytes", "a list", "a tuple",
        "a dict", "a set", "an object",
    ]  # fmt: skip
