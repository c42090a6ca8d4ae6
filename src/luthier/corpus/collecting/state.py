"""Frontier and outcomes of a collection, in DIR/state.sqlite; one process and one thread use it.

    pending --> fetched | unchanged | redirected | disallowed | failed | skipped

A page's outcome, the links it gave and the end of the WARC file are one transaction. Files behind the last committed
end are cut at the next start, so that a page is done exactly when its record is on disk. WAL without a sync at each
commit loses the newest outcomes when power fails, never their order: those pages are asked for again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.corpus.collecting.addresses import host_of
from luthier.corpus.collecting.warc import Place
from luthier.io.files import damaged

FILE = "state.sqlite"
PENDING, FETCHED, UNCHANGED, REDIRECTED = "pending", "fetched", "unchanged", "redirected"
DISALLOWED, FAILED, SKIPPED = "disallowed", "failed", "skipped"
TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS pages (
    id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, host TEXT NOT NULL,
    depth INTEGER NOT NULL, hops INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT 'pending', reason TEXT NOT NULL DEFAULT '',
    etag TEXT NOT NULL DEFAULT '', modified TEXT NOT NULL DEFAULT '', digest TEXT NOT NULL DEFAULT '',
    file INTEGER, start INTEGER, length INTEGER);
CREATE INDEX IF NOT EXISTS frontier ON pages (status, host, depth, id);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Page:
    """depth: links from the start. hops: redirects that led here. digest: of what is kept, "" for nothing."""

    id: int
    address: str
    depth: int
    hops: int
    tries: int
    etag: str
    modified: str
    digest: str


@dataclass(frozen=True)
class Kept:
    """Of a page whose record is on disk. etag, modified: as the server said, for the next round."""

    place: Place
    digest: str
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True)
class Link:
    """An address that a page or a person gave."""

    address: str
    depth: int = 0
    hops: int = 0


class State:
    """The open database."""

    def __init__(self, folder: Path) -> None:
        """Raises LuthierError where the file is damaged."""
        self.path = folder / FILE
        self.data = sqlite3.connect(self.path, isolation_level=None)
        try:
            self.data.executescript(TABLES)
            self.known = self._number("SELECT count(*) FROM pages")
            self.pending = self._number("SELECT count(*) FROM pages WHERE status = ?", PENDING)
            self.stored = self._number("SELECT count(*) FROM pages WHERE status IN (?, ?)", FETCHED, UNCHANGED)
        except sqlite3.DatabaseError as error:
            self.data.close()
            raise damaged(self.path, error) from None

    def close(self) -> None:
        self.data.close()

    def _number(self, query: str, *values: Any) -> int:
        return int(self.data.execute(query, values).fetchone()[0])

    def told(self, key: str) -> str:
        """What `tell` kept, "" for nothing."""
        found = self.data.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(found[0]) if found else ""

    def tell(self, key: str, value: str) -> None:
        """Keep a word about the collection."""
        self.data.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    @property
    def end(self) -> Place:
        """How far WARC files are valid."""
        file, _, start = (self.told("end") or "0:0").partition(":")
        return Place(int(file), int(start))

    def add(self, links: Iterable[Link]) -> set[str]:
        """Put new addresses into the frontier; gives their hosts."""
        self.data.execute("BEGIN")
        hosts = self._add(links)
        self.data.execute("COMMIT")
        return hosts

    def _add(self, links: Iterable[Link]) -> set[str]:
        hosts = set()
        for link in links:
            host = host_of(link.address)
            row = (link.address, host, link.depth, link.hops)
            added = self.data.execute("INSERT OR IGNORE INTO pages (address, host, depth, hops) VALUES (?,?,?,?)", row)
            if added.rowcount:
                hosts.add(host)
                self.known += 1
                self.pending += 1
        return hosts

    def hosts(self) -> list[str]:
        """Those with pages in the frontier, in the order these came."""
        query = "SELECT host FROM pages WHERE status = ? GROUP BY host ORDER BY min(id)"
        return [row[0] for row in self.data.execute(query, (PENDING,))]

    def next(self, host: str) -> Page | None:
        """The page of a host to ask for next: breadth first."""
        names = ", ".join(Page.__dataclass_fields__)
        query = f"SELECT {names} FROM pages WHERE status = ? AND host = ? ORDER BY depth, id LIMIT 1"
        found = self.data.execute(query, (PENDING, host)).fetchone()
        return Page(*found) if found else None

    def later(self, page: Page) -> None:
        """The host was busy: the page stays in the frontier."""
        self.data.execute("UPDATE pages SET tries = tries + 1 WHERE id = ?", (page.id,))

    def finish(
        self, page: Page, status: str, reason: str = "", links: Iterable[Link] = (), kept: Kept | None = None
    ) -> set[str]:
        """Say what became of a page, all at once; gives the hosts of new addresses."""
        self.data.execute("BEGIN")
        self.data.execute("UPDATE pages SET status = ?, reason = ? WHERE id = ?", (status, reason, page.id))
        if kept:
            where = kept.place
            row = (kept.etag, kept.modified, kept.digest, where.file, where.start, where.length, page.id)
            self.data.execute(
                "UPDATE pages SET etag = ?, modified = ?, digest = ?, file = ?, start = ?, length = ? WHERE id = ?", row
            )
            self.tell("end", f"{where.file}:{where.end.start}")
        hosts = self._add(links)
        self.data.execute("COMMIT")
        self.pending -= 1
        self.stored += status in (FETCHED, UNCHANGED)
        return hosts

    def again(self) -> None:
        """Begin another round: every known page is asked for once more."""
        self.data.execute("BEGIN")
        self.data.execute("UPDATE pages SET status = ?, reason = '', tries = 0", (PENDING,))
        self.tell("finished", "")
        self.data.execute("COMMIT")
        self.pending, self.stored = self.known, 0

    def redirects_to(self, target: str, address: str) -> bool:
        """Whether a chain of known redirects leads from `target` back to `address`."""
        seen: set[str] = set()
        while target != address:
            found = self.data.execute(
                "SELECT reason FROM pages WHERE address = ? AND status = ?", (target, REDIRECTED)
            ).fetchone()
            if found is None or target in seen:
                return False
            seen.add(target)
            target = found[0]
        return True

    def outcomes(self) -> dict[str, dict[str, int]]:
        """Pages by status and reason; a redirect's reason, its target, is none."""
        query = "SELECT status, iif(status = ?, '', reason), count(*) FROM pages GROUP BY 1, 2 ORDER BY 1, 2"
        out: dict[str, dict[str, int]] = {}
        for status, reason, count in self.data.execute(query, (REDIRECTED,)):
            out.setdefault(status, {})[reason] = count
        return out

    def left_out(self) -> dict[str, list[str]]:
        """The addresses that nothing is kept of, by reason."""
        query = "SELECT reason, address FROM pages WHERE status IN (?, ?, ?) ORDER BY reason, id"
        out: dict[str, list[str]] = {}
        for reason, address in self.data.execute(query, (DISALLOWED, FAILED, SKIPPED)):
            out.setdefault(reason, []).append(address)
        return out
