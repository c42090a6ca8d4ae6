"""A model behind an address, against a server on loopback that answers well, badly, late, by half, or not at all."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from fake_server import Reply, Server, completed, echoing, said, serving
from kinds import labelled_rows
from luthier.core.errors import LuthierError, Refused
from luthier.core.phrases import Phrase, of_error
from luthier.core.records import Message, Sampling
from luthier.data.prompts import CLASSIFY, GENERATE
from luthier.direct.few_shot import FewShot
from luthier.direct.zero_shot import ZeroShot
from luthier.evals.task import evaluate
from luthier.io.config import EndpointConfig
from luthier.io.files import read_json
from luthier.models.endpoint import client, remote
from luthier.models.endpoint.label_match import named
from luthier.training.context import Context

LABELS = tiny.LABELLED.labels
SECRET = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, no key, no waiting."""
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    for name in client.KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(client, "PAUSE", 0.001)


def opened(server: Server, **limits: Any) -> remote.EndpointLM:
    return remote.load(server.url + "#fake", EndpointConfig(**limits))


def kept_files(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache").rglob("*.json"))


def right(_: str, body: dict[str, Any], __: int) -> Reply:
    """Finds the label of a row of `tiny.LABELLED` in what it is asked; another text (calibration's) gets the first."""
    text = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    rows = labelled_rows([*tiny.LABELLED.train, *tiny.LABELLED.validation, *tiny.LABELLED.test])
    label = next((r.label for r in rows if f"Text: {r.text}" in text.rpartition("\n\n")[2]), rows[0].label)
    return said(label) if "messages" in body else completed(f" {label}\n")


def test_good_answers_and_the_cache() -> None:
    """Planted bug that it caught: a cache name without the body, which answered every question with the first."""
    with serving(right) as server:
        lm = ZeroShot().adapt(Context(opened(server), tiny.LABELLED, 0, cache=Path()))
        scores = evaluate(lm, tiny.LABELLED, tiny.LABELLED.validation)
        assert scores.per_row == [1.0, 1.0, 1.0]
        asked = len(server.asked)
        assert {path for path, _, _ in server.asked} == {"/v1/completions", "/v1/chat/completions"}
        assert evaluate(lm, tiny.LABELLED, tiny.LABELLED.validation).per_row == [1.0, 1.0, 1.0]
        again = ZeroShot().adapt(Context(opened(server, max_calls=0), tiny.LABELLED, 0, cache=Path()))
        assert evaluate(again, tiny.LABELLED, tiny.LABELLED.validation).per_row == [1.0, 1.0, 1.0]
        assert len(server.asked) == asked, "an answer that is kept was asked for again"


def test_few_shot_puts_its_examples_before_the_question(tmp_path: Path) -> None:
    with serving(right) as server:
        lm: Any = FewShot(k=3).adapt(Context(opened(server), tiny.LABELLED, 0, cache=Path()))
        assert len(lm.shots) == 3
        lm.worded(CLASSIFY[2], LABELS, lm.shots).predict(["TEST ROW two"], LABELS)
        messages = server.posted()[-1]["messages"]
        assert [m["role"] for m in messages] == ["user", "assistant"] * 3 + ["user"]
        assert [m["content"] for m in messages[1::2]] == [s.label for s in lm.shots]
        lm.save(tmp_path)
        back = opened(server).restore(read_json(tmp_path / "luthier.json"))
        assert (back.template, back.shots, back.labels) == (lm.template, lm.shots, lm.labels)
        asked = len(server.asked)
        assert back.predict(["TEST ROW one"], LABELS).equal(lm.predict(["TEST ROW one"], LABELS))
        assert len(server.asked) == asked + 1, "the same request, so one call for both"


def test_garbage_is_no_label_and_wrong() -> None:
    """Planted bug that it caught: -inf throughout was taken for the first label, which is right now and then."""
    with serving(lambda *_: said("Well, it depends on many things.")) as server:
        lm = opened(server).worded(CLASSIFY[2], LABELS)
        assert bool((lm.predict(["x"], LABELS) == -math.inf).all())
        rows = tiny.labelled(("a", LABELS[0]), ("b", LABELS[1]))
        scores = evaluate(lm, tiny.LABELLED, rows)
        assert scores.per_row == [0.0, 0.0] and scores.answers == ["", ""]


def test_equal_questions_are_asked_once_and_few_at_a_time() -> None:
    def slowly(path: str, body: dict[str, Any], before: int) -> Reply:
        return Reply(said("refund").body, wait=0.03)

    with serving(slowly) as server:
        lm = opened(server, parallel=3).worded(CLASSIFY[2], LABELS)
        seen: list[tuple[int, int]] = []
        lm.progress = lambda done, total: seen.append((done, total))
        found = lm.predict([f"text {i % 7}" for i in range(20)], LABELS)
        assert len(server.asked) == 7 and len(found) == 20
        assert 2 <= server.most_at_once <= 3
        assert seen[-1] == (20, 20)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_a_passing_fault_is_tried_again(status: int) -> None:
    with serving(lambda p, b, n: said("refund") if n == 2 else Reply({"error": "busy"}, status)) as server:
        lm = opened(server).worded(CLASSIFY[2], LABELS)
        assert lm.predict(["x"], LABELS)[0].tolist() == [-math.inf, -math.inf, 0.0]
        assert len(server.asked) == 3 == lm.client.calls


def test_pauses_grow_and_follow_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug that it caught: a pause that was drawn below what Retry-After asks for."""
    monkeypatch.setattr(client, "PAUSE", 1.0)

    def busy(path: str, body: dict[str, Any], before: int) -> Reply:
        return Reply({}, 429, {"Retry-After": "7"} if before == 3 else {}) if before < 5 else said("ok")

    with serving(busy) as server:
        lm = opened(server)
        pauses: list[float] = []
        lm.client.sleep = pauses.append
        assert lm.generate([[Message("user", "x")]], Sampling()) == ["ok"]
    assert len(pauses) == 5
    for pause, low in zip(pauses, (0.5, 1, 2, 7, 8), strict=True):
        assert low <= pause <= max(2 * low, 7)


def test_a_lasting_fault_ends_with_its_words() -> None:
    with serving(lambda *_: Reply({"error": {"message": "quota exceeded"}}, 429)) as server:
        lm = opened(server, retries=2)
        with pytest.raises(LuthierError, match=r"HTTP 429: quota exceeded, 3 times in a row"):
            lm.generate(["x"], Sampling())
        assert len(server.asked) == 3


def test_silence_is_a_time_out() -> None:
    with serving(lambda p, b, n: Reply({}, wait=5) if n == 0 else said("ok")) as server:
        assert opened(server, timeout=0.2).generate(["x"], Sampling()) == ["ok"]
        assert len(server.asked) == 2
    late = pytest.raises(LuthierError, match=r"no answer within 0.2 s, 2 times in a row")
    with serving(lambda *_: Reply({}, wait=5)) as server, late:
        opened(server, timeout=0.2, retries=1).generate(["x"], Sampling())


def test_half_an_answer_is_none(tmp_path: Path) -> None:
    with serving(lambda p, b, n: Reply(said("refund").body, cut=None if n else 30)) as server:
        assert opened(server).generate(["x"], Sampling()) == ["refund"]
        assert len(server.asked) == 2
    before = len(kept_files(tmp_path))
    cut = Reply(said("refund").body, cut=30)
    with serving(lambda *_: cut) as server, pytest.raises(LuthierError, match="half an answer"):
        opened(server, retries=1).generate(["x"], Sampling())
    assert len(kept_files(tmp_path)) == before, "half an answer was kept"


def test_answers_that_no_file_can_hold() -> None:
    """Half a character, NaN, words for numbers."""
    odd = said("a \ud800 b").body | {"usage": {"prompt_tokens": "many", "completion_tokens": [1]}}
    with serving(lambda *_: Reply(odd)) as server:
        assert opened(server).generate(["x"], Sampling()) == ["a ? b"]
    late = pytest.raises(LuthierError, match="none in JSON")
    with serving(lambda *_: Reply(said("ok").body | {"cost": math.nan})) as server, late:
        opened(server, retries=0).generate(["x"], Sampling())


def test_nothing_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(LuthierError, match=r"connection refused.*start the server"):
        remote.load(url + "#fake", EndpointConfig())
    with serving(right) as server:
        lm = opened(server, retries=1)
    with pytest.raises(LuthierError, match=r"connection refused\), 2 times in a row"):
        lm.generate(["x"], Sampling())


@pytest.mark.parametrize(
    "body", [b"<html>log in first</html>", {"unexpected": 1}, {"choices": []}, [1, 2], {"choices": [{"message": None}]}]
)
def test_an_answer_in_another_form_is_said(body: Any) -> None:
    said_so = pytest.raises(LuthierError, match=r"127\.0\.0\.1.*(no JSON|not an answer|none in JSON)")
    with serving(lambda *_: Reply(body)) as server, said_so:
        opened(server, retries=0).generate(["x"], Sampling())


def test_a_server_without_plain_completions_is_asked_in_a_conversation() -> None:
    def chat_only(path: str, body: dict[str, Any], before: int) -> Reply:
        return said("fine\nmore") if path == "/chat/completions" else Reply({"error": "no such path"}, 404)

    with serving(chat_only) as server:
        lm = opened(server).worded(GENERATE[2], ())
        assert lm.generate(["a", "b"], Sampling()) == ["fine", "fine"]
        asked = len(server.asked)
        assert lm.generate(["c"], Sampling()) == ["fine"]
        assert len(server.asked) == asked + 1, "what was learned about the server holds"


def test_a_server_with_other_names_for_the_settings() -> None:
    def newer(path: str, body: dict[str, Any], before: int) -> Reply:
        if "max_tokens" in body:
            return Reply({"error": {"message": "Unsupported: use 'max_completion_tokens' instead"}}, 400)
        return Reply({"error": {"message": "temperature is fixed"}}, 400) if "temperature" in body else said("ok")

    with serving(newer) as server:
        assert opened(server).generate(["x"], Sampling(7)) == ["ok"]
        assert server.posted()[-1]["max_completion_tokens"] == 7


def test_a_request_that_is_not_taken_is_not_repeated() -> None:
    with serving(lambda *_: Reply({"error": {"message": "prompt is longer than the context"}}, 400)) as server:
        with pytest.raises(LuthierError, match="HTTP 400: prompt is longer"):
            opened(server).generate(["x"], Sampling())
        assert len(server.asked) == 1


# -- budgets -----------------------------------------------------------------------------------------------------


def test_the_budget_of_calls_is_kept_and_survives_a_restart(tmp_path: Path) -> None:
    """Planted bug that it caught: the count began anew with each process, so a killed run could spend it twice."""
    with serving(lambda *_: said("refund")) as server:
        lm = opened(server, max_calls=5).worded(CLASSIFY[2], LABELS)
        lm.client.keep_count(tmp_path / "count.json")
        lm.predict(["a", "b", "c"], LABELS)
        again = opened(server, max_calls=5).worded(CLASSIFY[2], LABELS)
        again.client.keep_count(tmp_path / "count.json")
        with pytest.raises(LuthierError, match=r"endpoint.max_calls: 5 calls are made; raise it"):
            again.predict([f"text {i}" for i in range(9)], LABELS)
        assert len(server.asked) == 5
        assert read_json(tmp_path / "count.json")["calls"] == 5
        assert len(again.predict(["a", "b", "c"], LABELS)) == 3, "what is kept needs no budget"


def test_the_budget_of_cost() -> None:
    with serving(lambda *_: said("refund", prompt_tokens=2000, completion_tokens=500)) as server:
        lm = opened(server, max_cost=3.0, price_in=0.5, price_out=1.0, parallel=1).worded(CLASSIFY[2], LABELS)
        with pytest.raises(LuthierError, match=r"endpoint.max_cost: 3 of 3 is spent"):
            lm.predict([f"text {i}" for i in range(9)], LABELS)
        assert len(server.asked) == 2 and lm.client.cost == pytest.approx(3.0)


# -- the key -----------------------------------------------------------------------------------------------------


def test_the_key_goes_into_one_header_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Planted bug that it caught: a server's text that quotes the key was kept as it came."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    def quoting(path: str, body: dict[str, Any], before: int) -> Reply:
        if before == 0:
            return said(f"your key is {SECRET}")
        return Reply({"error": {"message": f"Incorrect API key provided: {SECRET}"}}, 401)

    with serving(quoting) as server:
        lm = opened(server)
        assert lm.generate(["x"], Sampling()) == ["your key is ***"]
        with pytest.raises(LuthierError, match=r"LUTHIER_API_KEY or OPENAI_API_KEY") as caught:
            lm.generate(["y"], Sampling())
        assert SECRET not in str(caught.value)
        assert {h["Authorization"] for _, _, h in server.asked} == {f"Bearer {SECRET}"}
        lm.save(tmp_path)
        names = [lm.client._name(*lm._asked("x", (), Sampling()))]
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    with serving(lambda *_: said("ok")) as other:
        lm.client.url = server.url
        assert [opened(other).client._name(*lm._asked("x", (), Sampling()))] != names  # another address
    assert [lm.client._name(*lm._asked("x", (), Sampling()))] == names, "the name of an answer depends on the key"
    everything = "".join(p.read_text() for p in tmp_path.rglob("*") if p.is_file()) + "".join(capfd.readouterr())
    assert SECRET not in everything and SECRET not in repr(lm)


def test_a_redirect_does_not_carry_the_key_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug that it caught: urllib's own handler follows, with the header."""
    monkeypatch.setenv("LUTHIER_API_KEY", SECRET)
    with serving(lambda *_: said("stolen")) as thief:
        to = {"Location": thief.url + "/chat/completions"}
        with serving(lambda *_: Reply({}, 302, to)) as server, pytest.raises(LuthierError, match="another address"):
            opened(server).generate(["x"], Sampling())
        assert thief.asked == []


@pytest.mark.parametrize("key", ["bad\nkey", "schlüssel"])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_API_KEY", key)
    with pytest.raises(LuthierError, match="LUTHIER_API_KEY: holds") as caught:
        client.api_key()
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["http://me:pw@127.0.0.1:1/v1#m", "http://127.0.0.1:1/v1?key=abc#m", "http:///v1#m"]
)
def test_an_address_with_a_key_or_without_a_host_is_refused(address: str) -> None:
    with pytest.raises(LuthierError, match=r"keys do not belong|write http") as caught:
        remote.load(address, EndpointConfig())
    assert "pw" not in str(caught.value) and "abc" not in str(caught.value)


def test_the_model_is_named_where_a_server_has_several() -> None:
    with serving(right, ("one", "two")) as server:
        with pytest.raises(LuthierError, match="after a #, one of one, two"):
            remote.load(server.url, EndpointConfig())
        assert remote.load(server.url + "#two", EndpointConfig()).model == "two"
    with serving(right, ("only",)) as server:
        assert remote.load(server.url, EndpointConfig()).model == "only"


# -- log-probabilities -------------------------------------------------------------------------------------------


def by_word(text: str) -> list[tuple[str, float | None]]:
    """Tokens are words with the space before them; a word's value is minus its length, `refund` is likely."""
    words = text.replace(" ", "\x00 ").replace("\n", "\x00\n").split("\x00")
    values = [-0.5 if w.strip() == "refund" else -float(len(w)) for w in words if w]
    return [(w, v if i else None) for i, (w, v) in enumerate(zip([w for w in words if w], values, strict=True))]


def test_log_probabilities_are_those_of_the_answer_alone() -> None:
    """Hand-worked. Planted bug that it caught: the token after the answer, which max_tokens 1 adds, was counted."""
    with serving(echoing(by_word)) as server:
        lm = opened(server).worded(CLASSIFY[0], LABELS)
        assert "logprobs" in lm.can
        (values,) = lm.logprobs([("give me my money", "account access")])
        assert values.tolist() == [-8.0, -7.0]  # " account", " access"
        lm.client.config = EndpointConfig(classify="logprobs")
        found = lm.predict(["give me my money"], LABELS)[0].exp()
        raw = [math.exp(-15 / 14), math.exp(-9 / 8), math.exp(-0.5 / 6)]  # per byte
        assert found.tolist() == pytest.approx([x / sum(raw) for x in raw], rel=1e-5)


@pytest.mark.parametrize(
    "reply",
    [completed("x"), Reply({"choices": [{"text": "x", "logprobs": None}]}), Reply({"error": "no"}, 404),
     Reply({"error": "echo is not supported"}, 400),
     Reply({"choices": [{"text": "!", "logprobs": {"tokens": ["!"], "token_logprobs": [-1.0], "text_offset": [0]}}]})],
)  # fmt: skip
def test_missing_log_probabilities_are_said(reply: Reply) -> None:
    with serving(lambda *_: reply) as server:
        lm = opened(server, classify="logprobs").worded(CLASSIFY[0], LABELS)
        assert "logprobs" not in lm.can
        with pytest.raises(Refused, match="the endpoint gives no log-probabilities") as refused:
            lm.predict(["x"], LABELS)
        said = of_error(refused.value)
        assert isinstance(said, Phrase) and said.text("zh").startswith("服务器不能给出指定文本的对数概率")
        with pytest.raises(Refused, match="in a conversation"):
            lm.worded(CLASSIFY[2], LABELS).logprobs([("x", "y")])


# -- which label is meant ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("refund", "refund"), (" Refund. ", "refund"), ('"REFUND"', "refund"), ("**refund**", "refund"),
        ("Category: refund", "refund"), ("The label is account access!", "account access"),
        ("account_access", "account access"), ("Account-Access", "account access"),
        ("refund\n\nText: where is my box\nCategory: delivery", "refund"), ("refunds", None), ("", None),
        ("refund or delivery", None), ("access", "access"),
        ("退款", "退款"), ("类别：退款。", "退款"), ("这是退款问题", "退款"),
        ("ｒｅｆｕｎｄ", "refund"), ("I think this is the refund label, refund", "refund"),
    ],
)  # fmt: skip
def test_which_label_is_named(answer: str, label: str | None) -> None:
    labels = ("account access", "access", "delivery", "refund", "退款")
    found = named(answer, labels)
    assert (None if found is None else labels[found]) == label


@pytest.mark.parametrize(
    ("answer", "labels", "label"),
    [
        ("It is C++.", ("C", "C++", "C#"), "C++"), ("c#", ("C", "C++", "C#"), "C#"),
        ("I think C++", ("C", "C#"), None), ("the answer is -5", ("5", "-5"), "-5"), ("Score = 5", ("5", "-5"), "5"),
        ("> 0", ("<0", ">0"), ">0"), ("it is <0", ("<0", ">0"), "<0"), ("😡!", ("😀", "😡"), "😡"),
        ("I am 😀 today", ("😀", "😡"), "😀"), ("", ("?", "!"), None), ("..", ("?", "!"), None), ("!", ("?", "!"), "!"),
        ("YES", ("yes", "Yes"), None), ("배송입니다", ("배송", "환불"), "배송"),
    ],
)  # fmt: skip
def test_symbols_of_a_label_are_not_lost(answer: str, labels: tuple[str, ...], label: str | None) -> None:
    """Seen failing with labels stripped of all punctuation: an empty answer named the first label of that kind."""
    found = named(answer, labels)
    assert (None if found is None else labels[found]) == label


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("aA_- .退ａ", min_size=1, max_size=4), min_size=1, max_size=6, unique=True), st.data())
def test_a_label_said_exactly_is_always_that_label(labels: list[str], data: st.DataObject) -> None:
    """Whatever the labels are. Planted bug that it caught: the normalised form was looked at first."""
    labels = [x for x in {x.strip(): x.strip() for x in labels} if x] or ["a"]
    wanted = data.draw(st.sampled_from(labels))
    found = named(wanted, labels)
    assert found is not None and labels[found] == wanted


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.lists(st.text(max_size=8), max_size=5))
def test_no_answer_breaks_it(answer: str, labels: list[str]) -> None:
    found = named(answer, labels)
    assert found is None or 0 <= found < len(labels)


# -- as a base ---------------------------------------------------------------------------------------------------


def test_what_needs_weights_is_refused(tmp_path: Path) -> None:
    from luthier.runs import run

    with serving(right) as server:
        lm: Any = opened(server)
        for method in ("lora", "full", "features"):
            recipe = tiny.recipe(Path("x"), method)
            refused = pytest.raises(Refused, match="the model is an endpoint: its weights are not here")
            with refused, run.adapted(lm, recipe, tiny.LABELLED):
                pass
        assert server.asked == []


def test_a_run_folder_of_an_endpoint_can_be_loaded(tmp_path: Path) -> None:
    import luthier

    data = tmp_path / "rows.jsonl"
    rows = [r for _ in range(2) for r in labelled_rows([*tiny.LABELLED.train, *tiny.LABELLED.validation])]
    data.write_text("".join(json.dumps({"text": r.text, "label": r.label}) + "\n" for r in rows))
    with serving(right) as server:
        recipe = {"method": "few_shot", "model": server.url + "#fake", "data": {"path": str(data)}}
        from luthier.io.config import recipe_from

        folder = luthier.train(recipe_from(recipe), tmp_path / "run")
        assert read_json(folder / "eval.json")["score"] == 1.0
        assert luthier.load(folder).predict(["the box never came", "give me my money"]) == ["delivery", "refund"]


def test_lengths_are_estimated_on_the_safe_side(tiny_folder: Callable[[str], Path]) -> None:
    with serving(right) as server:
        lm = opened(server).worded(CLASSIFY[2], LABELS)
        text = "where is my parcel, it never came"
        assert lm.length(text, LABELS) >= len(text) // 2


def test_tools_are_declared_called_and_answered_in_the_servers_form() -> None:
    """Arguments go out as JSON text and come back as an answer's calls, as a record has them."""
    import templates

    called = {"content": None, "tool_calls": [{"function": {"name": "weather", "arguments": '{"city": "Bonn"}'}}]}
    with serving(lambda *_: Reply({"choices": [{"message": called}]})) as server:
        (said,) = opened(server).generate([tuple(templates.CHAT[:3])], Sampling())
        body = server.asked[-1][1]
    assert said == '{"name": "weather", "arguments": {"city": "Bonn"}}'
    assert body["tools"][0]["function"]["name"] == "weather"
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"city": "Köln"}'
    assert body["messages"][2]["tool_call_id"] == templates.ID and "learned" not in body["messages"][1]
