"""LoRA on documents: it learns them and not the questions, and is refused where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import tiny
from luthier import catalog, run
from luthier.core.phrases import Phrase, of_error
from luthier.models.causal import CausalLM
from luthier.protocols import Text

PAGE = Text("the bus is late and the weather is fine", "page.md")


def test_refused_without_documents(lm: CausalLM) -> None:
    if "lm" not in catalog.entries("objectives"):
        pytest.skip("objective lm is not there")
    why = "lora_docs learns from documents, and there are none"
    recipe = tiny.recipe(Path(lm.name), "lora_docs")
    with pytest.raises(run.Refused, match=why) as refused, run.adapted(lm, recipe, tiny.CHATS):
        pass
    said = of_error(refused.value)
    assert (
        isinstance(said, Phrase) and said.text("zh") == "lora_docs 从文档中学习，而这里没有文档：用 --docs 给出文件夹"
    )


def test_learns_the_documents_and_not_the_questions(lm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with the training rows handed to the objective."""
    if "lm" not in catalog.entries("objectives"):
        pytest.skip("objective lm is not there")
    data = replace(tiny.CHATS, documents=(PAGE,))
    with run.adapted(lm, tiny.recipe(Path(lm.name), "lora_docs"), data) as outcome:
        assert outcome.loop is not None
        assert len(outcome.loop.examples) == 1
        assert PAGE.text in lm.tokenizer.decode(list(outcome.loop.examples[0].ids))
