"""`luthier doctor`."""

from __future__ import annotations

import typer

HELP = """Say what this machine and installation can do, and what is missing.

Cores, memory, disk, GPU, measured speed of matrix products and the number format that follows, packages and extras,
the embedded model. Takes a few seconds; needs no network, and does not test whether a model hub can be reached.

Example: luthier doctor
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("doctor", help=HELP)(doctor)


def doctor() -> None:
    """Examine and print."""
    from luthier.cli.common import steps_bar
    from luthier.cli.diagnosis import STEPS, examine

    with steps_bar("doctor", STEPS) as step:
        found = examine(step)
    for part, rows in found.items():
        print(f"{part}:")
        for what, how in rows:
            print(f"  {what}: {how}")
