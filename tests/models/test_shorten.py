"""Prompts that are too long: shortened alike in training, scoring, generation and heads, with what matters kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny
from kinds import texts_of
from luthier.core.errors import Refused
from luthier.core.records import Chat, Labelled, Message, Rated, Record, Sampling, Tagged, Task
from luthier.core.split import Split
from luthier.data.pack import KEPT_TAIL
from luthier.data.shorten import LEAST, ends, fitted, spans_of
from luthier.io.config import objective, options
from luthier.models.base import TrainableLM
from luthier.models.inference import features, scoring
from luthier.objectives.sft import Sft
from luthier.runs import run
from luthier.runs.loaded import load_run
from luthier.training.attach import attached
from watching import watched

every_kind = pytest.mark.parametrize("lm", tiny.KINDS, indirect=True)
writes = pytest.mark.parametrize("lm", [k for k in tiny.KINDS if k != "bert"], indirect=True)
LIMIT = 300
ENGLISH, CHINESE = "the bus is late and the weather is fine ", "天气很好，公共汽车晚点了。"
RULE, QUESTION = "always answer in rhymes", "what is the colour of the door?"


def long_text(i: int, size: int = 60) -> str:
    """A cue, a long stretch, and a question."""
    return f"cue {i}. " + (ENGLISH, CHINESE)[i % 2] * size + f" {QUESTION} {i}"


def texts_seen(monkeypatch: pytest.MonkeyPatch, lm: Any, name: str) -> list[list[int]]:
    """Prompts that reach the code below `continuations` or `generate`."""
    seen: list[list[int]] = []
    place = getattr(lm, name)

    def spy(first: Any, *rest: Any, **more: Any) -> Any:
        seen.extend([row[0] if name == "continuations" else row for row in first])
        return place(first, *rest, **more)

    monkeypatch.setattr(lm, name, spy)
    return seen


def prompts_of(lm: TrainableLM, examples: Sequence[Any]) -> list[list[int]]:
    """The tokens before each example's answer, which is learned to its end."""
    return [list(e.ids if e.decoder else e.ids[: e.where[-len(lm_answer(e))] + 1]) for e in examples]


def lm_answer(example: Any) -> list[int]:
    """The places of the last answer of an example."""
    run: list[int] = []
    for place in reversed(example.where):
        if run and place != run[-1] - 1:
            break
        run.append(place)
    return run


@writes
@pytest.mark.parametrize("patch", ["lora", "soft_prompt"])
def test_labels_are_scored_behind_the_prompts_that_were_trained(
    lm: Any, patch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels of several lengths. Seen failing with the middle cut in training and the beginning in scoring, and with
    room for a row's own label in place of the longest."""
    rows = tuple(Labelled(long_text(i), label) for i, label in enumerate(("no", "账号登录", "a long label") * 2))
    data = Split("classification", rows, rows, labels=("a long label", "no", "账号登录"))
    made = tiny.recipe(Path(lm.name), patch, objective={"name": "sft", "max_length": LIMIT})
    with attached(lm, options(made), objective(made, "sft"), data.labels, 0) as (work, _, chosen):
        chosen.keep_limit(work, data)
        examples = chosen.encode(work, data, rows)
        seen = texts_seen(monkeypatch, work, "continuations")
        work.predict(texts_of(rows), data.labels)
        assert prompts_of(work, examples) == seen and len(seen) == len(rows)
        assert all(max(len(e.ids), len(e.decoder)) <= LIMIT and e.cut > 0 and not e.lost for e in examples)
        assert all(tuple(e.ids[: len(work.virtual)]) == work.virtual for e in examples)
        for row, example in zip(rows, examples, strict=True):
            text = work.tokenizer.decode(example.ids[len(work.virtual) :])
            assert row.text[:30] in text and row.text[-30:] in text and "\ufffd" not in text
            answer = work.encode_answer(row.label, data.labels)
            assert list(example.targets) == answer


HEADS: dict[str, tuple[Callable[[str, int], Record], Task, tuple[str, ...]]] = {
    "classify": (lambda text, i: Labelled(text, "ab"[i % 2]), "classification", ("a", "b")),
    "multilabel": (lambda text, i: Tagged(text, ("a",) * (i % 2)), "multilabel", ("a", "b")),
    "regress": (lambda text, i: Rated(text, float(i)), "regression", ()),
}


@every_kind
@pytest.mark.parametrize("name", HEADS)
def test_heads_read_the_prompts_that_were_trained(lm: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with a limit of training that prediction did not know."""
    make, task, labels = HEADS[name]
    rows = tuple(make(long_text(i), i) for i in range(4))
    data = Split(task, rows, rows, labels=labels)
    made = tiny.recipe(Path(lm.name), "lora", objective={"name": name, "max_length": LIMIT})
    seen: list[list[int]] = []
    last = scoring.last_hidden
    monkeypatch.setattr(scoring, "last_hidden", watched(last, lambda lm, prompts: seen.extend(prompts)))
    with attached(lm, options(made), objective(made, name), labels, 0) as (work, _, chosen):
        chosen.keep_limit(work, data)
        examples = chosen.encode(work, data, rows)
        work.predict(texts_of(rows), labels)
        assert [list(e.ids) for e in examples] == seen
        assert all(len(e.ids) <= LIMIT and e.cut > 0 for e in examples)


def conversation(i: int, answer: str) -> Chat:
    """Rules, an earlier exchange, a long text with its question."""
    turns = (("system", RULE), ("user", "hello"), ("assistant", "hi"), ("user", long_text(i)), ("assistant", answer))
    return Chat(tuple(Message(*turn) for turn in turns))


@writes
def test_conversations_are_asked_as_they_were_trained(lm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likelihoods and generation. Seen failing with the end of the conversation lost in training, so that nothing was
    learned, and with the rules lost in generation."""
    rows = tuple(conversation(i, "red " * (i + 1)) for i in range(4))
    data = Split("generation", rows, rows)
    made = tiny.recipe(Path(lm.name), "lora", objective={"name": "sft", "max_length": LIMIT})
    with attached(lm, options(made), objective(made, "sft"), (), 0) as (work, _, chosen):
        chosen.keep_limit(work, data)
        examples = [e for e in chosen.encode(work, data, rows) if e.cut]
        assert len(examples) == len(rows) and all(max(len(e.ids), len(e.decoder)) <= LIMIT for e in examples)
        scored = texts_seen(monkeypatch, work, "continuations")
        work.logprobs([(r.asked, r.wanted) for r in rows])
        assert prompts_of(work, examples) == scored
        asked: list[list[int]] = []
        read = work.encode_prompt

        def encoded(*given: Any) -> list[int]:
            asked.append(read(*given))
            return asked[-1]

        monkeypatch.setattr(work, "encode_prompt", encoded)
        work.generate([r.asked for r in rows], Sampling(2))
        assert asked == scored
        for ids in asked:
            text = work.tokenizer.decode(ids)
            assert RULE in text and QUESTION in text and "hello" in text and "\ufffd" not in text


@every_kind
def test_features_read_both_ends(lm: Any, tmp_path: Path) -> None:
    """And count what they shorten, from the file of an earlier call too. Seen failing with the end lost."""
    texts = [long_text(0, 200), "short"]
    ids = lm.encode_text(texts[0], 100)
    text = lm.tokenizer.decode(ids)
    assert len(ids) <= 100 and "cue 0" in text and QUESTION in text
    for _ in range(2):
        lm.counted.clear()
        features.features(lm, texts, tmp_path)
        assert list(lm.counted.shortened.values()) == [min(512, lm.context)]


def test_what_a_model_was_trained_with_is_kept(lm: Any, tmp_path: Path) -> None:
    """Seen failing with the whole context of the base used after loading."""
    made = tiny.recipe(Path(lm.name), "lora", objective={"max_length": 150}, training={"epochs": 1, "tokens": 10**6})
    with run.adapted(lm, made, tiny.LABELLED) as outcome:
        run.save_adapted(outcome, tmp_path)
        want = outcome.lm.encode_prompt(long_text(1), tiny.LABELLED.labels)  # type: ignore[attr-defined]
    from luthier.io import config
    from luthier.io.files import write_text

    write_text(tmp_path / "recipe.yaml", config.to_yaml(made))
    loaded: Any = load_run(tmp_path, lm)
    assert (loaded.longest, loaded.limit) == (150, 150) and loaded.room > 0
    assert loaded.encode_prompt(long_text(1), tiny.LABELLED.labels) == want and len(want) <= 150
    assert lm.limit == lm.context  # the base itself is as it was


def many_turns(exchanges: int, words: int) -> Chat:
    """A conversation whose every answer is its own."""
    turns = [Message("system", RULE)]
    for i in range(exchanges):
        turns += [Message("user", f"question {i}"), Message("assistant", f"answer {i} " + "word " * words + "end")]
    return Chat(tuple(turns))


def test_every_answer_of_a_long_conversation_is_learned_once(lm: Any) -> None:
    """Behind its own question and the rules, with the answers before it as far as they fit. Seen failing with the last
    answers lost, and with answers learned twice."""
    chat = many_turns(12, 20)
    work = replace(lm, longest=LIMIT)
    examples = Sft(max_length=LIMIT).encode(work, tiny.CHATS, [chat])
    assert 1 < len(examples) < 12 and all(len(e.ids) <= LIMIT and not e.lost for e in examples)
    said = [lm.tokenizer.decode(e.targets) for e in examples]
    assert "".join(said) == "".join(f"{m.content}<|im_end|>" for m in chat.messages if m.role == "assistant")
    for example in examples:
        text = lm.tokenizer.decode(example.ids)
        assert RULE in text
        answers = [i for i in range(12) if f"answer {i} " in lm.tokenizer.decode(example.targets)]
        assert all(f"question {i}<" in text for i in answers)


def test_only_an_answer_that_is_too_long_by_itself_loses_its_end(lm: Any) -> None:
    long = "word " * 400
    for answer, lost in (("word " * 60, False), (long, True)):
        chat = Chat((Message("user", long_text(0)), Message("assistant", answer)))
        (example,) = Sft(max_length=LIMIT).encode(lm, tiny.CHATS, [chat])
        assert len(example.ids) <= LIMIT and bool(example.lost) is lost
        whole = [*lm.tokenizer(answer)["input_ids"], lm.tokenizer.eos_token_id]
        assert list(example.targets) == whole[: len(example.targets)]
        assert example.lost == len(whole) - len(example.targets)


def test_an_answer_that_was_shortened_is_not_learned_so(lm: Any) -> None:
    """An earlier answer gives way before its question is forgotten; it is learned whole in an example of its own."""
    turns = [Message("user", "one"), Message("assistant", "first " + "word " * 64 + "last")]
    turns += [Message("user", "two"), Message("assistant", "short")]
    examples = Sft(max_length=LIMIT).encode(lm, tiny.CHATS, [Chat(tuple(turns))])
    assert [lm.tokenizer.decode(e.targets) for e in examples] == [f"{turns[1].content}<|im_end|>", "short<|im_end|>"]
    assert "first" in lm.tokenizer.decode(examples[1].ids) and examples[1].cut


def test_rows_that_cannot_be_written_are_counted(lm: Any) -> None:
    """Seen failing with the first row's reason alone."""
    lm.tokenizer.chat_template = "{% for m in messages %}{{ m.content | lower }}{% endfor %}"
    chats = [Chat((Message("user", "a"), Message("assistant", said))) for said in ("B", "b", "C")]
    with pytest.raises(Refused, match="2 of 3 rows cannot be written for this model: "):
        Sft().encode(lm, tiny.CHATS, chats)


def test_rows_without_an_answer_to_learn_give_none(lm: Any) -> None:
    chat = Chat((Message("user", "a"), Message("assistant", "b", learned=False)))
    assert Sft().encode(lm, tiny.CHATS, [chat]) == []


WORDS = st.sampled_from(["the bus is late ", "天气很好。", "e\u0301", "👩\u200d🚀", "\n", "x", "  ", "🙂🙃 "])
TEXTS = st.lists(st.tuples(WORDS, st.integers(1, 60)), min_size=1, max_size=4).map(
    lambda parts: "".join(word * count for word, count in parts) + "?"
)
often = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@often
@given(text=TEXTS, limit=st.integers(1, 260))
def test_a_text_within_any_limit(lm: Any, text: str, limit: int) -> None:
    """Whole characters, both ends, and what fits is untouched. Seen failing with characters cut in two."""
    ids = lm.tokenizer(text)["input_ids"]
    calls: list[Any] = []

    def encode(prompt: Any) -> list[int]:
        calls.append(prompt)
        return list(lm.tokenizer(prompt)["input_ids"])

    found = fitted(text, limit, encode, lm.tokenizer)
    assert 0 < len(found.ids) <= limit and found.cut == len(ids) - len(found.ids)
    if len(ids) <= limit:
        assert found.ids == ids and found.prompt == text and len(calls) == 1
    elif found.whole:
        assert isinstance(found.prompt, str) and found.ids == encode(found.prompt)
        assert "\ufffd" not in lm.tokenizer.decode(found.ids)
        cut = next(i for i in range(len(text)) if not text.startswith(found.prompt[: i + 1]))
        assert text.endswith(found.prompt[cut:]) and len(found.prompt) < len(text)


ROLES = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4)


@often
@given(system=st.none() | TEXTS, turns=ROLES, limit=st.integers(12, 400))
def test_a_conversation_within_any_limit(lm: Any, system: str | None, turns: Any, limit: int) -> None:
    """In training: the limit holds, every answer is learned to its end unless it is counted, and once."""
    messages = [Message("system", system)] if system else []
    for question, answer in turns:
        messages += [Message("user", question), Message("assistant", answer)]
    examples = Sft(max_length=limit).encode(lm, tiny.CHATS, [Chat(tuple(messages))])
    assert examples and all(len(e.where) > 0 and len(e.ids) <= limit for e in examples)
    wanted = sum(len(lm.tokenizer(answer)["input_ids"]) + 1 for _, answer in turns)
    assert sum(len(e.where) + e.lost for e in examples) == wanted


def test_the_ends_of_a_text() -> None:
    """By hand: single characters as tokens, and one character in three tokens."""
    text = "0123456789" * 40
    assert ends(text, [(i, i + 1) for i in range(400)], 200) == text[:136] + text[-KEPT_TAIL:]
    spans = [(i, i + 1) for i in range(4) for _ in range(3)]
    assert ends("天气很好", spans, 8) == "天好" and ends("天气很好", spans, 2) == ""


def test_the_longest_text_gives_way_first(lm: Any) -> None:
    """Down to a beginning and a tail; then the next one, then earlier exchanges, oldest first. Rules stay."""
    turns = [("system", RULE), ("user", ENGLISH * 20), ("assistant", "a1"), ("user", ENGLISH * 40), ("assistant", "a2")]
    messages = tuple(Message(*turn) for turn in [*turns, ("user", QUESTION)])
    whole = lm.length(messages)

    def contents(limit: int) -> list[str]:
        found = replace(lm, longest=limit).read_prompt(messages)
        assert len(found.ids) <= limit and found.whole
        return [m.content for m in found.prompt]

    slightly = contents(whole - 50)
    assert slightly[:3] == [RULE, ENGLISH * 20, "a1"] and len(slightly[3]) < len(ENGLISH * 40)
    both = contents(whole - len(lm.tokenizer(ENGLISH * 40)["input_ids"]))
    assert both[0] == RULE and both[2] == "a1" and both[4:] == ["a2", QUESTION]
    assert len(spans_of(lm.tokenizer, both[3])) <= LEAST + 2 and len(both[1]) < len(ENGLISH * 20)
    assert contents(280) == [RULE, *contents(280)[1:3], QUESTION]
    assert contents(100) == [RULE, QUESTION]


def test_tools_stay_where_the_first_turn_is_left_out(lm: Any) -> None:
    messages = (Message("user", "one " * 100, tools="[]"), Message("assistant", "b"), Message("user", "two"))

    def encode(prompt: Any) -> list[int]:
        return [0] * sum(len(m.content) for m in prompt)

    found = fitted(messages, 10, encode, lm.tokenizer)
    assert [(m.content, m.tools) for m in found.prompt] == [("two", "[]")]  # type: ignore[union-attr]
    assert found.kept == (2,)


def test_a_slow_tokenizer_is_cut_by_characters(lm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        def __call__(self, text: str, **options: Any) -> Any:
            if options.get("return_offsets_mapping"):
                raise NotImplementedError
            return lm.tokenizer(text, add_special_tokens=False)

    spans = spans_of(Slow(), "ab" * 50)  # type: ignore[arg-type]
    assert spans[0][0] == 0 and spans[-1][1] == 100 and spans == sorted(spans)


def test_answers_of_any_length_fit(lm: Any) -> None:
    """Likelihoods of ids as they are. Seen failing with an answer cut to half the context that would have fitted."""
    work = replace(lm, longest=100, virtual=())
    for size, kept in ((30, 30), (98, 98), (100, 50), (1000, 50)):
        ids, (answer,) = work.fitting(list(range(200)), [[7] * size])
        assert len(answer) == kept and len(ids) == 100 - kept and ids[0] == 0
    assert torch.isfinite(work.logprobs([(long_text(0), "word " * 500)])[0]).all()


@writes
def test_answers_to_one_prompt_are_read_behind_the_same_tokens(lm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with each answer's prompt shortened for itself: the pair was told by how much of it was left."""
    lm = replace(lm, longest=LIMIT)
    pairs = [(long_text(0), "yes"), (long_text(1), "no"), (long_text(0), "no, " + ENGLISH * 6)]
    seen = texts_seen(monkeypatch, lm, "continuations")
    found = lm.logprobs(pairs)
    assert len(seen) == 2, "the two answers to one prompt share it"
    alone = lm.logprobs(pairs[2:])[0]
    torch.testing.assert_close(found[2], alone, rtol=1e-4, atol=1e-4)
    assert [len(row) for row in found] == [len(lm.encode_answer(answer)) for _, answer in pairs]
    assert seen[0] == seen[2], "as for the longer one"
