"""What ends a learned answer ends generation: in the run, in every export, in programs that load them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

import runs
import tiny
from luthier.core.records import Message, Sampling
from luthier.core.split import Split
from luthier.data.chat import answer_end, encode_chat
from luthier.evals.task import evaluate
from luthier.export.gguf_tokenizer import stored_ends
from luthier.models.ends import Ends
from luthier.runs import run
from luthier.runs.loaded import load_run
from runs import export

WORDS = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n###\n' }}{% endfor %}" + (
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
ANSWERS = {"where is my parcel": "it is late", "refund please": "paid back", "i cannot log in": "reset it"}
ROWS = tuple(tiny.chat(f"{q} {i}", a) for i in range(4) for q, a in ANSWERS.items())
DATA = Split("generation", train=ROWS, validation=ROWS[:3], test=ROWS)


def base(folder: Path, template: str | None, eos: str | None = "<|endoftext|>") -> Path:
    """A tiny Llama whose files name an end token that its template does not write."""
    tiny.save_model("llama_untied", folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token, tokenizer.chat_template = eos, template
    tokenizer.save_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    model.config.eos_token_id = model.generation_config.eos_token_id = 0
    model.save_pretrained(folder)
    return folder


def trained(folder: Path, template: str | None, eos: str | None = "<|endoftext|>") -> Path:
    """A run on such a base that knows its rows by heart."""
    training = {"learning_rate": 0.01, "epochs": 30, "batch": 4}
    made = base(folder / "base", template, eos)
    return runs.finished(made, folder / "run", data=DATA, training=training, patch={"rank": 16})


@pytest.mark.parametrize(("template", "eos"), [(tiny.CHATML, "<|endoftext|>"), (WORDS, "<|endoftext|>"), (None, None)])
def test_generation_ends_with_what_was_learned(template: str | None, eos: str | None, tmp_path: Path) -> None:
    """A token, a text of several, and the plain wording without an end token. Seen failing with 0.00 exact matches:
    the answers went on until the limit, with the files' end token as the only stop."""
    lm: Any = load_run(trained(tmp_path, template, eos))
    scores = evaluate(lm, DATA, ROWS)
    assert scores.secondary["exact_match"] == 1.0, scores.answers
    assert lm.generate([f"{q} 1" for q in ANSWERS], Sampling(40)) == list(ANSWERS.values())


def test_ends_in_order() -> None:
    """The learned one first, then those of the files; a text where it takes several tokens."""
    tokenizer = tiny.tokenizer()
    assert answer_end(tokenizer) == "<|im_end|>"
    tokenizer.chat_template = WORDS
    assert answer_end(tokenizer) == "\n###"
    tokenizer.chat_template = None
    assert answer_end(tokenizer) == "<|im_end|>"
    tokenizer.eos_token = None
    assert answer_end(tokenizer) == "\n\n"
    (encoded,) = encode_chat(tokenizer, [Message("user", "a"), Message("assistant", "b")])
    assert tokenizer.decode([i for i, own in zip(*encoded, strict=True) if own]) == "b\n\n"


def test_text_that_ends_an_answer(lm: Any) -> None:
    """It is found where tokens end within it, and is cut off with what came after it."""
    ends = Ends((), "\n###")
    ids = lm.tokenizer("so it is\n###\n# more")["input_ids"]
    first = next(n for n in range(len(ids)) if ends.reached(lm.tokenizer, ids[: n + 1]))
    before, after = (lm.tokenizer.decode(ids[:n]) for n in (first, first + 1))
    assert "\n###" in after and "\n###" not in before
    assert ends.cut("so it is\n###\n# more") == "so it is" and Ends((2,)).cut("a\n###") == "a\n###"


@pytest.fixture(scope="module")
def chatml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("ends"), tiny.CHATML)


@pytest.mark.parametrize("to", ["adapter", "merged"])
def test_folders_name_the_end(to: str, chatml: Path, tmp_path: Path) -> None:
    """Plain transformers stops there. Seen failing with a generation config that names the base's end token alone."""
    checks = export(chatml, to, tmp_path / "out")
    assert GenerationConfig.from_pretrained(tmp_path / "out").eos_token_id == [2, 0]
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.eos_token == "<|im_end|>"
    assert [(c.found, c.ok) for c in checks if c.what == "ends of an answer"] == [("2 of 2 tokens", True)]
    if to == "merged":
        model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
        for question, answer in ANSWERS.items():
            asked = [{"role": "user", "content": f"{question} 1"}]
            ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")["input_ids"]
            said = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False)
            assert tokenizer.decode(said[0, ids.shape[1] :]) == answer + "<|im_end|>"


def test_a_whole_model_names_the_end(tmp_path: Path) -> None:
    """The folder that a run of `full` leaves, too; the base in memory is left as it was."""
    made = base(tmp_path / "base", tiny.CHATML)
    lm = tiny.fresh(made)
    with run.adapted(lm, tiny.recipe(made, "full"), tiny.CHATS) as outcome:
        run.save_adapted(outcome, tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path / "model").eos_token_id == [2, 0]
    assert lm.model.generation_config.eos_token_id == 0 and lm.tokenizer.eos_token == "<|endoftext|>"


def test_gguf_names_the_end(chatml: Path, tmp_path: Path) -> None:
    """Seen failing with the tokenizer's end token alone."""
    checks = export(chatml, "gguf", tmp_path / "out.gguf", "f32")
    assert stored_ends(tmp_path / "out.gguf") == [2, 0]
    assert all(c.ok for c in checks)


def test_a_template_that_writes_the_end_token_keeps_it(tmp_path: Path) -> None:
    """The end token of the tokenizer stands in its turns: renamed, its rendered text would be another."""
    template = tiny.CHATML.replace("'<|im_start|>' + m.role", "eos_token + '<|im_start|>' + m.role")
    made = runs.finished(base(tmp_path / "base", template), tmp_path / "run")
    checks = export(made, "merged", tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.eos_token == "<|endoftext|>" and all(c.ok for c in checks)
    assert GenerationConfig.from_pretrained(tmp_path / "out").eos_token_id == [2, 0]
    export(made, "gguf", tmp_path / "out.gguf")
    assert stored_ends(tmp_path / "out.gguf") == [0, 2]


def test_a_text_is_told(tmp_path: Path) -> None:
    """No file can say that several tokens end an answer: the table does."""
    made = runs.finished(base(tmp_path / "base", WORDS), tmp_path / "run")
    (found,) = (c.found for c in export(made, "merged", tmp_path / "out") if c.what == "ends of an answer")
    assert "the text '\\n###' ends one too" in found
