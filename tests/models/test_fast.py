"""The fast forward passes of training against the plain ones: losses, gradients, and what they leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tiny
from luthier.core.example import renumbered
from luthier.data.pack import pack
from luthier.io.config import options
from luthier.models.attention import blocked
from luthier.models.attention.packed import How, Packed
from luthier.models.kernels import fast, product, vocabulary_head
from luthier.models.layers import lowrank
from luthier.models.outputs import Outputs
from luthier.runs import run
from luthier.training.attach import attached


@pytest.fixture
def every_product(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small products take the way of large ones, and every sequence the way of a long one."""
    if not product.has_onednn():
        pytest.skip("this build of torch has no oneDNN")
    monkeypatch.setattr(product, "SMALL", 0)
    monkeypatch.setattr(product, "THIN", 1)
    for module in (product, blocked):
        monkeypatch.setattr(module, "onednn_pays", lambda: True)
    monkeypatch.setattr(blocked, "SHORTEST", 1)
    monkeypatch.setattr(blocked, "BLOCK", 4)
    yield


def close(a: Tensor, b: Tensor, share: float = 1e-5) -> None:
    """Equal but for so small a share of the largest number."""
    torch.testing.assert_close(a, b, rtol=0, atol=share * float(b.detach().abs().max()))


def doubles(*shapes: tuple[int, ...]) -> list[Tensor]:
    """Random float64 tensors that want gradients."""
    random = torch.Generator().manual_seed(0)
    return [torch.randn(*s, dtype=torch.float64, generator=random).requires_grad_() for s in shapes]


# -- backward passes written by hand --------------------------------------------------------------------------------


def test_norm() -> None:
    """Seen failing without the factor 1 / d of the mean."""
    x, w = doubles((1, 3, 5), (5,))
    assert torch.autograd.gradcheck(lambda *t: fast._RMSNorm.apply(*t, 1e-2), (x, w))
    want = w * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-2)
    torch.testing.assert_close(fast._RMSNorm.apply(x, w, 1e-2), want)


def test_swiglu() -> None:
    """Meant to catch the gradient of `up` taken from the gate instead of silu(gate)."""
    gate, up = doubles((1, 3, 4), (1, 3, 4))
    assert torch.autograd.gradcheck(fast._SwiGLU.apply, (gate, up))
    torch.testing.assert_close(fast._SwiGLU.apply(gate, up), F.silu(gate) * up)


def test_rotary() -> None:
    """Meant to catch a backward pass that turns forward."""
    (x,) = doubles((1, 3, 2, 6))
    angle = torch.randn(1, 3, 1, 3, dtype=torch.float64)
    cos, sin = angle.cos(), angle.sin()
    assert torch.autograd.gradcheck(lambda t: fast._Rotary.apply(t, cos, sin), (x,))
    half = torch.cat([-x[..., 3:], x[..., :3]], -1)
    want = x * torch.cat([cos, cos], -1) + half * torch.cat([sin, sin], -1)
    torch.testing.assert_close(fast._Rotary.apply(x, cos, sin), want)


@pytest.mark.parametrize("frozen_input", [False, True])
def test_folded(frozen_input: bool) -> None:
    """Several layers, of different widths, ranks and scales; meant to catch the ranks' columns out of order."""
    x, *params = doubles((1, 4, 5), (2, 5), (6, 2), (3, 5), (4, 3))
    w1, w2 = (t.detach() for t in doubles((6, 5), (4, 5)))
    x.requires_grad_(not frozen_input)

    def given(x: Tensor, a1: Tensor, b1: Tensor, a2: Tensor, b2: Tensor) -> Any:
        return lowrank._Folded.apply(x, lambda: w1, a1, b1, 0.5, lambda: w2, a2, b2, 2.0)

    assert torch.autograd.gradcheck(given, (x, *params))
    a1, b1, a2, b2 = params
    want = (x @ (w1 + 0.5 * b1 @ a1).T, x @ (w2 + 2.0 * b2 @ a2).T)
    for y, wanted in zip(given(x, *params), want, strict=True):
        torch.testing.assert_close(y, wanted)


def test_linear_and_head(every_product: None) -> None:
    x, w, b = (t.detach().float().requires_grad_() for t in doubles((1, 7, 5), (6, 5), (6,)))
    got = torch.autograd.grad(product.linear(x, w, b).square().sum(), (x, w, b))
    want = torch.autograd.grad(F.linear(x, w, b).square().sum(), (x, w, b))
    for one, two in zip(got, want, strict=True):
        close(one, two)
    targets = torch.tensor([0, 5, 3, 3, 1, 2, 4])
    got = torch.autograd.grad(3 * vocabulary_head.head_loss(x[0], vocabulary_head.VocabHead(w), targets), (x, w))
    want = torch.autograd.grad(3 * F.cross_entropy(x[0] @ w.T, targets, reduction="sum"), (x, w))
    for one, two in zip(got, want, strict=True):
        close(one, two)


def test_products_of_views(every_product: None) -> None:
    """Weights with gaps between their rows, transposed ones, a sum on top; meant to catch `more` left out."""
    whole, x = torch.randn(12, 20), torch.randn(2, 3, 8)
    for w in (whole[:, :8], whole[:8].T, whole[:8, :5].T):
        more = torch.randn(2, 3, len(w) + 2)[..., : len(w)]
        kept = more.clone()
        close(product.product(x, w, more), x @ w.T + more)
        assert torch.equal(more, kept)


@pytest.mark.parametrize(("onednn", "avx512"), [(True, True), (True, False), (False, True)])
def test_products_of_few_rows(monkeypatch: pytest.MonkeyPatch, every_product: None, onednn: bool, avx512: bool) -> None:
    """Weights times rows where that pays, and the same numbers everywhere; without oneDNN where MKL alone wins.

    Seen failing with oneDNN asked for where a build has none.
    """
    monkeypatch.setattr(product, "_avx512", lambda: avx512)
    monkeypatch.setattr(product, "has_onednn", lambda: onednn)
    if not onednn:
        monkeypatch.setattr(product, "onednn_pays", lambda: False)
        monkeypatch.setattr(product, "_onednn", lambda *_: pytest.fail("this build has no oneDNN"))
    few, taken = product._few, set()

    def watched(x: Tensor, w: Tensor) -> Tensor | None:
        out = few(x, w)
        if out is not None:
            taken.add((x.shape[1], w.shape))
        return out

    monkeypatch.setattr(product, "_few", watched)
    square, low, high = (24, 24), (24, 40), (640, 40)
    for rows in (1, 2, 4, 5, 16, 48, 49):
        for shape in (square, low, high):
            x, w = torch.randn(1, rows, shape[1]), torch.randn(shape)
            want = x @ w.T
            close(product.product(x, w), want)
            close(product.product(x, w, want.clone()), 2 * want)
            with torch.no_grad():
                close(product.linear(x, w, w[:, 0]), want + w[:, 0])
    by_onednn = () if not onednn else (square, low, high) if avx512 else (high,)
    assert taken == {
        *((rows, shape) for rows in (2, 4) for shape in (square, high)),
        *((rows, shape) for rows in (5, 16, 48) for shape in by_onednn),
    }


@pytest.mark.parametrize("past", [0, 1, 6])
@pytest.mark.parametrize("n", [1, 4, 5, 11])
def test_causal_attention(every_product: None, n: int, past: int) -> None:
    """Meant to catch blocks that see one key too many, and with the scale left out of the keys' gradient."""
    m = past + n
    q, k, v = (t.detach().float().requires_grad_() for t in doubles((1, 6, n, 4), (1, 2, m, 4), (1, 2, m, 4)))
    got = blocked.causal(q, k, v, 0.3)
    seen = torch.ones(n, m, dtype=torch.bool).tril(past)
    want = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=0.3, enable_gqa=True)
    close(got, want)
    g = torch.randn_like(want)
    for one, two in zip(torch.autograd.grad(got, (q, k, v), g), torch.autograd.grad(want, (q, k, v), g), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("has", "capability", "processor", "want"),
    [
        (True, "AVX512", "vendor_id : AuthenticAMD", True),
        (True, "AVX512", "Intel64 Family 6 Model 106 Stepping 6, GenuineIntel", False),
        (True, "AVX2", "vendor_id : AuthenticAMD", False),
        (False, "AVX512", "vendor_id : AuthenticAMD", False),
    ],
)
def test_the_processor_says_whose_products_serve(
    has: bool, capability: str, processor: str, want: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: it was measured, and a process that began beside a busy one took the slower library to its end."""
    monkeypatch.setattr(product, "has_onednn", lambda: has)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(product, "_processor", lambda: processor)
    assert product.onednn_pays.__wrapped__() is want


def test_long_sequences_attend_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only plain causal segments do; meant to catch narrow windows sent there, too."""
    seen: list[int] = []
    monkeypatch.setattr(blocked, "onednn_pays", lambda: True)
    monkeypatch.setattr(blocked, "SHORTEST", 8)

    def watched(q: Tensor, *rest: Any) -> Tensor:
        seen.append(q.shape[2])
        return blocked.causal(q, *rest)

    monkeypatch.setattr("luthier.models.attention.packed.causal", watched)
    q, k = torch.randn(1, 4, 22, 8), torch.randn(1, 2, 22, 8)
    for window, want in ((None, [8, 9]), (9, [8, 9]), (8, [8])):
        seen.clear()
        Packed((5, 8, 9)).attend(0, q, k, k, How(window=window))
        assert seen == want
    for window, want in ((None, [8, 9]), (12, [8]), (10, [])):  # 11 and 13 keys
        seen.clear()
        Packed((5, 8, 9), behind=(None, (0, 3), (1, 4))).attend(0, q, k, k, How(window=window))
        assert seen == want


# -- whole models ---------------------------------------------------------------------------------------------------


def gradients(lm: Any, method: str, quick: bool, **patch: Any) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of one batch, every trained number random."""
    recipe = tiny.recipe(Path(lm.name), method, **({"patch": patch} if patch else {}))
    chosen, split = options(recipe), tiny.CHATS if "logprobs" in lm.can else tiny.LABELLED
    objective = run.objective_of(recipe, chosen, split, lm)
    with attached(lm, chosen, objective, split.labels, 0) as (work, groups, _):
        examples = renumbered(objective.encode(work, split, split.train))
        params = dict(work.model.named_parameters())
        names = [n for group in groups for n in group.names]
        random = torch.Generator().manual_seed(1)
        for name in names:
            params[name].data += 0.1 * torch.randn(params[name].shape, generator=random)
            params[name].requires_grad_(True)
        batch = pack(examples, objective.divisors(examples), work.device)
        with fast.fast(work.model) if quick else torch.enable_grad():
            loss = sum(objective.loss(Outputs(work.read(batch), work, batch.targets), batch).values())
            assert isinstance(loss, Tensor)
            loss.backward()
        found = {n: p.grad for n in names if (p := params[n]).grad is not None}
        kept = {n: g.clone() for n, g in found.items()}
        for p in params.values():
            p.grad = None
        return float(loss.detach()), kept


@pytest.mark.parametrize("method", ["lora", "full", "soft_prompt", "bitfit"])
@pytest.mark.parametrize("lm", tiny.KINDS, indirect=True)
def test_same_loss_and_gradients(lm: Any, method: str, every_product: None) -> None:
    """Every architecture, known or not; meant to catch cosines and sines exchanged."""
    loss, plain = gradients(lm, method, quick=False)
    quick_loss, quick = gradients(lm, method, quick=True)
    assert quick_loss == pytest.approx(loss, rel=1e-5) and plain.keys() == quick.keys() and plain
    largest = max(float(g.abs().max()) for g in plain.values())
    for name, g in plain.items():
        torch.testing.assert_close(quick[name], g, rtol=1e-5, atol=1e-5 * largest, msg=f"{name}: {{}}".format)


def test_lora_on_some_layers_only(lm: Any, every_product: None) -> None:
    """Layers that read the same input, of which one is frozen, run each by itself."""
    loss, plain = gradients(lm, "lora", quick=False, targets="q_proj|up_proj")
    quick_loss, quick = gradients(lm, "lora", quick=True, targets="q_proj|up_proj")
    assert quick_loss == pytest.approx(loss, rel=1e-5)
    for name, g in plain.items():
        close(quick[name], g, 1e-4)


@pytest.mark.parametrize("lm", ["llama_tied"], indirect=True)
def test_known_modules_and_nothing_left(lm: Any) -> None:
    before = tiny.tree(lm.model)
    with fast.fast(lm.model):
        block = lm.blocks[0]
        chosen = {type(m).__name__ for m in lm.model.modules() if "forward" in vars(m)}
        assert chosen == {"Linear", "LlamaRMSNorm", "LlamaMLP", "LlamaAttention"}
        with pytest.raises(ZeroDivisionError), fast.fast(lm.model):
            raise ZeroDivisionError
        assert "forward" in vars(block.mlp), "an inner block takes away what the outer one set"
    assert not any("forward" in vars(m) for m in lm.model.modules()) and tiny.tree(lm.model) == before


def test_what_is_not_known_runs_as_it_is(lm: Any) -> None:
    """Another activation, a class of somebody else's, a forward that a patch has set."""
    mlps = [block.mlp for block in lm.blocks[:3]]
    mlps[0].act_fn = nn.GELU()
    mlps[1].forward = mlps[1].forward
    mlps[2].__class__ = type("LlamaMLP", (type(mlps[2]),), {})
    with fast.fast(lm.model):
        assert "forward" not in vars(mlps[0]) and "forward" not in vars(mlps[2])
    assert "forward" in vars(mlps[1])
    with fast.fast(lm.model.to(torch.bfloat16)):
        assert not any("forward" in vars(m) for m in lm.model.modules() if m is not mlps[1])
