"""4-bit weights by brute force from the paper's definitions; products in another number format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn

import peft_oracle as oracle
import tiny
from kinds import labelled_rows
from luthier.api import train
from luthier.io.config import DataConfig
from luthier.io.files import read_json
from luthier.models.base import TrainableLM

pytest.importorskip("bitsandbytes")

from luthier.models.layers.nf4 import Nf4Linear
from luthier.patches.qlora import Qlora

BLOCK, SCALES = 64, 256  # numbers that share a scale; scales that share one of theirs
OFFSET = 0.9677083  # of the paper's code: half of 1 - 1 / 32 and 1 - 1 / 30, where quantiles begin
# sign, exponent of two bits, a bit of mantissa; 0.0052 stands for the smallest: all divided by the largest
FP4 = [0.0, 0.0052083333, 2 / 3, 1.0, 1 / 3, 1 / 2, 1 / 6, 1 / 4]


def numbers(quant: str) -> Tensor:
    """The 16 numbers of a data type between -1 and 1."""
    if quant == "fp4":
        return torch.tensor([sign * x for sign in (1, -1) for x in FP4])
    above = norm.ppf(torch.linspace(OFFSET, 0.5, 9)[:-1].numpy())
    below = -norm.ppf(torch.linspace(OFFSET, 0.5, 8)[:-1].numpy())
    found = torch.tensor([*above, 0.0, *below], dtype=torch.float64)
    return (found / found.abs().max()).float()


def nearest(x: Tensor, table: Tensor) -> Tensor:
    """Of each number the nearest one in the table."""
    return table[(x[..., None] - table).abs().argmin(-1)]


def brute(weight: Tensor, quant: str, scales_table: Tensor | None) -> Tensor:
    """A weight rounded by hand. scales_table: the 256 numbers that scales are rounded to; None: they stay."""
    blocks = weight.reshape(-1, BLOCK)
    absmax = blocks.abs().amax(-1)
    rounded = nearest(blocks / absmax[:, None], numbers(quant))
    if scales_table is not None:
        mean = absmax.mean()
        groups = [part / part.abs().max() for part in (absmax - mean).split(SCALES)]
        largest = [part.abs().max() for part in (absmax - mean).split(SCALES)]
        absmax = torch.cat([nearest(g, scales_table) * top for g, top in zip(groups, largest, strict=True)]) + mean
    return (rounded * absmax[:, None]).view_as(weight)


@pytest.mark.parametrize("double", (False, True))
@pytest.mark.parametrize("quant", ("nf4", "fp4"))
def test_rounding_is_the_papers(quant: str, double: bool) -> None:
    """320 blocks: two groups of scales. Seen failing with the mean of the scales left out."""
    torch.manual_seed(1)
    base = nn.Linear(128, 160, bias=False)
    layer = Nf4Linear(base, quant, double)
    table = layer.state.state2.code if double else None
    wanted = brute(base.weight.detach(), quant, table)
    apart = (layer.weight - wanted).abs() > 1e-6
    assert float(apart.float().mean()) < 0.01  # what lies half way may go to either side, of numbers and of scales


@pytest.mark.parametrize(("double", "each"), ((False, 0.5 + 4 / BLOCK), (True, 0.5 + 1 / BLOCK + 4 / (BLOCK * SCALES))))
def test_bytes_a_number(double: bool, each: float) -> None:
    """Without the tables, which all layers share, and the mean of the scales."""
    layer = Nf4Linear(nn.Linear(256, 256), double=double)
    shared = [layer.state.code] + ([layer.state.state2.code, layer.state.offset] if double else [])
    own = sum(t.nbytes for t in layer.held()) - sum(t.nbytes for t in shared)
    assert own == pytest.approx(each * 256 * 256)


@pytest.mark.parametrize("dropout", (0.0, 1e-9))
@pytest.mark.parametrize("dora", (False, True))
def test_products_in_a_compute_type(dora: bool, dropout: float) -> None:
    """The frozen product in bfloat16, the update beside it in float32, gradients by autograd.

    Seen failing with the update in bfloat16, and with the input's gradient through the update left out.
    """
    torch.manual_seed(2)
    patch = Qlora(rank=3, dora=dora, dropout=dropout, compute_type="bfloat16")
    base = nn.Linear(128, 64).requires_grad_(False)
    layer: Any = patch.layer(patch.rounded(base))
    layer.b.data.normal_()
    found = []
    x = torch.randn(5, 128)
    for way in (layer, lambda x: by_hand(layer, x)):
        at = x.clone().requires_grad_(True)
        layer.zero_grad()
        y = way(at)
        y.square().sum().backward()
        found.append((y.detach(), at.grad, layer.a.grad.clone(), layer.b.grad.clone()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), found[0][0], rtol=1e-4, atol=1e-4)
    plain = Qlora(rank=3, compute_type="float32")
    assert type(plain.layer(plain.rounded(base))).__name__ == "LoraLinear"  # the model's own type: folded


def by_hand(layer: Any, x: Tensor) -> Tensor:
    """A DoRA or LoRA layer over a 4-bit one in bfloat16."""
    w: Tensor = layer.base.weight
    frozen = nn.functional.linear(x.bfloat16(), w.bfloat16()).float()
    y: Tensor = frozen + layer.scale * (x @ layer.a.T) @ layer.b.T
    if hasattr(layer, "m"):
        y = y * (layer.m / (w + layer.scale * layer.b @ layer.a).detach().norm(dim=1))
    y += layer.base.bias
    return y


def test_all_options_train_and_are_told(lm: TrainableLM, tmp_path: Path) -> None:
    """As people write them; the options change what is computed, and what is saved is a plain adapter."""
    rows = "\n".join(f"{r.text} {i}\t{r.label}" for i in range(4) for r in labelled_rows(tiny.LABELLED.train))
    (tmp_path / "data.tsv").write_text(f"text\tlabel\n{rows}\n")
    told = {"rank": 64, "alpha": 16, "dropout": 0.1, "quant": "fp4", "double_quant": False, "compute_type": "bfloat16"}
    bytes_ = []
    for name, options in (("plain", {}), ("told", told)):
        data = DataConfig(path=str(tmp_path / "data.tsv"))
        recipe = tiny.recipe(Path(lm.name), "qlora", data=data, training={"epochs": 1}, patch=options)
        found = read_json(train(recipe, tmp_path / name) / "eval.json")
        bytes_.append(found["base_bytes"] / found["base_bytes_bf16"])
    config = read_json(tmp_path / "told" / "adapter" / "adapter_config.json")
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (64, 16, 0.1)
    assert all(0.25 < share < 0.30 for share in bytes_) and bytes_[0] != bytes_[1]  # tables of 256 numbers weigh here


def test_a_compute_type_changes_what_is_said_by_its_rounding(lm: TrainableLM) -> None:
    found = []
    for options in ({}, {"compute_type": "bfloat16"}):
        patch = Qlora(rank=2, **options)  # type: ignore[arg-type]
        patch.attach(lm)
        found.append(oracle.ours(lm))
        patch.detach(lm)
    assert 0 < float((found[0] - found[1]).abs().max()) < 0.1 * float(found[0].abs().max())
