"""Objectives of plain text besides the next token: spans, prefixes, masks; against transformers' own losses."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForMaskedLM

import tiny
from luthier.core.records import Text
from luthier.core.split import Split
from luthier.data.pack import pack
from luthier.models.base import TrainableLM
from luthier.models.outputs import Outputs
from luthier.models.runner import PrefixRunner
from luthier.objectives import denoise
from luthier.objectives.denoise import Denoise, gapped, sentinels
from luthier.objectives.mlm import Mlm
from luthier.objectives.prefix_lm import PrefixLm
from luthier.objectives.streams.spans import spans

STORY = "the parcel never came and no courier was seen at the door in the whole of the wet week"


@given(st.integers(1, 300), st.floats(0.05, 0.6), st.floats(1, 6), st.integers(1, 100), st.integers(0, 99))
def test_spans_are_apart_and_as_many_as_asked(size: int, density: float, length: float, most: int, seed: int) -> None:
    found = spans(size, density, length, most, np.random.default_rng(seed))
    assert found == spans(size, density, length, most, np.random.default_rng(seed))
    edges = [edge for span in found for edge in span]
    assert edges == sorted(edges) and 1 <= len(found) <= most and edges[-1] <= size
    assert all(end > start for start, end in found)
    assert all(second[0] > first[1] for first, second in pairwise(found)), "two of them touch"
    if size > 1:
        assert sum(end - start for start, end in found) == min(max(round(size * density), 1), size - 1)
        assert found[0][0] > 0, "a text begins with what is kept"


def test_spans_begin_everywhere() -> None:
    """Each place is taken about as often as the next: the first and last tokens excepted."""
    counts = np.zeros(40)
    for seed in range(2000):
        for start, end in spans(40, 0.25, 2.5, 100, np.random.default_rng(seed)):
            counts[start:end] += 1
    assert counts.sum() == 2000 * 10
    assert counts[5:35].min() > 350 and counts[5:35].max() < 650  # 500 each, were all places alike


def test_gaps_by_hand() -> None:
    read, wanted = gapped([10, 11, 12, 13, 14, 15], [(1, 3), (4, 5)], [90, 91, 92])
    assert read == [10, 90, 13, 91, 15] and wanted == [90, 11, 12, 91, 14]


def example(objective: Any, lm: TrainableLM) -> Any:
    (found,) = objective.encode(lm, Split("text", (), (), ()), [Text(STORY)])
    return found


def masked_lm(lm: TrainableLM) -> Any:
    """The same weights as transformers runs them by itself."""
    return AutoModelForMaskedLM.from_pretrained(lm.name).eval()


def lost(objective: Any, lm: TrainableLM, one: Any) -> float:
    """The mean loss of one example."""
    batch = pack([one], {})
    with torch.no_grad():
        out = Outputs(lm.read(batch), lm, batch.targets)
        return float(objective.loss(out, batch)["nll"]) / float(objective.divisors([one])["nll"])


def test_denoise_is_t5s_loss(tiny_folder: Any) -> None:
    lm, objective = tiny.fresh(tiny_folder("t5")), Denoise(span=2.0)
    one, known = example(objective, lm), sentinels(lm)
    assert len(known) == 3 and one.decoder[0] == lm.start and one.targets[-1] == lm.tokenizer.eos_token_id
    whole = lm.tokenizer(STORY)["input_ids"]
    parts: dict[int, list[int]] = {}
    for token in one.targets[:-1]:
        parts.setdefault(token, []) if token in known else parts[list(parts)[-1]].append(token)
    again = [t for token in one.ids[:-1] for t in parts.get(token, [token])]
    assert again == [*whole, lm.tokenizer.eos_token_id][: len(again)] and len(again) >= len(whole)
    with torch.no_grad():
        told = lm.model(input_ids=torch.tensor([one.ids]), labels=torch.tensor([one.targets]))
    assert lost(objective, lm, one) == pytest.approx(float(told.loss), rel=1e-5)


@pytest.mark.parametrize("objective", [Denoise(span=2.0), PrefixLm()])
def test_a_causal_model_learns_what_is_written_behind_what_is_read(
    objective: Any, tiny_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denoise, "sentinels", lambda lm: [250, 251, 252])  # its tokenizer has none
    folder = tiny_folder("llama_tied")
    lm = tiny.fresh(folder)
    one = example(objective, lm)
    labels = [-100] * (one.where[0] + 1) + list(one.targets)
    with torch.no_grad():
        told = tiny.reference(folder)(input_ids=torch.tensor([one.ids]), labels=torch.tensor([labels]))
    assert lost(objective, lm, one) == pytest.approx(float(told.loss), rel=1e-5)


def test_masked_tokens_are_berts_loss(tiny_folder: Any) -> None:
    lm, objective = tiny.fresh(tiny_folder("bert")), Mlm(share=0.4)
    one = example(objective, lm)
    labels = [-100] * len(one.ids)
    for at, target in zip(one.where, one.targets, strict=True):
        labels[at] = target
    special, mask = set(lm.tokenizer.all_special_ids), lm.tokenizer.mask_token_id
    assert mask in one.ids and not special & set(one.targets)
    whole = [token if label == -100 else label for token, label in zip(one.ids, labels, strict=True)]
    assert whole == lm.tokenizer(STORY)["input_ids"]
    with torch.no_grad():
        told = masked_lm(lm)(input_ids=torch.tensor([one.ids]), labels=torch.tensor([labels]))
    lm.model.mask_head = lm.own_head("mask")
    assert lost(objective, lm, one) == pytest.approx(float(told.loss), rel=1e-4)
    del lm.model.mask_head


def test_what_is_masked_and_what_takes_its_place(tiny_folder: Any) -> None:
    """Of many draws 15 % are chosen; of these 80 % masked, 10 % any token, 10 % as they are (Devlin et al. 2019)."""
    lm, objective = tiny.fresh(tiny_folder("bert")), Mlm()
    ids = [40 + at % 200 for at in range(100)]
    drawn = [objective.stretch(lm, 0, ids, (7, at)) for at in range(300)]
    places = [(e.ids[at], t) for e in drawn for at, t in zip(e.where, e.targets, strict=True)]
    assert len(places) == 300 * 15 and len({e.where for e in drawn}) > 290
    mask = lm.tokenizer.mask_token_id
    masked, kept = (
        sum(f(a, t) for a, t in places) / len(places) for f in (lambda a, t: a == mask, lambda a, t: a == t)
    )
    assert masked == pytest.approx(0.8, abs=0.025) and kept == pytest.approx(0.1, abs=0.02)


def test_another_draw_in_each_pass(tiny_folder: Any) -> None:
    lm, other = (tiny.fresh(tiny_folder(kind)) for kind in ("bert", "t5"))
    ids = list(range(40, 100))
    for objective, of in ((Mlm(), lm), (Denoise(), other), (PrefixLm(), other)):
        first, again, second = (objective.stretch(of, 3, ids, (0, at, 3)) for at in (0, 0, 1))
        assert first == again != second


def test_prompts_are_seen_in_both_directions(tiny_folder: Any) -> None:
    """A prefix decoder against transformers with the mask written out, and its likelihoods and answers beside that."""
    folder = tiny_folder("llama_tied")
    lm = tiny.fresh(folder)
    lm = replace(lm, runner=PrefixRunner())
    plain = tiny.reference(folder)
    prompt, answer = list(range(40, 52)), [60, 61, 62]
    ids = [*prompt, *answer]
    seen = torch.ones(len(ids), len(ids)).tril().bool()
    seen[:, : len(prompt)] = True
    mask = torch.where(seen, 0.0, -torch.inf)[None, None]
    with torch.no_grad():
        logits = plain(input_ids=torch.tensor([ids]), attention_mask=mask).logits[0]
    want = logits.log_softmax(-1)[range(len(prompt) - 1, len(ids) - 1), answer]
    assert torch.allclose(lm.continuations([(prompt, [answer])])[0][0], want, atol=1e-4)
    one = lm.pair(0, prompt, answer)
    beside = lm.pair(1, prompt[:3], answer)
    batch = pack([beside, one], {})
    rows = lm.head.logits(lm.read(batch))[3:].log_softmax(-1)[range(3), answer]
    assert torch.allclose(rows, want, atol=1e-4)
    causal = tiny.fresh(folder).continuations([(prompt, [answer])])[0][0]
    assert not torch.allclose(causal, want, atol=1e-2), "the mask makes no difference here"
    assert torch.allclose(lm.stretch_logprobs(ids), lm.continuations([(ids[:8], [ids[8:]])])[0][0])


def test_every_token_told_from_the_others(tiny_folder: Any) -> None:
    lm = tiny.fresh(tiny_folder("bert"))
    ids = list(range(40, 60))
    found = lm.stretch_logprobs(ids)
    for at in (0, 8, 19):
        read = [lm.tokenizer.mask_token_id if (i - at) % 7 == 0 else t for i, t in enumerate(ids)]
        with torch.no_grad():
            logits = masked_lm(lm)(input_ids=torch.tensor([read])).logits[0]
        assert float(found[at]) == pytest.approx(float(logits.log_softmax(-1)[at, ids[at]]), abs=1e-4)


@pytest.mark.parametrize("lm", ["t5"], indirect=True)
def test_all_second_halves_are_told_within_the_limit_of_training(lm: TrainableLM) -> None:
    """Seen failing: stretches as long as the context, of which answers within training's limit were cut short."""
    from luthier.evals.metrics.token_probability import TokenProbability, stretches

    text = " ".join([STORY] * 12)
    ids = lm.tokenizer(text)["input_ids"]
    short = replace(lm, longest=64)
    scores = TokenProbability().scores(short, Split("text", (), ()), [Text(text)])
    wanted = [-float(v) for part, new in stretches(ids, 64) for v in lm.stretch_logprobs(part)[-new:]]
    assert len(wanted) > len(ids) * 0.4 and all(len(lm.stretch_logprobs(ids[:n])) == n // 2 for n in (64, 65, 200))
    assert torch.equal(short.stretch_logprobs(ids[:200]), lm.stretch_logprobs(ids[:200]))
    assert scores.secondary["held_out_loss"] == pytest.approx(sum(wanted) / len(wanted), rel=1e-5)
