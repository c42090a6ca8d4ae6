"""IA3: `peft` as the oracle both ways, exact folding, and which part of a fused projection is scaled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch import nn

import peft_oracle as oracle
import tiny
from luthier.core.errors import LuthierError
from luthier.io.files import read_json
from luthier.models.base import TrainableLM
from luthier.objectives.classify import Classify
from luthier.patches.ia3 import Ia3
from luthier.runs import adapters, run
from luthier.training.attach import attached
from luthier.training.context import Context

every_kind = pytest.mark.parametrize("lm", tiny.KINDS, indirect=True)
# what PEFT scales by default (k and v, or q and v): layers, and which of them at their inputs
THEIRS = {
    "llama_tied": (["k_proj", "v_proj", "down_proj"], ["down_proj"]), "llama_untied": (["v_proj"], []),
    "qwen2_sliding": (["q_proj", "v_proj", "down_proj"], ["down_proj"]),
    "gpt2": (["c_attn", "mlp.c_proj"], ["mlp.c_proj"]), "bert": (["key", "value", "output.dense"], ["output.dense"]),
    "t5": (["k", "v", "wo"], ["wo"]),
}  # fmt: skip


@contextmanager
def disturbed(lm: TrainableLM, patch: Ia3) -> Iterator[TrainableLM]:
    """The patch attached, its vectors away from one."""
    with attached(lm, patch, Classify(), ("a", "b"), 0) as (work, groups, _):
        params, random = dict(work.model.named_parameters()), torch.Generator().manual_seed(2)
        for name in groups[-1].names:
            params[name].data.add_(0.3 * torch.randn(params[name].shape, generator=random))
        yield work


def kind_of(lm: TrainableLM) -> str:
    return next(k for k in tiny.KINDS if Path(lm.name).name.startswith(k))


@every_kind
@pytest.mark.parametrize("patch", [Ia3(), Ia3(outputs="none"), Ia3(inputs="none")], ids=("both", "ffn", "attention"))
def test_peft_loads_what_we_saved(lm: TrainableLM, patch: Ia3, tmp_path: Path) -> None:
    """Seen failing with the vector of an input saved as (in, 1), and with the fused one's halves changed over."""
    base = oracle.ours(lm)
    with disturbed(lm, patch) as work:
        want = oracle.ours(work)
        del work.model.label_head
        adapters.save_patch(work, patch, tmp_path)
        work.model.label_head = nn.Linear(1, 1)
    assert (want - base).abs().max() > 1e-2
    torch.testing.assert_close(oracle.theirs(oracle.with_peft(Path(lm.name), tmp_path)), want, rtol=0, atol=1e-4)
    work, again = adapters.load_adapter(lm, tmp_path)
    torch.testing.assert_close(oracle.ours(work), want, rtol=0, atol=1e-6)
    again.detach(work)


@every_kind
def test_what_peft_wrote(lm: TrainableLM, tmp_path: Path) -> None:
    """Seen failing with all layers scaled at their outputs."""
    targets, inputs = THEIRS[kind_of(lm)]
    config = peft.IA3Config(target_modules=targets, feedforward_modules=inputs, task_type=lm.peft_task)
    want = oracle.write_with_peft(Path(lm.name), tmp_path, config)
    base, tree = oracle.ours(lm), tiny.tree(lm.model)
    work, patch = adapters.load_adapter(lm, tmp_path)
    assert (want - base).abs().max() > 1e-2
    torch.testing.assert_close(oracle.ours(work), want, rtol=0, atol=1e-4)
    patch.detach(work)
    assert tiny.tree(lm.model) == tree and torch.equal(oracle.ours(lm), base)


@every_kind
def test_folds_exactly(lm: TrainableLM) -> None:
    """Weights and biases. Seen failing with biases left as they were, and with a fused query scaled too."""
    for module in lm.blocks.modules():
        if isinstance(module, nn.Linear) and module.bias is None:  # T5 and Llama may have none of their own
            module.bias = nn.Parameter(torch.linspace(-1, 1, module.out_features), requires_grad=False)
    base, patch = oracle.ours(lm), Ia3()
    with disturbed(lm, patch) as work:
        want = oracle.ours(work)
        assert patch.mergeable(work) and patch.merge(work)
        assert not any(n.endswith(".scale") for n, _ in work.model.named_parameters())
        got = oracle.ours(work)
    assert (want - base).abs().max() > 1e-2
    torch.testing.assert_close(got, want, rtol=0, atol=2e-5)


@pytest.mark.parametrize("lm", ["gpt2"], indirect=True)
def test_of_a_fused_projection_the_query_is_left_alone(lm: TrainableLM) -> None:
    """Seen failing with the first two thirds scaled."""
    x, d = torch.randn(4, lm.width), lm.width
    layer: Any = lm.blocks[0]
    before = layer.attn.c_attn(x)
    with disturbed(lm, Ia3()):
        after = layer.attn.c_attn(x)
        scale = layer.attn.c_attn.scale
        assert len(scale) == 2 * d and torch.equal(after[:, :d], before[:, :d])
        torch.testing.assert_close(after[:, d:], before[:, d:] * scale)


def test_numbers_that_train(lm: TrainableLM) -> None:
    """Two grouped key-value heads of 8 for keys, as many for values, and the 48 inner activations, a block."""
    with run.adapted(lm, tiny.recipe(Path(lm.name), "ia3"), tiny.CHATS) as outcome:
        assert outcome.trainable == len(lm.blocks) * (16 + 16 + 48)


def test_a_last_name_at_its_input_here_and_at_its_output_there(lm: TrainableLM) -> None:
    """PEFT is then told whole paths. Seen failing with last names, which make all of them inputs."""
    paths = [f"model.layers.{i}.self_attn.v_proj" for i in range(len(lm.blocks))]
    patch = Ia3(outputs="|".join(map(re.escape, paths[:-1])), inputs=re.escape(paths[-1]))
    with disturbed(lm, patch) as work:
        tensors, config = patch.export(work)
    assert config["target_modules"] == paths and config["feedforward_modules"] == paths[-1:]
    assert [len(t) for t in tensors.values()] == [16] * (len(paths) - 1) + [1]


def test_refused(lm: TrainableLM) -> None:
    assert "nothing to train" in str(Ia3(outputs="none", inputs="none").refuses(Context(lm)))
    bare: Any = nn.ModuleDict({"h": nn.ModuleList([nn.ModuleDict({"mixer": nn.Linear(2, 2)})])})
    assert (
        Ia3().refuses(Context(replace(lm, model=bare))) == "the model's blocks have no module known as key (ModuleDict)"
    )
    with pytest.raises(LuthierError, match=r"both name .*v_proj"):
        Ia3(outputs="v_proj", inputs="v_proj").attach(lm)


def test_saved_in_pefts_layout(lm: TrainableLM, tmp_path: Path) -> None:
    with run.adapted(lm, tiny.recipe(Path(lm.name), "ia3"), tiny.CHATS, tmp_path) as outcome:
        run.save_adapted(outcome, tmp_path)
    config = read_json(tmp_path / "adapter" / "adapter_config.json")
    assert config["peft_type"] == "IA3" and not (tmp_path / "adapter" / adapters.OWN).exists()
    assert config["target_modules"] == ["down_proj", "k_proj", "v_proj"] and config["feedforward_modules"] == [
        "down_proj"
    ]
