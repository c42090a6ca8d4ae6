"""Pages of sites, or of a list of addresses, collected into a folder: what is asked, kept going, and counted.

    DIR/warc/NNNNN.warc.gz   the pages, as they were answered
    DIR/state.sqlite         frontier and outcomes, which a killed run goes on from
    DIR/collected.json       the counts, and all addresses that nothing is kept of, by reason; written last

The same command goes on where it was; with `again` a finished collection is asked for once more, by conditional
requests. A page that changed is another record: the older one stays, as in any web archive.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.corpus.collecting.addresses import BadAddressError, Site, normal, origin_of
from luthier.corpus.collecting.crawl import LEFT_ALONE, Clock, Crawl, Rules
from luthier.corpus.collecting.state import (
    DISALLOWED,
    FAILED,
    FETCHED,
    FILE,
    REDIRECTED,
    SKIPPED,
    UNCHANGED,
    Link,
    State,
)
from luthier.corpus.stage import Say
from luthier.io.files import LOCK, alone, is_taken, write_json
from luthier.version import __version__

COUNTS = "collected.json"


@dataclass(frozen=True)
class Asked:
    """starts: normal addresses. follow: links, within the sites that begin at them. contact: for hosts to reach us."""

    starts: tuple[str, ...]
    follow: bool = True
    host_wide: bool = False
    contact: str = ""
    rules: Rules = field(default_factory=Rules)

    @property
    def agent(self) -> str:
        """The User-Agent. Raises LuthierError for a contact that no header may hold."""
        if not self.contact:
            return f"Luthier/{__version__}"
        if not (self.contact.isascii() and self.contact.isprintable()) or set(self.contact) & set("()"):
            raise LuthierError(f"--contact {self.contact!r}: write an address or a page in plain ASCII, no brackets")
        return f"Luthier/{__version__} (+{self.contact})"

    @property
    def same(self) -> str:
        """What has to be the same for a collection to go on; a list may grow."""
        if not self.follow:
            return "a list"
        return json.dumps({"starts": sorted(self.starts), "host_wide": self.host_wide, "depth": self.rules.depth})


def starts_of(addresses: Sequence[str]) -> tuple[str, ...]:
    """Addresses from a command line. Raises LuthierError for what is none; it does not repeat a password."""
    return tuple(dict.fromkeys(_start(address, "the address") for address in addresses))


def listed(path: Path) -> tuple[str, ...]:
    """The addresses of a file, one a line; empty lines and those with # at their beginning count for nothing.

    Raises LuthierError.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise LuthierError(f"{path}: not UTF-8: write a list of addresses, one a line") from None
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    named = [(number, line) for number, line in numbered if line and not line.startswith("#")]
    if not named:
        raise LuthierError(f"{path}: no address in it: write one a line")
    return tuple(dict.fromkeys(_start(line, f"{path}, line {number}:") for number, line in named))


def _start(address: str, where: str) -> str:
    try:
        return normal(address)
    except BadAddressError as error:
        shown = "" if "@" in address else f" {address[:80]!r}"
        raise LuthierError(
            f"{where}{shown} cannot be collected: {error}; write such as https://example.com/docs/"
        ) from None


def collect(
    asked: Asked, folder: Path, again: bool = False, say: Say = lambda done, known: None, clock: Clock | None = None
) -> dict[str, Any]:
    """Collect what is left of it; gives what DIR/collected.json says. Raises LuthierError."""
    agent = asked.agent
    is_taken(folder, FILE, "collection of web pages")
    with alone(folder / LOCK, f"{folder}: another command is at work there"):
        state = State(folder)
        try:
            _begin(state, asked, folder, again)
            sites = tuple(Site.of(start, asked.host_wide) for start in asked.starts) if asked.follow else ()
            Crawl(folder, state, replace(asked.rules, sites=sites), agent, say, clock).run()
            state.tell("finished", "yes")
            counts = counted(state)
        except sqlite3.OperationalError as error:
            raise LuthierError(f"{state.path}: {error}: see to it, then give the same command again") from None
        finally:
            state.close()
        write_json(folder / COUNTS, counts)
    return counts


def _begin(state: State, asked: Asked, folder: Path, again: bool) -> None:
    """Check that it is the same collection, and put the starts into the frontier."""
    known = state.told("asked")
    if known and known != asked.same:
        raise LuthierError(f"{folder} holds a collection of something else ({known}): choose another --out")
    state.tell("asked", asked.same)
    (folder / COUNTS).unlink(missing_ok=True)  # it says that a collection is whole
    if again and state.told("finished"):  # one that was killed goes on first
        state.again()
    state.add(Link(start) for start in asked.starts)


def counted(state: State) -> dict[str, Any]:
    """In numbers: known = all others together."""
    found, left_out = state.outcomes(), state.left_out()
    alone_: dict[str, str] = {}
    for reason, addresses in left_out.items():
        if reason.startswith(LEFT_ALONE):
            alone_ |= {origin_of(address): reason.removeprefix(LEFT_ALONE) for address in addresses}
    return {
        "kind": "web", "known": state.known,
        **{status: sum(found.get(status, {}).values()) for status in (FETCHED, UNCHANGED, REDIRECTED, DISALLOWED)},
        FAILED: found.get(FAILED, {}), SKIPPED: found.get(SKIPPED, {}), "pending": state.pending,
        "left_alone": alone_, "left_out": left_out,
    }  # fmt: skip


def told(counts: dict[str, Any], out: Path) -> list[str]:
    """The counts in lines."""
    names = {
        FETCHED: "fetched",
        UNCHANGED: "unchanged",
        REDIRECTED: "redirects",
        DISALLOWED: "not allowed by robots.txt",
    }
    lines = [f"{counts['known']:,} addresses: " + ", ".join(f"{counts[key]:,} {name}" for key, name in names.items())]
    for status in (FAILED, SKIPPED):
        if reasons := sorted(counts[status].items(), key=lambda item: -item[1]):
            lines.append(f"  {status}: " + ", ".join(f"{reason} {count:,}" for reason, count in reasons))
    for origin, why in sorted(counts["left_alone"].items())[:10]:
        lines.append(f"  left alone, since its robots.txt cannot be read: {origin} ({why})")
    if counts["pending"]:
        lines.append(f"  {counts['pending']:,} addresses are left: the same command with a larger --max-pages goes on")
    return [*lines, f"Every address that is left out, by reason: {out / COUNTS}", f"Pages: {out / 'warc'}"]
