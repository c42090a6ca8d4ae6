"""BitFit: which numbers train, what a merged model is, and models that have biases of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

import tiny
from luthier.models.causal import CausalLM
from luthier.objectives.sft import Sft
from luthier.patches.bitfit import Bitfit
from luthier.runs import run
from luthier.training.attach import attached

IDS = torch.arange(40).remainder(300)


def logits(lm: CausalLM) -> torch.Tensor:
    with torch.no_grad():
        return lm.head.logits(lm.hidden(IDS, torch.arange(40), [40]))


def disturb(lm: CausalLM, names: list[str]) -> None:
    random = torch.Generator().manual_seed(0)
    params = dict(lm.model.named_parameters())
    for name in names:
        params[name].data.add_(0.3 * torch.randn(params[name].shape, generator=random))


@pytest.mark.parametrize(("lm", "of_its_own"), [("llama_tied", 0), ("qwen2_sliding", 3)], indirect=["lm"])
def test_one_bias_an_output_of_every_linear_layer(lm: CausalLM, of_its_own: int) -> None:
    """Seen failing with the layers that have a bias of their own left out."""
    had = [n for n, _ in lm.model.named_parameters() if n.endswith(".bias")]
    assert len(had) == of_its_own * len(lm.blocks)
    wide = sum(m.out_features for m in lm.blocks.modules() if isinstance(m, torch.nn.Linear))
    with run.adapted(lm, tiny.recipe(Path(lm.name), "bitfit"), tiny.CHATS) as outcome:
        assert outcome.trainable == wide
    assert [n for n, _ in lm.model.named_parameters() if n.endswith(".bias")] == had


def test_only_the_named_layers_get_a_bias(lm: CausalLM) -> None:
    with attached(lm, Bitfit(targets="[qv]_proj"), Sft(), (), 0) as (_, groups, _):
        assert {n.split(".")[-2] for n in groups[0].names} == {"q_proj", "v_proj"}


@pytest.mark.parametrize(
    ("targets", "switches"),
    [
        ("all", {"attention_bias": True, "mlp_bias": True}),
        ("[qkvo]_proj", {"attention_bias": True, "mlp_bias": False}),
        ("gate_proj|up_proj|down_proj", {"attention_bias": False, "mlp_bias": True}),
    ],
)
def test_merged_llama_loads_in_plain_transformers(
    lm: CausalLM, targets: str, switches: dict[str, bool], tmp_path: Path
) -> None:
    """Seen failing with the configuration left as it was: the file's biases are then dropped on loading."""
    patch: Any = Bitfit(targets=targets)
    base, config = logits(lm), lm.model.config.to_dict()
    with attached(lm, patch, Sft(), (), 0) as (work, groups, _):
        disturb(work, groups[0].names)
        want = logits(work)
        assert patch.mergeable(work) and patch.merge(work)
        assert {k: getattr(lm.model.config, k) for k in switches} == switches
        lm.model.save_pretrained(tmp_path)
        assert torch.equal(logits(work), want) and not torch.allclose(want, base, atol=1e-2)
    assert lm.model.config.to_dict() == config and torch.equal(logits(lm), base)
    plain: Any = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="sdpa").eval()
    with torch.no_grad():
        torch.testing.assert_close(plain(IDS[None]).logits[0], want, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("lm", "targets"), [("llama_tied", "q_proj"), ("qwen2_sliding", "all")], indirect=["lm"])
def test_no_merge_where_the_configuration_knows_no_such_biases(lm: CausalLM, targets: str) -> None:
    patch: Any = Bitfit(targets=targets)
    with attached(lm, patch, Sft(), (), 0) as (work, groups, _):
        disturb(work, groups[0].names)
        want = logits(work)
        assert not patch.mergeable(work) and patch.merge(work) is False
        assert torch.equal(logits(work), want)


@pytest.mark.parametrize(("lm", "targets"), [("qwen2_sliding", "[qkv]_proj")], indirect=["lm"])
def test_biases_that_were_there_merge_by_staying(lm: CausalLM, targets: str) -> None:
    patch: Any = Bitfit(targets=targets)
    with attached(lm, patch, Sft(), (), 0) as (work, _, _):
        assert patch.mergeable(work) and patch.merge(work)


def test_a_llama_with_biases(tiny_folder: Any) -> None:
    """Biases of its own train, none is added, and `detach` puts the old values back."""
    folder = tiny_folder("llama_tied")
    lm = tiny.fresh(folder)
    values = lm.model.config.to_dict() | {"attention_bias": True, "mlp_bias": True}
    model: Any = AutoModelForCausalLM.from_config(LlamaConfig.from_dict(values))
    tiny.scramble(model, 5)
    other = CausalLM.wrap(model, lm.tokenizer, str(folder))
    before = tiny.bits(other.model)
    with attached(other, Bitfit(), Sft(), (), 0) as (work, groups, _):
        assert len(groups[0].names) == 7 * len(other.blocks)
        disturb(work, groups[0].names)
        assert not tiny.same(before, tiny.bits(other.model))
    assert tiny.same(before, tiny.bits(other.model))


def test_sixteen_bits(lm: CausalLM) -> None:
    """The added biases are in the weights' own number format."""
    tiny.moved(lm.model, torch.bfloat16)
    with run.adapted(lm, tiny.recipe(Path(lm.name), "bitfit"), tiny.CHATS) as outcome:
        assert outcome.trained and outcome.trained.steps == 3
