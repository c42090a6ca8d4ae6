"""`luthier corpus collect`: pages of the web and code of repositories into a folder that `corpus read` reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.cli.common import parts, resumable, rows_bar
from luthier.core.errors import LuthierError
from luthier.corpus import check_installed

if TYPE_CHECKING:
    from luthier.corpus.collecting.web import Asked

HELP = """Pages of sites, of a list of addresses, or code of Git repositories, into a folder for `corpus read`.

A site is followed from its address, below its path. robots.txt is obeyed, a host is asked one thing at a time, with a
pause. The same command goes on after a kill; --again asks once more for what has changed. DIR/warc/ or DIR/code/ has
what was collected, DIR/collected.json the counts, with every address that is left out and why.

Example: luthier corpus collect https://example.com/docs/ --contact me@example.com --out docs
"""


def collect(
    addresses: Annotated[list[str] | None, typer.Argument(help="where sites begin", metavar="URL")] = None,
    out: Annotated[Path, typer.Option(help="the folder of what is collected")] = Path("collected"),
    list_: Annotated[
        Path | None, typer.Option("--list", help="a file of addresses, one a line: these, and no links")
    ] = None,
    git: Annotated[list[Path] | None, typer.Option(help="a local Git repository; may be given again")] = None,
    languages: Annotated[str, typer.Option(help="programming languages by comma; all for none")] = "",
    licences: Annotated[
        str, typer.Option(help="SPDX names by comma; permissive ones for none; unknown has to be named")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="ask again for pages that may have changed")] = False,
    host_wide: Annotated[bool, typer.Option("--host-wide", help="the whole host, not only below the path")] = False,
    max_pages: Annotated[int, typer.Option(min=1, help="pages that are kept, at most")] = 10_000,
    max_depth: Annotated[int, typer.Option(min=0, help="links from the start")] = 100,
    max_mb: Annotated[float, typer.Option(min=0.001, help="of one page")] = 16,
    delay: Annotated[float, typer.Option(min=0.0, help="seconds between requests to one host, at least")] = 1.0,
    hosts: Annotated[int, typer.Option(min=1, max=256, help="hosts that are asked at once")] = 8,
    timeout: Annotated[float, typer.Option(min=0.1, help="seconds for one answer, to its end")] = 30,
    contact: Annotated[str, typer.Option(help="a page or an e-mail address of yours, sent with each request")] = "",
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="hosts of private networks, too: your own intranet")
    ] = False,
) -> None:  # fmt: skip
    """Pages, or code."""
    check_installed("protego", "lxml")
    if sum(map(bool, (addresses, list_, git))) != 1:
        raise LuthierError("name what to collect, one of: addresses of sites, --list FILE, --git PATH")
    if git:
        return _code(git, parts(languages), parts(licences), out)
    if languages or licences:
        raise LuthierError("--languages and --licences are for code: they go with --git PATH")
    from luthier.corpus.collecting.crawl import Rules
    from luthier.corpus.collecting.requesting import Limits
    from luthier.corpus.collecting.web import Asked, listed, starts_of

    rules = Rules((), delay, hosts, max_pages, max_depth, Limits(timeout, int(max_mb * (1 << 20)), allow_private))
    starts = listed(list_) if list_ else starts_of(addresses or [])
    _web(Asked(starts, not list_, host_wide, contact, rules), out, again)


def _web(asked: Asked, out: Path, again: bool) -> None:
    from luthier.corpus.collecting.web import collect, told

    with resumable(), rows_bar("collecting", "addresses") as say:
        counts = collect(asked, out, again, say)
    print("\n".join(told(counts, out)))


def _code(paths: list[Path], languages: list[str], licences: list[str], out: Path) -> None:
    from luthier.corpus.collecting.code import Wish, collect, told

    with resumable(), rows_bar("collecting", "repositories") as say:
        counts = collect(paths, Wish(languages, licences), out, say)
    print("\n".join(told(counts, out)))
