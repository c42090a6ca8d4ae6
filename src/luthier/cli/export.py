"""`luthier export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from luthier.export.parity import Check

HELP = """Write a finished run as files that other programs load.

adapter: PEFT's layout, for the base model it was trained on. merged: a complete model folder for transformers and what
builds on it; a label head is a file beside it. gguf: one file for llama.cpp, with f16 or q8_0 numbers. classifier: of a
features run, the classifier without pickle and what it reads of which base. Each has a README.md.

A qlora run was trained on rounded weights: merged folds its adapter into those, written in full precision, and says
what the run says. --original folds it into the weights as they came instead; how far that is from the run is shown.

What was written is loaded again and compared with the run before it appears: logits, next tokens, chat template.

Example: luthier export RUN --to gguf --type q8_0
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("export", help=HELP)(export)


def export(
    run: Annotated[Path, typer.Argument(help="run folder, such as a comparison's trials/lora/seed-0")],
    to: Annotated[
        Literal["adapter", "merged", "gguf", "classifier"] | None,
        typer.Option(help="what to write; merged, or classifier for a features run"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="new folder, or .gguf file; RUN/export/… without it")] = None,
    original: Annotated[bool, typer.Option("--original", help="merge into the weights as they came (qlora)")] = False,
    type: Annotated[Literal["f32", "f16", "q8_0"], typer.Option(help="numbers in a GGUF file")] = "f16",
) -> None:
    """Load, write, compare, publish."""
    from luthier.cli.common import steps_bar
    from luthier.export.write import STEPS, export_run, form_of

    tables: list[Sequence[Check]] = []
    try:
        with steps_bar("export", STEPS) as step:
            place = export_run(run, to or form_of(run), out, type, step, tables.append, original)
    finally:
        for checks in tables:
            print_parity(checks)
    size = sum(f.stat().st_size for f in place.rglob("*")) if place.is_dir() else place.stat().st_size
    print(f"\nWritten: {place} ({size / 1e6:.1f} MB)")
    if wording := _wording(run):
        print(f"It was trained on prompts worded like this: {wording!r}")


def print_parity(checks: Sequence[Check]) -> None:
    """The parity table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("compared", "in", "found", "allowed", "", box=None, pad_edge=False)
    for check in checks:
        table.add_row(check.what, check.where, check.found, check.allowed, _verdict(check))
    Console().print(table)


def _verdict(check: Check) -> str:
    if check.allowed == "anything":
        return "told"
    return "same" if check.ok else "DIFFERS"


def _wording(run: Path) -> str:
    """The text around an input, for a wording that is not just the chat template."""
    from luthier.io.files import read_json

    found = next((run / n / "luthier.json" for n in ("adapter", "model") if (run / n / "luthier.json").is_file()), None)
    template = (read_json(found).get("template") if found else None) or {}
    text = template.get("text", "{input}")
    return "" if text == "{input}" else str(text)
