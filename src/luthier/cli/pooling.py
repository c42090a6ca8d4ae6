"""What commands over a corpus share: where files lie, who works on them, and how far they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.cli.common import rows_bar

if TYPE_CHECKING:
    from luthier.corpus.pool import Pool
    from luthier.corpus.stage import Say


def located(name: str | Path) -> Path:
    """A path, or an address that fsspec knows."""
    from luthier.io.places import place

    return place(name)


Inputs = Annotated[list[Path], typer.Argument(help="files, folders, addresses", metavar="IN", parser=located)]
Workers = Annotated[int, typer.Option(min=0, help="processes; 0: one a core")]
OnRay = Annotated[str, typer.Option("--ray", help="a Ray cluster: HOST:PORT of its head, ray://HOST:PORT, or auto")]
Lines = Annotated[bool, typer.Option("--lines", help="text files hold a document a line")]
Out = Annotated[
    Path, typer.Option(help="the folder of what comes out, or an address such as s3://bucket/folder", parser=located)
]


@contextmanager
def pool_of(workers: int, ray: str, *paths: Path) -> Iterator[Pool]:
    """Workers of this machine, or a cluster's; faults of what holds the paths are told with the address."""
    from luthier.corpus.pool import Here
    from luthier.io.places import said

    if not ray:
        with said(*paths):
            yield Here(workers or len(os.sched_getaffinity(0)))
        return
    from luthier.corpus.cluster import joined

    with joined(ray) as pool, said(*paths):
        yield pool


@contextmanager
def bar(title: str) -> Iterator[Say]:
    from luthier.models.machine import held_memory

    def behind() -> str:
        held = held_memory()
        return f", {held / 2**20:,.0f} MiB" if held else ""

    with rows_bar(title, "shards", behind) as say:
        yield say
