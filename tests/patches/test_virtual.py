"""Prompts and prefixes: every path of the model sees them, and what makes them during training can be folded away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tiny
from kinds import texts_of
from luthier.core.example import renumbered
from luthier.core.records import Sampling
from luthier.data.pack import next_token, pack
from luthier.io import config
from luthier.io.config import TrainingConfig
from luthier.models.causal import CausalLM
from luthier.models.inference import decode, scoring, slots
from luthier.models.layers.prefix import PrefixMlp
from luthier.models.layers.virtual import Encoder, Table
from luthier.patches.prefix import Prefix
from luthier.patches.soft_prompt import start_ids
from luthier.runs import run
from luthier.training.attach import attached
from luthier.training.context import Context
from luthier.training.loop import Loop

every_causal = pytest.mark.parametrize("lm", tiny.MODELS, indirect=True)
FOLDED = [("p_tuning", {"encoder": "lstm"}), ("p_tuning", {"encoder": "mlp"}), ("prefix", {})]
SIZES = (5, 1, 30, 14, 2)


def prompts(lm: CausalLM, shared: int = 0) -> list[list[int]]:
    """Random prompts of several lengths behind `shared` common tokens."""
    random = torch.Generator().manual_seed(3)
    draw = [torch.randint(10, len(lm.tokenizer), (n,), generator=random).tolist() for n in (shared, *SIZES)]
    return [draw[0] + own for own in draw[1:]]


@contextmanager
def behind(lm: CausalLM, n: int = 7) -> Iterator[list[int]]:
    """A prefix as it begins, on the model; gives the tokens whose keys and values it is."""
    patch = Prefix(n=n, width=4)
    patch.attach(lm)
    try:
        yield start_ids(lm, "", n)
    finally:
        patch.detach(lm)


def states(lm: CausalLM, rows: list[list[int]], skip: int = 0) -> list[Tensor]:
    batch = pack([next_token(i, row, [True] * len(row), 999) for i, row in enumerate(rows)], {})
    parts = lm.hidden(batch.ids, batch.positions, batch.segments).split(batch.segments)
    return [part[skip:] for part in parts]


def close(a: list[Tensor], b: list[Tensor]) -> None:
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=2e-5)


@every_causal
@pytest.mark.parametrize("shared", [0, 11])
def test_a_new_prefix_is_a_text_that_was_read(lm: CausalLM, shared: int) -> None:
    """In training, scoring, generation and features, windows included: as the base answers behind the start text.

    Seen failing with positions that begin at 0, a computed prefix without the learned one before it, buffers that
    begin with the prompt, and a step that counts its place without the prefix.
    """
    asked = prompts(lm, shared)
    answers = [[3, 4, 5], [6], [7, 8]]
    with behind(lm) as start, torch.no_grad():
        n, greedy = len(start), Sampling(max_new_tokens=8)
        found = states(lm, asked)
        scored = [v for row in scoring.continuations(lm, [(p, answers) for p in asked]) for v in row]
        stretch = lm.stretch_logprobs(asked[2])
        written = decode.generate(lm, asked, greedy)
        ids, positions = torch.tensor(asked[3]), torch.arange(len(asked[3]))
        depths = lm.depth_states(ids, positions, [len(ids)], (1, 3))
    with torch.no_grad():
        longer = [start + p for p in asked]
        close(found, states(lm, longer, n))
        rows = scoring.continuations(lm, [(p, answers) for p in longer])
        close(scored, [v for row in rows for v in row])
        close([stretch], [lm.stretch_logprobs(start + asked[2])[n:]])
        assert written == decode.generate(lm, longer, greedy)
        ids, positions = torch.tensor(longer[3]), torch.arange(len(longer[3]))
        for depth, part in lm.depth_states(ids, positions, [len(ids)], (1, 3)).items():
            close([depths[depth]], [part[n:]])


@pytest.mark.parametrize("lm", ["llama_tied", "gpt2", "bert"], indirect=True)
def test_every_layer_sees_n_more_keys(lm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with the first layer left out."""
    more: list[int] = []
    keys: list[int] = []
    attend, attended = F.scaled_dot_product_attention, slots.attended

    def watch(q: Tensor, k: Tensor, *args: Any, **options: Any) -> Tensor:
        more.append(k.shape[2] - q.shape[2])
        return attend(q, k, *args, **options)

    def watch_steps(q: Tensor, k: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
        keys.append(k.shape[2])
        return attended(q, k, *args)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watch)
    monkeypatch.setattr(slots, "attended", watch_steps)
    with behind(lm, 7):
        more.clear()
        states(lm, [[5, 6, 7], [8, 9]])
        assert more == [7, 7] * len(lm.blocks)
        if lm.peft_task == "CAUSAL_LM":
            more.clear()
            decode.generate(lm, [[5, 6, 7]], Sampling(max_new_tokens=2))
            assert more == [7] * len(lm.blocks) and keys == [4, 7] * len(lm.blocks)
    more.clear()
    states(lm, [[5, 6, 7], [8, 9]])
    assert more == [0, 0] * len(lm.blocks)


@pytest.mark.parametrize("lm", ["gpt2", "bert"], indirect=True)
def test_a_prefix_takes_room_of_the_positions(lm: Any) -> None:
    """Seen failing with the context as it was: a long text ran out of positions."""
    room = lm.context
    with behind(lm, 7):
        assert lm.context == room - 7
        ids = lm.encode_text("where is my parcel " * 500, 10**6)
        assert len(ids) == lm.context
        assert states(lm, [ids])[0].shape[0] == room - 7


@pytest.mark.parametrize("lm", ["llama_tied", "bert"], indirect=True)
@pytest.mark.parametrize(("method", "patch"), FOLDED, ids=str)
def test_folded_equals_unfolded(lm: Any, method: str, patch: dict[str, Any]) -> None:
    """With gradients and without (an LSTM's last bits differ); n rows are all that is left of the network.

    Seen failing with one hundredth too much in what is folded.
    """
    recipe = tiny.recipe(Path(lm.name), method, patch={"n": 7, **patch}, objective={"name": "classify"})
    method_of, objective = config.options(recipe), config.objective(recipe, "classify")
    texts = texts_of(tiny.LABELLED.validation)

    def answers(work: Any) -> list[Tensor]:
        row = next_token(0, work.encode_prompt(texts[0]), [True] * 99, 99)
        return [work.read(pack([row], {})), work.predict(texts, tiny.LABELLED.labels)]

    makers = (Encoder, PrefixMlp)
    with attached(lm, method_of, objective, tiny.LABELLED.labels, 0) as (work, groups, _):
        examples = renumbered(objective.encode(work, tiny.LABELLED, tiny.LABELLED.train))
        loop = Loop(
            Context(work, seed=0), method_of, objective, groups, examples, TrainingConfig(epochs=3, learning_rate=0.01)
        )
        loop.run()
        unfolded = answers(work)
        assert any(isinstance(m, makers) for m in lm.model.modules())
        method_of.fold(work)
        assert not any(isinstance(m, makers) for m in lm.model.modules())
        (table,) = [m for m in lm.model.modules() if isinstance(m, Table)]
        assert len(table.prompt) == 7
        close(unfolded, answers(work))


def test_a_run_ends_folded(lm: CausalLM) -> None:
    """The network's numbers are counted among the trained ones, and gone when the run gives its model."""
    with run.adapted(lm, tiny.recipe(Path(lm.name), "prefix", patch={"n": 7}), tiny.LABELLED) as outcome:
        assert not any(isinstance(m, PrefixMlp) for m in lm.model.modules())
        width, numbers = 512, 3 * 2 * 2 * 8
        assert outcome.trainable == 7 * width + (width + 1) * width + (width + 1) * numbers


def test_soft_prompts_learn_at_one_rate_whatever_the_size_of_embeddings(lm: CausalLM) -> None:
    """A step is a share of the start's size: the group's scale is its root mean square."""
    for factor in (1.0, 50.0):
        embedding: nn.Embedding = lm.model.get_input_embeddings()  # type: ignore[assignment]
        embedding.weight.data *= factor
        patch: Any = config.options(tiny.recipe(Path(lm.name), "soft_prompt"))
        work = replace(lm)
        (group,) = patch.attach(work)
        prompt = dict(lm.model.named_parameters())[group.names[0]]
        assert group.lr_scale == pytest.approx(10 * float(prompt.square().mean().sqrt()))
        patch.detach(work)
