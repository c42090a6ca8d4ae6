"""The texts: complete in both languages, used, filled in as text; what a leaderboard says in each."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import luthier
from luthier.comparison.leaderboard import Constant, as_json
from luthier.comparison.results import read_outcome
from luthier.comparison.verdicts import KEY, Floor, judge, recommend
from luthier.core import phrases
from luthier.core.phrases import Phrase
from luthier.evals.bootstrap import Bootstrap
from luthier.io.files import write_json
from luthier.reports.comparison import sentences

EN, ZH = phrases.table()["en"], phrases.table()["zh"]
# keys that code puts together
COMPOSED = (
    "task_",
    "metric_",
    "name_",
    "words_",
    "cost_",
    "axis_",
    "answer_",
    "label_ask_",
    "label_hint_",
    "label_role_",
    "said_seems_",
    "said_data_left_",
    "said_use_",
    "said_rows_",
)


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
    folder = Path(luthier.__file__).parent
    files = [*folder.rglob("*.py"), *folder.rglob("assets/*.js"), *folder.rglob("assets/*.html")]
    source = "".join(path.read_text("utf-8") for path in files)
    for key in EN:
        known = f'"{key}"' in source or re.search(rf"""'{key}'|\$[ta]_{key}\b""", source)
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
    return Bootstrap({name: [(luck < rate).astype(float).tolist()] for name, rate in rates.items()})


def board_of(bootstrap: Bootstrap, floor: Floor | None = None, **seconds: float) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for name in [name for name in bootstrap.scores if name != KEY]:
        found = bootstrap.score(name)
        rows.append({"name": name, "method": name, "model": "m", "status": "ok", "score": found.value,
                     "ci95": [found.low, found.high], "train_seconds": seconds.get(name, 5.0)})  # fmt: skip
    rows.sort(key=lambda row: -row["score"])
    verdicts = judge(rows, bootstrap, floor)
    return {"rows": rows, "metric": "accuracy", "verdicts": list(map(as_json, verdicts)),
            "constant": as_json(floor.constant) if floor else None,
            "recommendation": as_json(recommend(rows, verdicts, floor, Path))}  # fmt: skip


def test_verdicts_are_said_in_both_languages(bootstrap: Bootstrap) -> None:
    said = sentences.verdicts(board_of(bootstrap))
    assert {phrase.key for phrase in said if isinstance(phrase, Phrase)} == {
        "said_beats", "said_worse", "said_same", "said_behind", "said_tied",
    }  # fmt: skip
    assert all(isinstance(phrase, Phrase) and re.search("[\u4e00-\u9fff]", phrase.text("zh")) for phrase in said)


@pytest.mark.parametrize("seconds", [{}, {"lora": 200.0, "full": 20.0, "head": 1.0}])
def test_the_recommendation_says_what_is_cheaper(bootstrap: Bootstrap, seconds: dict[str, float]) -> None:
    board = board_of(bootstrap, None, **seconds)
    phrase = sentences.recommendation(board)
    assert phrase and sentences.go_on(board).startswith("luthier predict")
    assert phrase.key == ("said_use_cheaper" if seconds else "said_use")
    assert "准确率" in phrase.text("zh") and board["rows"][0]["method"] in phrase.text("zh")


@pytest.mark.parametrize("kind", ["label", "labels", "median"])
def test_what_is_said_beside_the_constant_answer(kind: Any) -> None:
    """Whatever it is called: its name is translated inside the sentence."""
    right = np.array([1.0] * 50 + [0.0] * 50)
    scores = {"zero_shot": right, "lora": np.roll(right, 1), "full": np.zeros(100)}
    floor = Floor(Constant(kind, "差评"), [1.0] * 52 + [0.0] * 48)
    board = board_of(Bootstrap({**{n: [s.tolist()] for n, s in scores.items()}, KEY: [floor.per_row]}), floor)
    said = [s for s in sentences.verdicts(board) if "always answering" in s]
    assert [s.key for s in said if isinstance(s, Phrase)] == ["said_below", "said_level", "said_level"]
    kinds = ("level", "constant", "below")
    said += [str(sentences.recommendation({**board, "recommendation": {**board["recommendation"], "kind": k}}))
             for k in kinds]  # fmt: skip
    called = sentences.constant(board)
    assert all(called in s for s in said) and "差评" in called
    assert ("the " not in called.text("zh") and "最常见" in called.text("zh")) or kind == "median"


def test_every_method_is_described_in_chinese() -> None:
    """Seen failing with ten methods that had come since, and with a description that had changed."""
    from luthier.core import catalog

    known = {entry.summary for entry in catalog.methods().values()}
    assert known == set(phrases.table()["summaries"])


def test_reasons_are_said_in_both_languages(tmp_path: Path) -> None:
    """What methods refuse by, in their own words."""
    from types import SimpleNamespace

    from luthier.comparison.execution.supervisor import _lay_to_trial
    from luthier.core.errors import Refused
    from luthier.core.tasks import unfit
    from luthier.models.endpoint.remote import NO_LOGPROBS
    from luthier.runs.run import refuse_remote

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
