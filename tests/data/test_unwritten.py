"""Rows that a model cannot be given as they stand: every method is refused with their number, before it begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import templates as tools
import tiny
from luthier.api.predicting import answer_file
from luthier.core.errors import LuthierError, Refused
from luthier.core.phrases import Phrase, of_error
from luthier.core.records import Chat, Message
from luthier.core.split import Split
from luthier.data.prompts import Template
from luthier.data.unwritten import chat_only, check_written
from luthier.models.base import TrainableLM
from luthier.runs import run

CALLED = Chat((replace(tools.ASK, tools=""), tools.CALL, tools.TOLD, tools.SAY))
THOUGHT = Chat((Message("user", "a"), Message("assistant", "b", reasoning="c")))
Folder = Callable[[str], Path]


def split(*rows: Chat, part: str = "test") -> Split:
    changes: dict[str, Any] = {part: (*getattr(tiny.CHATS, part), *rows)}
    return replace(tiny.CHATS, **changes)


def qwen(lm: Any) -> Any:
    lm.tokenizer.chat_template = tools.QWEN25
    return lm


@pytest.mark.parametrize("method", ["zero_shot", "few_shot", "lora"])
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_methods_are_refused_with_the_number_of_rows(tiny_folder: Folder, method: str, part: str) -> None:
    """Also where only a test row cannot be written: nothing is trained that could not be judged."""
    folder = tiny_folder("llama_tied")
    data = split(CALLED, THOUGHT, part=part)
    with (
        pytest.raises(Refused, match=r"2 of 14 rows cannot be written for this model: .* a call of weather") as error,
        run.adapted(tiny.fresh(folder), tiny.recipe(folder, method), data),
    ):
        pass
    said = of_error(error.value)
    assert isinstance(said, Phrase) and said.text("zh") == (
        "14 行中有 2 行无法写给这个模型：分词器的对话模板遗漏了对 weather 的调用或其参数"
    )


def test_models_without_a_chat_template_take_words_only(tiny_folder: Folder) -> None:
    with pytest.raises(Refused, match=r"1 of 13 rows cannot be written for this model: the model reads"):
        check_written(tiny.fresh(tiny_folder("t5")), split(THOUGHT))


def test_calls_are_asked_by_the_chat_wording_alone(tiny_folder: Folder) -> None:
    """The plain wordings that zero_shot also tries would lose the calls."""
    folder = tiny_folder("llama_tied")
    lm, data = qwen(tiny.fresh(folder)), split(CALLED, part="validation")
    assert [t.name for t in chat_only(lm, data).wordings(())] == ["chat"]
    assert len(chat_only(lm, tiny.CHATS).wordings(())) == 3
    with pytest.raises(Refused, match="the wording mine is plain text"):
        chat_only(lm.asked(only=Template("mine", "{input}", chat=False)), data)
    with run.adapted(lm, tiny.recipe(folder, "zero_shot"), data) as outcome:
        assert isinstance(outcome.lm, TrainableLM) and outcome.lm.template is not None
        assert outcome.lm.template.name == "chat"


def test_names_that_the_template_does_not_write_are_told(tiny_folder: Folder) -> None:
    named = Chat((Message("user", "a", name="Ann"), Message("assistant", "b")))
    folder = tiny_folder("llama_tied")
    with run.adapted(tiny.fresh(folder), tiny.recipe(folder, "lora"), split(named)) as outcome:
        assert outcome.notes[0] == "the model's chat template does not write the names of speakers (rows: 1)"


def test_predict_names_the_row_that_cannot_be_asked(
    tiny_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_folder("llama_tied")
    lm = tiny.fresh(folder)
    recipe = tiny.recipe(folder, "zero_shot")
    with run.adapted(lm, recipe, tiny.CHATS) as outcome:
        run.save_adapted(outcome, tmp_path / "run")
    from luthier.io import config

    (tmp_path / "run" / "recipe.yaml").write_text(config.to_yaml(recipe))
    (tmp_path / "run" / "eval.json").write_text("{}")
    rows = [{"question": "a"}, {"question": "b", "tools": tools.TOOLS}]
    path = tmp_path / "new.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(LuthierError, match=r"new.json:\d: .*declarations of tools"):
        answer_file(tmp_path / "run", path, tmp_path / "out.jsonl", {}, None)
