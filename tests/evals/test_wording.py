"""Wordings in the language of the rows: which are offered, that validation decides, that the run keeps the choice."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tiny
from luthier.core.phrases import Phrase
from luthier.core.split import Split
from luthier.data.prompts import CLASSIFY, GENERATE, compose, mostly_chinese
from luthier.direct.few_shot import FewShot
from luthier.direct.zero_shot import ZeroShot
from luthier.evals.wording import wordings
from luthier.io.files import read_json
from luthier.models.endpoint.remote import EndpointLM
from luthier.training.context import Context

CHINESE = Split(
    "classification",
    train=tiny.labelled(("包裹到哪里了", "物流"), ("快递还没有送到", "物流"), ("钱什么时候退", "退款"),
                        ("多扣了一次款", "退款"), ("refund 的进度在哪里看", "退款")),
    validation=tiny.labelled(("快递丢了", "物流"), ("把钱退给我", "退款")),
    labels=("物流", "退款"),
)  # fmt: skip


def test_rows_in_chinese_are_told_from_others() -> None:
    """Half and half is a mix, and kana make a text Japanese. Seen failing with any Han character taken for Chinese."""
    english, chinese = tiny.labelled(("no parcel", "a")), tiny.labelled(("没有包裹", "a"))
    assert mostly_chinese(chinese * 2 + english) and mostly_chinese(CHINESE.train)
    assert not mostly_chinese(chinese + english) and not mostly_chinese(tiny.LABELLED.train)
    assert not mostly_chinese(tiny.labelled(("荷物が届きません", "a"))) and not mostly_chinese(())
    assert mostly_chinese((tiny.chat("你好吗", "fine"),)) and not mostly_chinese((tiny.chat("How are you", "很好"),))


def test_chinese_rows_are_offered_chinese_wordings(lm: Any) -> None:
    """As many as English ones, and one of those. Seen failing with the English ones for every row."""
    assert wordings(lm, tiny.LABELLED) == CLASSIFY and wordings(lm, tiny.CHATS) == GENERATE
    offered = wordings(lm, CHINESE)
    assert len(offered) == len(CLASSIFY) and sum("类" in t.text for t in offered) == 2 and CLASSIFY[0] in offered
    chats = Split("generation", (tiny.chat("你好吗", "很好"),), ())
    spoken = wordings(lm, chats)
    assert len(spoken) == len(GENERATE) and spoken[0] == GENERATE[0] and all("答" in t.text for t in spoken[1:])
    assert lm.wordings(CHINESE.labels)[0] == CLASSIFY[0], "what trains starts from the same wording for all rows"


def test_a_model_behind_an_address_is_offered_them(lm: Any) -> None:
    """At the cost of the English ones."""
    for classify in ("answer", "logprobs"):
        client: Any = SimpleNamespace(config=SimpleNamespace(classify=classify))
        served = EndpointLM(client, "m", "http://h/v1#m", "k")
        english, chinese = (served.wordings(CHINESE.labels, chinese=c) for c in (False, True))
        assert len(english) == len(chinese) and any("类别" in t.text for t in chinese)
        assert not any("类别" in t.text for t in english) and any("类别" not in t.text for t in chinese)


def test_no_space_stands_before_a_chinese_answer(lm: Any) -> None:
    """Seen failing with the space of an English wording."""
    worded = wordings(lm, CHINESE)[0]
    text = compose(worded, "把钱退给我", CHINESE.labels, CHINESE.train[:1])
    assert isinstance(text, str) and "类别：物流\n\n" in text and text.endswith("类别：")
    chosen = lm.worded(worded, CHINESE.labels)
    assert chosen.tokenizer.decode(chosen.encode_answer("物流", CHINESE.labels)) == "物流"


@pytest.mark.parametrize("method", [ZeroShot(), FewShot(k=1, calibrate=False)], ids=["zero_shot", "few_shot"])
@pytest.mark.parametrize("winner", ["options_zh", "classify_zh", "plain"])
def test_validation_decides_and_the_run_keeps_it(
    lm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, winner: str, method: Any
) -> None:
    """Whatever its language. Seen failing with the first Chinese one taken."""
    score = lambda lm, *_: SimpleNamespace(score=float(lm.template.name == winner))  # noqa: E731
    for room in ("wording", "task"):
        monkeypatch.setattr(f"luthier.evals.{room}.evaluate", score)
    monkeypatch.setattr("luthier.direct.few_shot.evaluate", score)
    run = Context(lm, CHINESE, 0, cache=tmp_path)
    found = method.adapt(run)
    assert found.template.name == winner
    (said,) = [note for note in run.notes if note.startswith(f"the wording is {winner}, the best of options_zh")]
    assert isinstance(said, Phrase) and said.text("zh").startswith(f"措辞为 {winner}，在 2 行验证数据上")
    found.save(tmp_path)
    assert read_json(tmp_path / "luthier.json")["template"]["name"] == winner
    assert method.load(tmp_path, Context(lm)).template == found.template
