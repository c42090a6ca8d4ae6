"""The chunked head and the folded low-rank product against the plain formulas in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from luthier.models.kernels import vocabulary_head
from luthier.models.kernels.vocabulary_head import VocabHead, head_loss, token_logprobs
from luthier.models.layers.lowrank import LoraLinear

WIDTH, WORDS = 24, 57


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def targets(count: int) -> Tensor:
    return torch.randint(WORDS, (count,), generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("chunk", [1, 7, 10, 256])
@pytest.mark.parametrize("count", [0, 1, 10, 23])
def test_head_loss(chunk: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Value and both gradients, with a factor behind. Seen failing with a head gradient of the last chunk only."""
    monkeypatch.setattr(vocabulary_head, "CHUNK", chunk)
    hidden, weight = drawn(count, WIDTH).requires_grad_(), drawn(WORDS, WIDTH, seed=1).requires_grad_()
    loss = head_loss(hidden, VocabHead(weight), targets(count))
    (0.25 * loss).backward()
    exact_hidden, exact_weight = (t.detach().double().requires_grad_() for t in (hidden, weight))
    exact = F.cross_entropy(exact_hidden @ exact_weight.T, targets(count), reduction="sum")
    (0.25 * exact).backward()
    torch.testing.assert_close(loss, exact.float(), rtol=1e-6, atol=1e-6)
    for got, want in ((hidden, exact_hidden), (weight, exact_weight)):
        assert got.grad is not None and want.grad is not None
        torch.testing.assert_close(got.grad, want.grad.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("frozen", ["hidden", "weight"])
def test_head_loss_gives_a_gradient_only_where_one_is_wanted(frozen: str) -> None:
    """Seen failing with the two gradients handed back in the other order."""
    hidden = drawn(5, WIDTH).requires_grad_(frozen != "hidden")
    weight = drawn(WORDS, WIDTH).requires_grad_(frozen != "weight")
    head_loss(hidden, VocabHead(weight), targets(5)).backward()
    assert (hidden.grad is None, weight.grad is None) == (frozen == "hidden", frozen == "weight")


def test_head_loss_without_gradients_makes_room_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with a table of the head's size for a validation loss."""
    hidden, weight = drawn(5, WIDTH).requires_grad_(), drawn(WORDS, WIDTH).requires_grad_()
    want = head_loss(hidden, VocabHead(weight), targets(5))
    for name in ("zeros_like", "empty_like"):
        monkeypatch.setattr(torch, name, lambda *_: pytest.fail("room for a gradient"))
    with torch.no_grad():
        assert torch.equal(head_loss(hidden, VocabHead(weight), targets(5)), want)


def test_head_loss_survives_logits_that_overflow() -> None:
    """Seen failing with the logarithm of a plain sum of exponentials."""
    hidden = torch.tensor([[1000.0]], requires_grad=True)
    loss = head_loss(hidden, VocabHead(torch.tensor([[1.0], [0.5]])), torch.tensor([1]))
    loss.backward()
    assert float(loss.detach()) == 500 and hidden.grad is not None and hidden.grad.tolist() == [[0.5]]


@pytest.mark.parametrize("chunk", [1, 4, 7, 256])
def test_token_logprobs(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several tokens at one place, places without any. Seen failing with the border between chunks one place late."""
    monkeypatch.setattr(vocabulary_head, "CHUNK", chunk)
    hidden, weight = drawn(11, WIDTH), drawn(WORDS, WIDTH, seed=1)
    index = torch.tensor([0, 0, 0, 3, 4, 4, 6, 7, 7, 8, 10, 10])
    wanted = targets(len(index))
    found = token_logprobs(hidden, VocabHead(weight), index, wanted)
    for at, token, value in zip(index.tolist(), wanted.tolist(), found.tolist(), strict=True):
        exact = torch.log_softmax(weight.double() @ hidden[at].double(), 0)[token]
        assert value == pytest.approx(float(exact), abs=1e-5)
    nothing = torch.empty(0, dtype=torch.long)
    assert token_logprobs(hidden[:0], VocabHead(weight), nothing, nothing).shape == (0,)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(6,), (2, 5)])
def test_lora_linear(bias: bool, shape: tuple[int, ...]) -> None:
    """Folded and unfolded values and the gradients of x, A and B. Seen failing without the scale in dB."""
    torch.manual_seed(0)
    base = nn.Linear(10, 14, bias=bias).requires_grad_(False)
    layer = LoraLinear(base, 3, 0.7)
    layer.b.data.normal_()
    x = drawn(*shape, 10).requires_grad_()
    pull = drawn(*shape, 14, seed=1)
    y = layer(x)
    (y * pull).sum().backward()
    exact_x, a, b = (t.detach().double().requires_grad_() for t in (x, layer.a, layer.b))
    plain = exact_x @ base.weight.double().T + 0.7 * (exact_x @ a.T @ b.T)
    plain = plain + base.bias.double() if bias else plain
    (plain * pull).sum().backward()
    torch.testing.assert_close(y, plain.float())
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain.float())
        torch.testing.assert_close(F.linear(x, layer.folded(), base.bias), plain.float())
    for got, want in ((x, exact_x), (layer.a, a), (layer.b, b)):
        assert got.grad is not None and want.grad is not None
        torch.testing.assert_close(got.grad, want.grad.float())
    assert layer.base.weight.grad is None
