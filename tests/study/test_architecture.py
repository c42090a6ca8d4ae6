"""Architectures held against each other: sizes as told, zero-shot by hand, and a study from text to page."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("pyarrow")
from luthier.core.errors import LuthierError
from luthier.io.config import DataConfig
from luthier.study.ground import HALF, Ground, laid
from luthier.study.runner import Request, run
from luthier.study.studies.architecture import Architecture
from stories import story

SMALL = {"width": 1, "blocks": 2, "equal": 1, "alike": 1, "context": 160, "vocabulary": 600, "batch": 1}
TEXT = "\n".join(story(n, 40) for n in range(40))


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    at = TEXT.find("\n", int(len(TEXT) * 0.9))
    folder = laid(tmp_path, [TEXT[:at]], 600)
    return Ground(folder, [TEXT[at:]], 1, 160, 3000, 1, 4e-3)


def test_as_many_parameters_and_as_much_compute() -> None:
    """Blocks of 12 and, in a decoder that also looks at an encoder, 16 squares of the width; a token goes through half
    of an encoder-decoder's blocks."""
    asked = Architecture()
    assert asked.blocks * 12 == asked.equal * (12 + 16)
    assert asked.blocks * 12 == asked.alike * (12 + 16) / 2


def test_arms_are_as_large_as_told(ground: Ground) -> None:
    wide = Ground(ground.folder, ground.held, 2, 160, 3000, 1, 4e-3)
    counted = {
        arm.name: sum(p.numel() for p in wide.fresh(arm, 0).model.parameters()) for arm in Architecture().arms(None)[0]
    }
    own = counted["decoder + next token"]
    assert counted["enc-dec (parameters) + denoise"] == pytest.approx(own, rel=0.05)
    assert counted["prefix + denoise"] == own and counted["enc-dec (compute) + denoise"] > 1.5 * own


def test_zero_shot_is_what_transformers_gives(ground: Ground) -> None:
    arm = next(a for a in Architecture(**SMALL).arms(None)[0] if a.name == "decoder + next token")
    lm = ground.fresh(arm, 3)
    found = ground.zero_shot(lm, arm)
    passage = ground.passages[1]
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_config(lm.model.config, attn_implementation="eager").eval()
    plain.load_state_dict(lm.model.state_dict())
    with torch.no_grad():
        told = plain(input_ids=torch.tensor([passage])).logits[0].log_softmax(-1)
    nats = -sum(float(told[at - 1, passage[at]]) for at in range(HALF, 2 * HALF))
    text = [ground.words.decode(ids) for ids in (passage, passage[:HALF])]
    size = len(text[0].encode()) - len(text[1].encode())
    assert found["bits"][1] == pytest.approx(nats / math.log(2) / size, rel=1e-4)
    assert len(found["bits"]) == len(found["chosen"]) == len(ground.passages) and set(found["chosen"]) <= {0.0, 1.0}


def test_who_filled_gaps_is_given_one(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    lm = ground.fresh(Architecture(**SMALL).arms(None)[0][0], 0)

    def told(self: object, rows: Any) -> list[list[torch.Tensor]]:
        seen.extend(rows)
        return [[torch.tensor([-100.0, *[-1.0] * (len(b) - 1)]) for b in more] for _, more in rows]

    monkeypatch.setattr(type(lm), "continuations", told)
    first, end = ground.words.convert_tokens_to_ids("<extra_id_0>"), ground.words.eos_token_id
    assert ground.costs(lm, True, [([5, 6], [[7, 8, 9]])]) == [[3.0]], "the sentinel's own cost does not count"
    assert seen == [([5, 6, first, end], [[first, 7, 8, 9]])]


def test_training_stays_and_lowers_what_a_passage_costs(ground: Ground) -> None:
    arm = next(a for a in Architecture(**SMALL).arms(None)[0] if a.name == "enc-dec (parameters) + next token")
    lm = ground.fresh(arm, 0)
    before = ground.zero_shot(lm, arm)["bits"]
    done = ground.train(lm, ground.objective(arm), ground.stream, ground.training(6000, 4e-3, optimizer="muon"), 0, "")
    after = ground.zero_shot(lm, arm)["bits"]
    assert done.tokens <= 6000 and sum(after) < 0.8 * sum(before)


def test_a_budget_that_says_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "story.txt").write_text(TEXT)
    request = Request("architecture", SMALL, DataConfig(path=str(tmp_path / "story.txt")), ("random weights",),
                      "8k-tokens", 1)  # fmt: skip
    with pytest.raises(LuthierError, match=r"each run gets 1000 tokens, 40 steps are 6400: at least 51200-tokens"):
        run(request, tmp_path / "out", lambda what, share: None)
    small = replace(request, options={**SMALL, "context": 130})
    with pytest.raises(LuthierError, match=r"context=130: passages have 128 tokens: at least 131"):
        run(small, tmp_path / "small", lambda what, share: None)


@pytest.mark.slow
def test_a_study_from_text_to_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "story.txt").write_text(TEXT)
    request = Request("architecture", SMALL, DataConfig(path=str(tmp_path / "story.txt")), ("random weights",),
                      "60k-tokens", 1)  # fmt: skip
    first = run(request, tmp_path / "out", lambda what, share: None)
    found = request.made().finding(first.models)
    assert len(found.tables[0].rows) == 8 and len(found.claims) == 4
    assert all(claim.verdict in ("agrees", "differs", "open") for claim in found.claims)
    (tmp_path / "out" / "runs" / "0" / "decoder + denoise" / "seed-0.json").unlink()  # a run that was killed
    again = run(request, tmp_path / "out", lambda what, share: None)
    timed = ("seconds",)
    for name, runs in first.models[0].runs.items():
        same = {k: v for k, v in runs[0].items() if k not in timed}
        assert same == {k: v for k, v in again.models[0].runs[name][0].items() if k not in timed}
