"""The page's texts: complete in both languages, used, filled in as text, and what the leaderboard says recognised."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from luthier.compare import words
from luthier.compare.results import read_outcome
from luthier.compare.stats import Bootstrap
from luthier.compare.verdicts import GO_ON, KEY, Floor, judge, recommendation, sentences
from luthier.core import phrases
from luthier.files import write_json

EN, ZH = phrases.table()["en"], phrases.table()["zh"]
COMPOSED = ("task_", "metric_", "name_", "words_", "cost_", "axis_", "said_", "answer_")  # keys that code puts together


def places(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w+)\}", text))


def test_both_languages_say_everything() -> None:
    assert list(EN) == list(ZH)
    for key in EN:
        # a date's month is a word in one language and a number in the other; `both` is a text in either
        assert key in ("date", "both") or places(EN[key]) == places(ZH[key]), key
        assert EN[key].count("`") == ZH[key].count("`") and EN[key].count("`") % 2 == 0, key
        assert bool(EN[key]) == bool(ZH[key]), key


def test_every_text_is_used() -> None:
    folder, core = Path(words.__file__).parent, Path(phrases.__file__)
    source = "".join(p.read_text("utf-8") for p in [core, *folder.glob("*.py"), *folder.glob("page/*.js")])
    source += (folder / "page" / "template.html").read_text("utf-8")
    for key in EN:
        known = re.search(rf"""["']{key}["']|\$[ta]_{key}\b""", source)
        assert known or key.startswith(COMPOSED), f"{key} is said nowhere"


def test_values_are_text_whatever_they_hold() -> None:
    """Seen failing with places filled before the text was parted at its backticks."""
    evil = "`{method}` <b>{other}</b>"
    phrase = phrases.say("said_tied", method=evil)
    assert phrase.text() == f"{evil}: not distinguishable from the best."
    inside = phrase.html()
    assert "<code>`{method}` &lt;b&gt;{other}&lt;/b&gt;</code>:" in inside and "<b>" not in inside
    assert phrases.say("front", steps=["a", phrases.say("best")]).text("zh") == "前沿上从最省到最贵：a、最佳。"


@pytest.fixture
def bootstrap() -> Bootstrap:
    rng = np.random.default_rng(0)
    luck = rng.random(300)  # the same rows are hard for all
    rates = {"zero_shot": 0.4, "lora": 0.9, "full": 0.895, "head": 0.405, "worse": 0.1}
    return Bootstrap({name: [(luck < rate).astype(float)] for name, rate in rates.items()})


def rows_of(bootstrap: Bootstrap, **seconds: float) -> list[dict[str, Any]]:
    rows = []
    for name in bootstrap.scores:
        found = bootstrap.score(name)
        rows.append({"method": name, "status": "ok", "score": found.value, "ci95": [found.low, found.high],
                     "train_seconds": seconds.get(name, 5.0)})  # fmt: skip
    return sorted(rows, key=lambda row: -float(str(row["score"])))


def test_every_sentence_of_the_leaderboard_is_recognised(bootstrap: Bootstrap) -> None:
    """What the board says in English is said in Chinese too: a sentence that changes there fails here."""
    said = sentences(judge(rows_of(bootstrap), bootstrap, None), "accuracy")
    found = [words.recognise(sentence) for sentence in said]
    assert {phrase.key for phrase in found if phrase} == {
        "said_beats", "said_worse", "said_same", "said_behind", "said_tied",
    }  # fmt: skip
    assert [phrase and phrase.text() for phrase in found] == said
    assert all(re.search("[\u4e00-\u9fff]", phrase.text("zh")) for phrase in found if phrase)


@pytest.mark.parametrize("seconds", [{}, {"lora": 200.0, "full": 200.0, "head": 1.0}])
def test_the_recommendation_is_recognised(bootstrap: Bootstrap, seconds: dict[str, float]) -> None:
    rows = rows_of(bootstrap, **seconds)
    if seconds:
        rows[1]["train_seconds"] = 20.0
    found = judge(rows, bootstrap, None)
    sentence, _, command = recommendation(rows, found, None, "accuracy", Path("x")).partition(GO_ON)
    phrase = words.recognise(sentence)
    assert phrase and phrase.text() == sentence and command.startswith("luthier predict")
    assert phrase.key == ("said_use_cheaper" if seconds else "said_use")
    assert "准确率" in phrase.text("zh") and rows[0]["method"] in phrase.text("zh")


@pytest.mark.parametrize("called", ["the commonest label (差评)", "the commonest labels (a, b)", "the median (3.5)"])
def test_what_is_said_beside_the_constant_answer_is_recognised(called: str) -> None:
    """Whatever it is called: its name is translated inside the sentence."""
    right = np.array([1.0] * 50 + [0.0] * 50)
    scores = {"zero_shot": right, "lora": np.roll(right, 1), "full": np.zeros(100)}
    floor = Floor(called, [1.0] * 52 + [0.0] * 48)
    bootstrap = Bootstrap({**{n: [s] for n, s in scores.items()}, KEY: [floor.per_row]})
    del bootstrap.scores[KEY]
    rows = rows_of(bootstrap)
    bootstrap.scores[KEY] = np.array([floor.per_row])
    found = judge(rows, bootstrap, floor)
    said = [s for s in sentences(found, "accuracy") if "always answering" in s]
    said += [recommendation(rows, found, floor, "accuracy", Path("x"))]
    said += [recommendation([{**rows[0], "method": "majority"}], [], floor, "accuracy", Path("x"))]
    said += [recommendation([rows[2]], found, floor, "accuracy", Path("x"))]
    phrases = [words.recognise(sentence) for sentence in said]
    assert [p and p.key for p in phrases] == [
        "said_below", "said_level", "said_level", "said_use_none_level", "said_use_none", "said_use_none_below",
    ]  # fmt: skip
    for phrase, sentence in zip(phrases, said, strict=True):
        assert phrase and phrase.text() == sentence and called in sentence
        assert "the " not in phrase.text("zh")


def test_other_sentences_stay_as_they_are() -> None:
    assert words.recognise("lora is nice.") is None
    assert words.recognise("No method finished.") == phrases.Phrase("said_none", {})


def test_every_method_is_described_in_chinese() -> None:
    """Seen failing with ten methods that had come since, and with a description that had changed."""
    from luthier import catalog

    known = {entry.summary for entry in catalog.methods().values()}
    assert known == set(phrases.table()["summaries"])


def test_reasons_are_said_in_both_languages(tmp_path: Path) -> None:
    """What methods refuse by, in their own words."""
    from types import SimpleNamespace

    from luthier.compare.supervise import _lay_to_trial
    from luthier.errors import Refused
    from luthier.models.endpoint import NO_LOGPROBS
    from luthier.run import refuse_remote
    from luthier.tasks import unfit

    away: Any = SimpleNamespace(remote=True)
    with pytest.raises(Refused) as refused:
        refuse_remote(away, away)
    write_json(tmp_path / "trials" / "current-0.json", {"method": "lora"})
    deaths = Counter({"lora": 1})
    assert _lay_to_trial(tmp_path, -9, deaths) == "lora"
    found = {
        unfit("features", ["classification"], "generation"): "features gives labels, and this task wants text",
        NO_LOGPROBS: "the endpoint gives no log-probabilities of a given text (/completions with echo and logprobs)",
        phrases.of_error(refused.value): "the model is an endpoint: its weights are not here",
        read_outcome(tmp_path, "lora")["reason"]: (
            "the process was ended by signal 9, 2 times; signal 9 mostly means that memory ran out"
        ),
    }
    for reason, english in found.items():
        assert isinstance(reason, phrases.Phrase) and reason == english
        assert re.search("[一-鿿]", reason.text("zh")) and "signal" not in reason.text("zh"), reason
    several = unfit("lora", ["classification", "generation"], "regression")
    assert several == "lora gives labels or text, and this task wants numbers"
    assert several.text("zh") == "lora 给出标签或文本，而本任务需要数值"
