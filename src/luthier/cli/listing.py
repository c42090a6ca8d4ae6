"""`luthier methods` and `luthier fetch`."""

from __future__ import annotations

import typer

METHODS = """List what `luthier compare` can try, one line a method.

Example: luthier methods
"""
FETCH = """Fetch the embedded model into the cache, so that everything works without a network.

Example: luthier fetch
"""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("methods", help=METHODS)(methods)
    app.command("fetch", help=FETCH)(fetch)


def methods() -> None:
    """Names, kinds and summaries; nothing heavy is imported."""
    from luthier.core import catalog

    titles = {"direct": "No training loop:", "patches": "Trained:", "objectives": "Objectives (for luthier train):"}
    last = ""
    for entry in catalog.entries("direct", "patches", "objectives").values():
        if entry.kind != last:
            print(("\n" if last else "") + titles[entry.kind])
            last = entry.kind
        print(f"  {entry.name:<12} {entry.summary}")


def fetch() -> None:
    """Fetch and import."""
    from luthier.models.loading.bundled import embedded_model

    print(f"The embedded model is ready: {embedded_model().name}")
