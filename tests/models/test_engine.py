"""The engine against a model that reads one text alone, anew for every token: tokens, log-probabilities, ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from luthier.core.errors import LuthierError
from luthier.core.records import Sampling
from luthier.models.causal import CausalLM
from luthier.models.ends import Ends
from luthier.models.inference import beginnings, decode, rows, scoring
from luthier.models.inference.engine import Engine, Token, engine_of
from luthier.models.runner import PaddedRunner

every_model = pytest.mark.parametrize("lm", tiny.MODELS, indirect=True)
NEVER = Ends(())
HOT = Sampling(8, temperature=1.5, seed=4)


def prompts() -> list[list[int]]:
    """Unlike lengths; four behind one beginning, three behind another, two by themselves, in no order."""
    random = torch.Generator().manual_seed(3)
    sizes = (0, 17, 9, 0, 17, 9, 17, 9, 17)  # 17 or 9 shared tokens, or none
    starts = {n: torch.randint(10, 300, (n,), generator=random).tolist() for n in set(sizes)}
    own = [torch.randint(10, 300, (n,), generator=random).tolist() for n in (5, 1, 30, 14, 2, 9, 9, 1, 70)]
    return [starts[n] + part for n, part in zip(sizes, own, strict=True)]


@torch.no_grad()
def alone(lm: CausalLM, prompt: Sequence[int], room: int, stops: Sequence[int] = ()) -> list[Token]:
    """The best token again and again, each time from the whole text by itself."""
    ids, out = list(prompt), list[Token]()
    while len(out) < room:
        whole = torch.tensor(ids)
        logits = lm.head.logits(lm.hidden(whole, torch.arange(len(ids)), [len(ids)])[-1:])[0]
        best = int(logits.argmax())
        ended = "stop" if best in stops else "length" if len(out) == room - 1 else None
        out.append(Token(best, float(logits.log_softmax(-1)[best]), ended))  # type: ignore[arg-type]
        ids.append(best)
        if ended:
            break
    return out


def same(got: Sequence[Token], want: Sequence[Token]) -> None:
    """The same tokens and ends, and log-probabilities but for rounding."""
    assert [(t.id, t.end) for t in got] == [(t.id, t.end) for t in want]
    for one, two in zip(got, want, strict=True):
        assert one.logprob == pytest.approx(two.logprob, abs=1e-5)


# -- tokens ----------------------------------------------------------------------------------------------------------


@every_model
@pytest.mark.parametrize("slots", [1, 3, 64])
def test_every_request_is_answered_as_if_it_were_alone(lm: CausalLM, slots: int) -> None:
    """Each ends at its own length, and its slot goes to the next. Seen failing with the last row's slot not moved to

    the one that is free, its beginning left behind, a mask that hides the newest key, the two parts' weights exchanged,
    and (sliding windows) a beginning that is seen whole.
    """
    asked, engine = prompts(), Engine(lm, rows=slots)
    rooms = [3, 12, 1, 7, 70, 5, 2, 9, 4]
    stops = [t.id for t in alone(lm, asked[1], 12)[4:5]]
    answers = [engine.submit(p, Sampling(room), ends=Ends(tuple(stops))) for p, room in zip(asked, rooms, strict=True)]
    for answer, prompt, room in reversed(list(zip(answers, asked, rooms, strict=True))):
        same(list(answer), alone(lm, prompt, room, stops))
    assert not engine._batches and not engine._queue


def test_a_slot_is_given_on_at_once(lm: CausalLM) -> None:
    """One long answer beside many short ones takes no more passes than it has tokens. Seen failing with new

    rows admitted only when all others have ended.
    """
    engine, asked = Engine(lm, rows=2), prompts()
    answers = [engine.submit(asked[0], Sampling(16), ends=NEVER)]
    answers += [engine.submit(p, Sampling(2), ends=NEVER) for p in asked[1:]]
    widths: list[int] = []
    with watched(lm, lambda ids: widths.append(len(ids))):
        assert [len(list(a)) for a in answers] == [16] + [2] * 8
    assert widths.count(2) == 8


def test_what_is_shared_is_read_once_and_kept_once(lm: CausalLM) -> None:
    """Seen failing with no beginning found."""
    engine, asked = Engine(lm), prompts()
    read: list[int] = []
    with watched(lm, lambda ids: read.append(ids.numel())):
        answers = [engine.submit(p, Sampling(4), ends=NEVER) for p in asked]
        next(answers[0])
    own = [len(p) - n for p, n in zip(asked, (0, 17, 9, 0, 17, 9, 17, 9, 17), strict=True)]
    assert sum(read) == 17 + 9 + sum(own)
    batch = engine._batches[None]
    assert isinstance(batch, rows.Rows) and sorted(batch.slots.lengths) == sorted(own)
    assert {(len(t.ids), t.places) for t in batch.slots.beginnings} == {(0, 0), (9, 9), (17, 17)}


@contextmanager
def watched(lm: CausalLM, tell: Callable[[torch.Tensor], object]) -> Iterator[None]:
    """`tell` gets the token ids of every forward pass."""
    handle = lm.decoder.register_forward_pre_hook(
        lambda _m, _a, given: tell(given["input_ids"]) and None, with_kwargs=True
    )
    try:
        yield
    finally:
        handle.remove()


def test_most_shared_saves_most() -> None:
    """Against all beginnings of all prompts. Seen failing with prompts that keep no token of their own, and with

    rectangles that do not reach to the left.
    """
    random = torch.Generator().manual_seed(0)
    for _ in range(200):
        n = int(torch.randint(1, 7, (1,), generator=random))
        made = [
            [0] * 7
            + torch.randint(0, 2, (int(torch.randint(1, 7, (1,), generator=random)),), generator=random).tolist()
            for _ in range(n)
        ]
        saved = {
            tuple(p[:size]): size * (sum(q[:size] == p[:size] and len(q) > size for q in made) - 1)
            for p in made
            for size in range(scoring.WORTH_SHARING, len(p))
        }
        length, members = beginnings.most_shared(made)
        assert length * max(len(members) - 1, 0) == max(saved.values(), default=0)
        for i in members:
            assert made[i][:length] == made[members[0]][:length] and len(made[i]) > length


# -- ends ------------------------------------------------------------------------------------------------------------


def test_ends_are_told_apart(lm: CausalLM) -> None:
    """A stop token, a text in several tokens, the limit, the context. Seen failing with an end token in the last place

    that is called the limit, and without the text.
    """
    engine, prompt = Engine(lm), prompts()[3]
    free = alone(lm, prompt, 8)
    text = str(lm.tokenizer.decode([t.id for t in free[2:5]]))
    found = list(engine.submit(prompt, Sampling(8), ends=Ends((), text)))
    assert [t.id for t in found] == [t.id for t in free[: len(found)]] and len(found) <= 5
    assert text in lm.tokenizer.decode([t.id for t in found])
    assert [t.end for t in found] == [None] * (len(found) - 1) + ["stop"]
    found = list(engine.submit(prompt, Sampling(3), ends=Ends((free[2].id,))))
    assert found[-1].end == "stop" and len(found) <= 3, "the end token took the last place there was"
    assert [t.end for t in engine.submit(prompt, Sampling(2), ends=NEVER)] == [None, "length"]
    assert list(engine.submit(prompt, Sampling(0), ends=NEVER)) == []
    lm.model.config.max_position_embeddings = len(prompt) + 3
    same(list(engine.submit(prompt, Sampling(8), ends=NEVER)), alone(lm, prompt, 3))
    assert len(list(engine.submit(prompt * 9, Sampling(8), ends=NEVER))) == 1


def test_answers_without_the_end(lm: CausalLM) -> None:
    """`decode.generate` leaves the end token out and tells of progress. Seen failing with the end token left in."""
    stop, told = alone(lm, prompts()[1], 12)[4].id, list[tuple[int, int]]()
    lm = replace(lm, progress=lambda done, of: told.append((done, of)))
    found = decode.generate(lm, prompts(), Sampling(6), Ends((stop,)))
    assert found == [[t.id for t in alone(lm, p, 6, [stop]) if t.id != stop] for p in prompts()]
    assert told == sorted(told) and told[-1] == (9, 9)


# -- sampling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hot", [HOT, replace(HOT, top_p=0.7)])
def test_draws_do_not_depend_on_neighbours(lm: CausalLM, hot: Sampling) -> None:
    """Alone, among others, in another order, in few slots. Seen failing with one stream of random numbers for

    all rows.
    """
    asked = prompts()
    want = [list(Engine(lm).submit(p, hot, index=i, ends=NEVER)) for i, p in enumerate(asked)]
    for slots in (1, 2, 64):
        for got, one in zip(Engine(lm, rows=slots).generate(asked, hot, ends=NEVER), want, strict=True):
            same(got, one)
    engine, cold = Engine(lm, rows=3), Sampling(5)
    given = {i: engine.submit(asked[i], cold if i % 2 else hot, index=i, ends=NEVER) for i in reversed(range(9))}
    for i in range(0, 9, 2):
        same(list(given[i]), want[i])
    same(list(given[3]), alone(lm, asked[3], 5))


def test_every_index_and_seed_draws_its_own(lm: CausalLM) -> None:
    """Seen failing with the seed's numbers for every index."""
    one = prompts()[0]
    many = Engine(lm).generate([one] * 20, HOT, ends=NEVER)
    assert len({tuple(t.id for t in answer) for answer in many}) == 20
    again = Engine(lm).generate([one] * 20, HOT, ends=NEVER)
    other = Engine(lm).generate([one] * 20, replace(HOT, seed=5), ends=NEVER)
    assert many == again and not any(a == b for a, b in zip(many, other, strict=True))


def test_log_probabilities_are_the_model_s_own(lm: CausalLM) -> None:
    """At temperature 1 and over the whole vocabulary, however a token was drawn. Seen failing at another one."""
    (found,) = Engine(lm).generate([prompts()[2]], Sampling(6, temperature=0.5, top_p=0.5, seed=1), ends=NEVER)
    (want,) = lm.continuations([(prompts()[2], [[t.id for t in found]])])[0]
    assert [t.logprob for t in found] == pytest.approx(want.tolist(), abs=1e-5)


# -- threads ---------------------------------------------------------------------------------------------------------


def at_once(*work: Callable[[], object]) -> None:
    """Each in a thread of its own, begun together; what one raises is raised here."""
    gate, errors = threading.Barrier(len(work)), list[BaseException]()

    def run(one: Callable[[], object]) -> None:
        gate.wait()
        try:
            one()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_threads_share_the_steps(lm: CausalLM) -> None:
    """Requests of several threads stand in one pass, and get what they get alone. Seen failing with two threads

    that move at one time.
    """
    engine, asked = Engine(lm), prompts()
    want = [alone(lm, p, 12) for p in asked]
    widths: list[int] = []

    def stream(i: int) -> None:
        same(list(engine.submit(asked[i], Sampling(12), ends=NEVER)), want[i])

    with watched(lm, lambda ids: widths.append(len(ids))):
        at_once(*(lambda i=i: stream(i) for i in range(6)))
    assert max(widths) > 1 and not engine._batches


def test_writing_scoring_and_reading_at_once(lm: CausalLM) -> None:
    """On one model, its modules running fast for as long as anybody needs them. Seen failing with forwards that the

    first to leave takes away, and with hooks that catch the states of another thread's pass.
    """
    asked = prompts()
    rows_ = [(p, [[5, 6, 7], [8]]) for p in asked]
    ids, places = torch.tensor(asked[-1]), torch.arange(len(asked[-1]))
    written = [[t.id for t in alone(lm, p, 9)] for p in asked]
    scored = [v for row in lm.continuations(rows_) for v in row]
    states = lm.depth_states(ids, places, [len(ids)], (1, 3))

    def write() -> None:
        for _ in range(4):
            assert decode.generate(lm, asked, Sampling(9), NEVER) == written

    def score() -> None:
        for _ in range(12):
            for got, want in zip((v for row in lm.continuations(rows_) for v in row), scored, strict=True):
                torch.testing.assert_close(got, want, rtol=0, atol=1e-5)

    def read() -> None:
        for _ in range(30):
            for depth, got in lm.depth_states(ids, places, [len(ids)], (1, 3)).items():
                torch.testing.assert_close(got, states[depth], rtol=0, atol=1e-4)

    at_once(write, write, score, read)
    assert not any("forward" in vars(m) for m in lm.model.modules())


def test_callers_at_one_time_share_an_engine(lm: CausalLM) -> None:
    """Unless their models do something else to their logits. Seen failing with engines told apart by weights alone."""
    first = engine_of(lm)
    assert engine_of(lm.asked(template=None)) is first
    assert engine_of(replace(lm, softcap=3.0)) is not first
    assert engine_of(lm) is not first, "the last one's is taken"
    assert engine_of(replace(lm, model=tiny.fresh(Path(lm.name)).model)).lm.model is not lm.model


# -- adapters --------------------------------------------------------------------------------------------------------


def test_adapters_are_not_mixed(lm: CausalLM) -> None:
    """Each pass is made inside its adapter alone, and what is shared is read for each. Seen failing with all new

    requests in the first one's pass.
    """
    lowest: Any = lm.blocks[0]
    weight, inside = lowest.mlp.down_proj.weight, list[str]()

    @contextmanager
    def switched(name: str, factor: float) -> Iterator[None]:
        inside.append(name)
        kept = weight.detach().clone()
        weight.data *= factor
        try:
            yield
        finally:
            weight.data.copy_(kept)
            inside.remove(name)

    adapters = {name: lambda n=name, f=f: switched(n, f) for name, f in (("a", -1.0), ("b", 2.0))}
    engine, asked = Engine(lm, adapters, rows=5), prompts()
    names = [(None, "a", "b")[i % 3] for i in range(9)]
    open_: list[int] = []
    with watched(lm, lambda ids: open_.append(len(inside))):
        answers = [engine.submit(p, Sampling(6), n, ends=NEVER) for p, n in zip(asked, names, strict=True)]
        found = [list(a) for a in answers]
    assert set(open_) == {0, 1} and not inside
    plain = [alone(lm, p, 6) for p in asked]
    assert any([t.id for t in a] != [t.id for t in b] for a, b in zip(found, plain, strict=True))
    for got, name, prompt in zip(found, names, asked, strict=True):
        if name is None:
            same(got, alone(lm, prompt, 6))
        else:
            with adapters[name]():
                same(got, alone(lm, prompt, 6))
    with pytest.raises(LuthierError, match=r"no adapter is called c here; those there are: a, b"):
        engine.submit(asked[0], Sampling(1), "c")


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_an_answer_that_is_not_wanted_gives_its_slot_back(lm: CausalLM) -> None:
    """Closed, or simply forgotten, in a slot or in the queue. Seen failing with forgotten ones written to their end."""
    engine, asked = Engine(lm, rows=2), prompts()
    rooms = (900, 900, 900, 9)
    first, second, third, last = (
        engine.submit(p, Sampling(room), ends=NEVER) for p, room in zip(asked, rooms, strict=False)
    )
    next(first)
    first.close()
    del second, third
    passes: list[int] = []
    with watched(lm, lambda ids: passes.append(len(ids))):
        found = list(last)
    same(found, alone(lm, asked[3], 9))
    assert len(passes) < 20
    assert not engine._batches and not engine._queue


def test_a_prompt_that_cannot_be_read_fails_alone(lm: CausalLM) -> None:
    """Seen failing with all prompts of its pass failing with it."""
    engine, asked = Engine(lm), prompts()
    begun = engine.submit(asked[0], Sampling(9), ends=NEVER)
    first = next(begun)
    bad, good = engine.submit([5, 10**6], Sampling(9), ends=NEVER), engine.submit(asked[1], Sampling(9), ends=NEVER)
    with pytest.raises(IndexError):
        list(bad)
    same(list(good), alone(lm, asked[1], 9))
    same([first, *begun], alone(lm, asked[0], 9))


def test_a_step_that_fails_is_told_to_everyone(lm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the engine works on. Seen waiting for ever, with others not told that somebody broke off."""
    engine, asked = Engine(lm), prompts()
    answers = [engine.submit(p, Sampling(9), ends=NEVER) for p in asked[:2]]
    next(answers[0])
    with monkeypatch.context() as patched:
        patched.setattr(rows, "draw", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            next(answers[0])
    assert len([next(answers[1])]) == 1, "what came before is not lost"
    with pytest.raises(ZeroDivisionError):
        next(answers[1])
    with monkeypatch.context() as patched:
        patched.setattr(rows, "draw", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        mine, other = (engine.submit(p, Sampling(9), ends=NEVER) for p in asked[:2])
        with pytest.raises(KeyboardInterrupt):
            next(mine)
        with pytest.raises(LuthierError, match="broken off"):
            next(other)
    same(list(engine.submit(asked[0], Sampling(9), ends=NEVER)), alone(lm, asked[0], 9))


# -- models with a decoding of their own -------------------------------------------------------------------------------


@pytest.mark.parametrize("cached_from", [1, None])
def test_padded_models_are_asked_whole(lm: CausalLM, cached_from: int | None) -> None:
    """The same tokens and ends; log-probabilities are not told. Seen failing with the end token left out."""
    lm.model.set_attn_implementation("eager")
    padded = replace(lm, runner=PaddedRunner(masked=True, cached_from=cached_from))
    asked = prompts()
    stop = alone(padded, asked[1], 12)[4].id
    found = Engine(padded).generate(asked, Sampling(6), ends=Ends((stop,)))
    want = [[replace(t, logprob=None) for t in alone(padded, p, 6, [stop])] for p in asked]
    assert found == want
    assert [list(Engine(padded).submit(asked[1], Sampling(6), ends=Ends((stop,))))] == want[1:2]


@pytest.mark.parametrize("lm", ["t5"], indirect=True)
def test_encoder_decoders_are_asked_whole(lm: Any) -> None:
    """Meant to catch padding behind an end that is handed out, too."""
    asked = [lm.encode_prompt(text) for text in ("the parcel is late", "pay me back")]
    found = Engine(lm).generate(asked, Sampling(6))
    said = [lm.tokenizer.decode([t.id for t in a], skip_special_tokens=True).strip() for a in found]
    assert said == lm.generate(["the parcel is late", "pay me back"], Sampling(6))
    assert all(a[-1].end == ("stop" if a[-1].id in lm.ends.tokens else "length") for a in found)
