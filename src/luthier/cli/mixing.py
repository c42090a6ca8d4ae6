"""`luthier corpus mix` and `weigh`: several sources as one stream of tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from luthier.cli.common import resumable
from luthier.cli.pooling import OnRay, Out, Workers, bar, pool_of
from luthier.corpus import check_installed

MIX = """Documents of several sources as one stream of tokens, by a recipe: how much of each, in which order.

DIR/tokens/ has flat files of token ids that any program maps into memory, DIR/mix.json how much of each source there
is. The same seed gives the same bytes; a killed run goes on where it was.

Example: luthier corpus mix recipes/mix.yaml --out mixed
"""
WEIGH = """Shares of a mix learned from small models (RegMix): which mix makes --target likeliest.

Trains --model in full on many mixes of few tokens, fits the loss over the shares, and tells the shares that are
predicted best, with how well the fit orders mixes it has not seen. A killed run goes on where it was.

Example: luthier corpus weigh recipes/mix.yaml --target good.txt --model tiny/ --out weighed
"""


def mix(
    recipe: Annotated[Path, typer.Argument(help="mix.yaml")],
    out: Out = Path("mixed"),
    workers: Workers = 0,
    ray: OnRay = "",
) -> None:
    """Sources mixed."""
    check_installed()
    from luthier.corpus.mixing.mix import read_mix, run

    given = read_mix(recipe)
    with resumable(), pool_of(workers, ray, out, *given.sources.values()) as pool:
        found = run(given, out, pool, bar)
    for note in found["notes"]:
        print(note)
    for name, one in found["sources"].items():
        less = ", less than asked: it is seen as often as it may be" if name in found["short"] else ""
        print(f"{name}: {one['mixed']:,} of {one['there']:,} tokens, {one['rounds']:.2f} rounds{less}")
    print(f"Tokens: {out / 'tokens'} ({found['tokens']:,})")


def weigh(
    recipe: Annotated[Path, typer.Argument(help="mix.yaml")],
    target: Annotated[Path, typer.Option(help="text whose loss is to be low")],
    model: Annotated[Path, typer.Option(help="a folder of a small model, which each proxy trains in full")],
    proxies: Annotated[int, typer.Option(help="mixes that are tried")] = 16,
    tokens: Annotated[int, typer.Option(help="tokens that each is trained on")] = 60_000,
    out: Out = Path("weighed"),
) -> None:  # fmt: skip
    """Shares learned."""
    check_installed()
    from luthier.api.weighing import Weighing, as_yaml, weigh
    from luthier.corpus.mixing.mix import read_mix

    with resumable():
        found = weigh(Weighing(read_mix(recipe), target, model, proxies, tokens), out, bar)
    print(f"Predicted: {found.predicted:.4f} bits a byte; mixes it has not seen are ordered with {found.order:.2f} "
          "(1: right; 0 or less: the fit says nothing)")  # fmt: skip
    print(as_yaml(found.shares))
