"""The loop of a collection: which host is asked for what, and when.

    hosts by the time they may be asked again --due--> robots.txt, or the next page --thread--> outcome --> state, WARC

One request at a time a host; the pause begins when its answer ended. Several hosts are asked at once, each by a thread
that only waits for the network: this thread alone writes. Time comes from a Clock, so that tests need not wait.
"""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luthier.corpus.collecting import robots
from luthier.corpus.collecting.addresses import Site, host_of, origin_of
from luthier.corpus.collecting.requesting import Limits
from luthier.corpus.collecting.robots import Busy, Policy
from luthier.corpus.collecting.state import (
    DISALLOWED,
    FAILED,
    FETCHED,
    REDIRECTED,
    SKIPPED,
    UNCHANGED,
    Kept,
    Link,
    Page,
    State,
)
from luthier.corpus.collecting.visiting import BUSY_HOST, Outcome, visit, waiting
from luthier.corpus.collecting.warc import Writer, digest
from luthier.corpus.stage import Say

TRIES = 3  # after the first, of a busy host
LONGEST = 300.0  # seconds that a busy host is waited for
LEFT_ALONE = "robots_txt_"  # of a page whose origin's robots.txt could not be read; behind it, why
HOPS = 5  # redirects one after another


@dataclass(frozen=True)
class Rules:
    """sites: links in them are followed; none: no links are. delay: seconds between requests to a host.

    hosts: asked at once. pages: kept, at most. depth: links from a start.
    """

    sites: tuple[Site, ...] = ()
    delay: float = 1.0
    hosts: int = 8
    pages: int = 10_000
    depth: int = 1_000
    limits: Limits = field(default_factory=Limits)

    def follows(self, address: str) -> bool:
        """Whether an address belongs to what was asked for; of a list, whatever its redirects lead to does."""
        return not self.sites or any(site.has(address) for site in self.sites)


class Clock:
    """The time that pauses are counted in."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True)
class Job:
    """A request that is out. page: None where it is for the robots.txt of an origin."""

    host: str
    origin: str
    page: Page | None


class Crawl:
    """A run over the frontier."""

    def __init__(
        self, folder: Path, state: State, rules: Rules, agent: str, say: Say = lambda done, known: None,
        clock: Clock | None = None,
    ) -> None:  # fmt: skip
        self.state, self.rules, self.say, self.clock = state, rules, say, clock or Clock()
        self.writer = Writer(folder, state.end, agent)
        self.headers = {"User-Agent": agent, "Accept": "text/html,application/xhtml+xml,text/plain,application/pdf"}
        self.policies: dict[str, tuple[Policy, float]] = {}  # by origin, with the time it was read
        self.tries: dict[str, int] = {}  # of an origin's robots.txt
        self.free: dict[str, float] = {}  # host -> when it may be asked again
        self.due: list[tuple[float, int, str]] = []
        self.queued: set[str] = set()  # hosts in `due`
        self.busy: dict[str, Job] = {}  # by host
        self.turn = 0
        self.answers: queue.Queue[tuple[Job, Any]] = queue.Queue()

    def run(self) -> None:
        """Until the frontier is empty, or as many pages are kept as are wanted."""
        self._queue(self.state.hosts())
        while True:
            wait = self._start()
            self.say(self.state.known - self.state.pending, self.state.known)
            if self.busy:
                try:
                    job, found = self.answers.get(timeout=wait)
                except queue.Empty:
                    continue
                self._take(job, found)
            elif wait is None:
                return
            else:
                self.clock.sleep(wait)

    def _queue(self, hosts: Iterable[str]) -> None:
        """Hosts with something to ask for."""
        for host in hosts:
            if host not in self.queued and host not in self.busy:
                self.turn += 1
                self.queued.add(host)
                heapq.heappush(self.due, (self.free.get(host, 0.0), self.turn, host))

    def _start(self) -> float | None:
        """Send out what may be sent; gives the seconds until more may be, None where that hangs on answers."""
        while self.due and len(self.busy) < self.rules.hosts and not self._full():
            if (wait := self.due[0][0] - self.clock.now()) > 0:
                return wait
            _, _, host = heapq.heappop(self.due)
            self.queued.discard(host)
            if job := self._job(host):
                self.busy[host] = job
                threading.Thread(target=self._work, args=(job,), daemon=True).start()  # Ctrl-C waits for no answer
        return None

    def _full(self) -> bool:
        return self.state.stored + sum(job.page is not None for job in self.busy.values()) >= self.rules.pages

    def _job(self, host: str) -> Job | None:
        """The next request to a host; pages that may not be asked for are finished on the way."""
        while page := self.state.next(host):
            origin = origin_of(page.address)
            policy, read = self.policies.get(origin, (None, 0.0))
            if policy is None or self.clock.now() - read > robots.DAY:
                return Job(host, origin, None)
            if policy.problem:
                private = policy.problem == "private_network"
                self.state.finish(page, FAILED, policy.problem if private else f"{LEFT_ALONE}{policy.problem}")
            elif not policy.allows(page.address):
                self.state.finish(page, DISALLOWED, "not_allowed")
            else:
                return Job(host, origin, page)
        return None

    def _work(self, job: Job) -> None:
        """In a thread of its own. Whatever goes wrong is handed on, or the loop would wait for ever."""
        try:
            found: Any = (
                visit(job.page, self.headers, self.rules.limits)
                if job.page
                else robots.ask(job.origin, self.headers, self.rules.limits)
            )
        except BaseException as error:
            found = error
        self.answers.put((job, found))

    def _take(self, job: Job, found: Any) -> None:
        """What an answer changes: of the state first, then when the host may be asked again."""
        if isinstance(found, BaseException):
            raise found
        wait = self._page(job.page, found) if job.page else self._policy(job.origin, found)
        policy, _ = self.policies.get(job.origin, (Policy(), 0.0))
        self.free[job.host] = self.clock.now() + max(self.rules.delay, policy.delay, wait)
        del self.busy[job.host]  # not before its time is known: its own links would queue it
        self._queue([job.host])

    def _policy(self, origin: str, found: Policy | Busy) -> float:
        """Keep what robots.txt says; gives the seconds to wait."""
        if isinstance(found, Busy):
            tries = self.tries[origin] = self.tries.get(origin, 0) + 1
            if tries <= TRIES and (wait := waiting(found.answer, tries - 1)) <= LONGEST:
                return wait
            found = Policy(problem=f"http_{found.answer.status}")
        self.tries.pop(origin, None)
        if found.problem and origin in self.policies:
            found, _ = self.policies[origin]  # yesterday's rules hold on
        self.policies[origin] = (found, self.clock.now())
        return 0.0

    def _page(self, page: Page, found: Outcome) -> float:
        """Write what became of a page; gives the seconds to wait."""
        if found.status == BUSY_HOST:
            if page.tries < TRIES and found.wait <= LONGEST:
                self.state.later(page)
                return found.wait
            self.state.finish(page, FAILED, found.reason)
        elif found.status == REDIRECTED:
            self._redirect(page, found.target)
        elif found.status == FETCHED:
            self._keep(page, found)
        else:
            self._queue(self.state.finish(page, found.status, found.reason, self._links(page, found)))
        return 0.0

    def _links(self, page: Page, found: Outcome) -> list[Link]:
        if not self.rules.sites or page.depth >= self.rules.depth:
            return []
        return [Link(link, page.depth + 1) for link in found.links if self.rules.follows(link)]

    def _redirect(self, page: Page, target: str) -> None:
        if target == page.address or self.state.redirects_to(target, page.address):
            self.state.finish(page, FAILED, "redirect_loop")
        elif page.hops >= HOPS:
            self.state.finish(page, FAILED, "too_many_redirects")
        elif not self.rules.follows(target):
            self.state.finish(page, SKIPPED, "redirect_out_of_the_site")
        else:
            link = Link(target, page.depth, page.hops + 1)
            self._queue(self.state.finish(page, REDIRECTED, target, [link]) | {host_of(target)})

    def _keep(self, page: Page, found: Outcome) -> None:
        """Write the record, then say so. The same bytes as before are no new record."""
        assert found.answer is not None
        known, links = digest(found.answer.body), self._links(page, found)
        if known == page.digest:
            self._queue(self.state.finish(page, UNCHANGED, "", links))
            return
        kept = Kept(
            self.writer.append(page.address, found.answer), known,
            found.answer.header("etag"), found.answer.header("last-modified"),
        )  # fmt: skip
        self._queue(self.state.finish(page, FETCHED, "", links, kept))
