"""Bottleneck adapters: the formula by hand, how many numbers train, where they sit in every kind of model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import peft_oracle as oracle
import tiny
from luthier.core.errors import LuthierError
from luthier.io.files import read_json, write_json
from luthier.models.base import TrainableLM
from luthier.models.layers.bottleneck import Behind, Bottleneck
from luthier.objectives.classify import Classify
from luthier.patches.adapter import Adapter, Form
from luthier.runs import adapters, run
from luthier.training.attach import attached

every_kind = pytest.mark.parametrize("lm", tiny.KINDS, indirect=True)
FORMS: tuple[Form, ...] = ("houlsby", "after_ffn", "parallel")


def plain(h: torch.Tensor, at: torch.Tensor, own: Bottleneck) -> torch.Tensor:
    """The formula as papers write it: `at` is what the bottleneck reads, h what it is added to."""
    inner = at @ own.down.weight.T + own.down.bias
    inner = 0.5 * inner * (1 + torch.erf(inner / 2**0.5))
    return h + (inner @ own.up.weight.T + own.up.bias)


def started(size: int, width: int) -> Bottleneck:
    own = Bottleneck(size, width, torch.device("cpu")).double()
    for p in own.parameters():
        nn.init.normal_(p, std=0.5)
    return own


def test_formula_and_its_gradients() -> None:
    """Against the plain formula under autograd. Seen failing with GELU's tanh form, and without the residual."""
    torch.manual_seed(0)
    base, own = nn.Linear(5, 7).double().requires_grad_(False), started(7, 3)
    x = torch.randn(2, 4, 5, dtype=torch.double, requires_grad=True)
    weigh = torch.randn(2, 4, 7, dtype=torch.double)
    found = []
    for way in (lambda: Behind(base, own)(x), lambda: plain(base(x), base(x), own)):
        y = way()
        found.append((y, *torch.autograd.grad((y * weigh).sum(), [x, *own.parameters()])))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@every_kind
@pytest.mark.parametrize("form", FORMS)
def test_numbers_places_and_values(lm: TrainableLM, form: Form) -> None:
    """2·m·d + m + d a place; what comes out is the plain formula's, put into the plain modules by hooks.

    Seen failing with `after_ffn` placed behind attention, with `parallel` reading the inner activations, and with
    attention over an encoder's states left out.
    """
    m, d = 5, lm.width
    base = oracle.ours(lm)
    blocks = sum(map(len, lm.stacks))
    attentions = blocks + (len(lm.blocks) if lm.model.config.is_encoder_decoder else 0)
    count = blocks + (attentions if form == "houlsby" else 0)
    with attached(lm, Adapter(width=m, form=form), Classify(), ("a", "b"), 0) as (work, groups, _):
        params = dict(work.model.named_parameters())
        names = [n for group in groups for n in group.names if not n.startswith("label_head")]
        assert sum(params[n].numel() for n in names) == count * (2 * m * d + m + d)
        torch.testing.assert_close(oracle.ours(work), base, rtol=0, atol=1e-6)
        torch.manual_seed(1)
        for n in names:
            params[n].data.add_(0.1 * torch.randn(params[n].shape))
        got = oracle.ours(work)
        own = {
            n.removesuffix(".adapter.up.bias"): work.model.get_submodule(n.removesuffix(".up.bias"))
            for n in names
            if n.endswith("up.bias")
        }
    assert (got - base).abs().max() > 1e-2
    with hooked(lm, own, parallel=form == "parallel"):
        torch.testing.assert_close(oracle.ours(lm), got, rtol=0, atol=1e-4)


class hooked:  # noqa: N801 - reads as a `with` block
    """The plain model with forward hooks that add the plain formula at these paths."""

    def __init__(self, lm: TrainableLM, own: dict[str, Any], parallel: bool) -> None:
        self.handles: list[Any] = []
        for path, bottleneck in own.items():
            seen: dict[str, torch.Tensor] = {}
            if parallel:  # the first linear layer of the same feed-forward part gets its input
                first = INPUT_OF[path.rsplit(".", 1)[1] if "output.dense" not in path else "output.dense"]
                root = path.rsplit(".", 2)[0] if "output.dense" in path else path.rsplit(".", 1)[0]
                self.handles.append(
                    lm.model.get_submodule(f"{root}.{first}").register_forward_pre_hook(
                        lambda _m, args, seen=seen: seen.update(x=args[0])
                    )
                )
            self.handles.append(
                lm.model.get_submodule(path).register_forward_hook(
                    lambda _m, _a, y, own=bottleneck, seen=seen: plain(y, seen.get("x", y), own)
                )
            )

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()


INPUT_OF = {"down_proj": "gate_proj", "c_proj": "c_fc", "output.dense": "intermediate.dense", "wo": "wi"}


def test_saved_in_our_own_layout(lm: TrainableLM, tmp_path: Path) -> None:
    """Read without the recipe; what is damaged or for another model is said. Seen failing with options left out."""
    recipe = tiny.recipe(Path(lm.name), "adapter", patch={"width": 6, "form": "parallel"})
    with run.adapted(lm, recipe, tiny.CHATS, tmp_path) as outcome:
        run.save_adapted(outcome, tmp_path)
        want = oracle.ours(outcome.lm)  # type: ignore[arg-type]
    folder = tmp_path / "adapter"
    assert not (folder / "adapter_config.json").exists()
    record = read_json(folder / adapters.OWN)
    assert record == {
        "version": 1, "method": "adapter", "options": {"width": 6, "form": "parallel"}, "base_model": lm.name,
    }  # fmt: skip
    base, tree = oracle.ours(lm), tiny.tree(lm.model)
    work, patch = adapters.load_adapter(lm, folder)
    assert torch.equal(oracle.ours(work), want) and not torch.equal(want, base)
    patch.detach(work)
    assert tiny.tree(lm.model) == tree and torch.equal(oracle.ours(lm), base)
    for change, why in (
        ({"version": 2}, "version 2 is not read"),
        ({"method": "adaptor"}, "did you mean adapter"),
        ({"options": {"breadth": 6}}, "options.breadth: unknown key"),
        ({"options": {"width": 7, "form": "parallel"}}, "this model takes"),
        ({"options": {"width": 6}}, "has no tensor .*self_attn.o_proj"),
    ):
        write_json(folder / adapters.OWN, record | change)
        with pytest.raises(LuthierError, match=why):
            adapters.load_adapter(lm, folder)
        assert tiny.tree(lm.model) == tree
    write_json(folder / adapters.OWN, {"version": 1})
    with pytest.raises(LuthierError, match=r"damaged .without method, options"):
        adapters.load_adapter(lm, folder)
