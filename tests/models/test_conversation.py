"""Conversations in a stream: what is read is the conversation as the template writes it, however long it has become."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tiny
from luthier.api.model import Model
from luthier.cli.after import chat
from luthier.core.errors import LuthierError, Refused
from luthier.core.records import Message, Sampling
from luthier.core.window import Window
from luthier.data.chat import encode_prompt
from luthier.data.prompts import Template
from luthier.io import config
from luthier.io.files import write_text
from luthier.models.causal import CausalLM
from luthier.models.ends import Ends
from luthier.models.inference.conversation import Conversation
from luthier.models.inference.streaming import Stream
from luthier.runs import run

TURNS = ("where is my parcel", "退款还没有到", "and my money?")


class Told:
    """In place of a model: answers that are given, token by token, and everything that was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: list[tuple[list[int], str]]) -> None:
        self.read: list[int] = []
        self.answers = iter(answers)
        monkeypatch.setattr(Stream, "write", lambda stream, ids, sampling, ends: self.write(stream, ids))

    def write(self, stream: Any, ids: list[int]) -> Any:
        from luthier.models.inference.rows import Token

        self.read += [*stream.unread, *ids]
        answer, end = next(self.answers)
        for i, token in enumerate(answer):
            self.read += stream.unread if i else []
            stream.unread = [token]
            yield Token(token, 0.0, end if i == len(answer) - 1 else None)  # type: ignore[arg-type]


def test_what_is_read_is_the_conversation(lm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that ended by itself and one that was cut short. Seen failing with the end of an answer read twice."""
    words: Any = lm.tokenizer
    (end,) = words("<|im_end|>", add_special_tokens=False)["input_ids"]
    said = ["hello 好", "no courier"]
    first, second = (list(words(text, add_special_tokens=False)["input_ids"]) for text in said)
    told = Told(monkeypatch, [([*first, end], "stop"), (second, "length"), ([end], "stop")])
    talk = Conversation(lm, Window(4, 20))
    got = ["".join(talk.say(turn, Sampling(9))) for turn in TURNS]
    assert got == [*said, ""]
    turns = [Message(role, text) for pair in zip(TURNS, [*said, ""], strict=True)
             for role, text in zip(("user", "assistant"), pair, strict=True)]  # fmt: skip
    assert told.read == encode_prompt(words, turns[:-1])


def test_pieces_are_whole_characters_without_the_end(lm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """A character of several tokens, and a text of several tokens that ends an answer."""
    words: Any = lm.tokenizer
    ids = list(words("好😀, yes\n\n## ", add_special_tokens=False)["input_ids"])
    Told(monkeypatch, [(ids, "stop")])
    talk = Conversation(lm, Window(4, 20))
    talk.ends = Ends((), "\n\n## ")
    pieces = list(talk.say("x", Sampling(99)))
    assert "".join(pieces) == "好😀, yes" and len(pieces) > 4 and not any("\ufffd" in piece for piece in pieces)


def test_a_plain_wording_goes_on_in_plain_text(lm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = lm.asked(template=Template("plain", "{input}\nAnswer:", chat=False))
    words: Any = lm.tokenizer
    answer = list(words(" hi", add_special_tokens=False)["input_ids"])
    told = Told(monkeypatch, [(answer, "length")] * 2)
    talk = Conversation(asked, Window(4, 20))
    for turn in ("one", "two"):
        list(talk.say(turn, Sampling(9)))
    assert words.decode(told.read + answer[-1:]) == "one\nAnswer: hi\n\ntwo\nAnswer: hi"


def test_while_all_fits_it_says_what_chat_says(lm: CausalLM) -> None:
    model, turns = Model(lm, ()), list[Message]()
    talk = model.conversation("4+900")
    for turn in TURNS:
        turns.append(Message("user", turn))
        (want,) = model.generate([turns], 12)
        got = "".join(talk.say(turn, Sampling(12)))
        assert got.strip() == want
        if not talk.ended:  # else what was trimmed stays in the stream alone
            break
        turns.append(Message("assistant", want))
    assert talk.stream.count > 10


def test_virtual_tokens_stand_in_front_once(lm: CausalLM) -> None:
    talk = Conversation(replace(lm, virtual=(5, 6)), Window(2, 9))
    assert talk._turn("a")[:2] == [5, 6] and talk.stream.window == Window(4, 9)
    list(talk.say("a", Sampling(2)))
    assert talk._turn("a")[:2] != [5, 6]


@pytest.fixture
def folder(tiny_folder: Any, tmp_path: Path) -> Path:
    recipe = tiny.recipe(tiny_folder("llama_tied"), training={"epochs": 1})
    write_text(tmp_path / "run" / "recipe.yaml", config.to_yaml(recipe))
    with run.adapted(tiny.fresh(Path(recipe.model)), recipe, tiny.CHATS, tmp_path / "run") as outcome:
        run.save_adapted(outcome, tmp_path / "run")
    return tmp_path / "run"


def test_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Two turns and answers beyond window and context. A wrong window is said before the run is looked at."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("hello\nagain\n\n"))
    chat(folder, max_new_tokens=150, stream_window="4+20")
    assert capsys.readouterr().out.count(">") >= 3
    with pytest.raises(LuthierError, match="--stream-window: '4-20'"):
        chat(folder / "no", stream_window="4-20")


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_other_models_are_refused(kind: str, tiny_folder: Any) -> None:
    lm = tiny.fresh(tiny_folder(kind))
    with pytest.raises(Refused, match="causal language models"):
        Model(lm, ()).conversation("4+20")
