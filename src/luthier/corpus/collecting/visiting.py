"""What becomes of one page: the request, and what its answer means. Runs in a thread of its own; touches no state.

200 of a type that is kept -> fetched, with links     304 -> unchanged     3xx -> redirected, with the target
429, 503 -> busy, with the seconds to wait            anything else -> failed or skipped, with the reason
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from luthier.corpus.collecting import links as page_links
from luthier.corpus.collecting.addresses import BadAddressError, normal
from luthier.corpus.collecting.links import Asks
from luthier.corpus.collecting.requesting import Answer, Limits, Unfetched, fetch
from luthier.corpus.collecting.robots import BUSY, REDIRECTS
from luthier.corpus.collecting.state import FAILED, FETCHED, REDIRECTED, SKIPPED, UNCHANGED, Page

HTML = ("text/html", "application/xhtml+xml")
TYPES = frozenset((*HTML, "text/plain", "application/pdf"))
BUSY_HOST = "busy"
BACKOFF = 2.0  # seconds, doubled at each try, where the host names no time


@dataclass(frozen=True)
class Outcome:
    """status: as of the state, or busy. links: found in the page. target: of a redirect. wait: seconds."""

    status: str
    reason: str = ""
    answer: Answer | None = None
    links: list[str] = field(default_factory=list)
    target: str = ""
    wait: float = 0.0


def visit(page: Page, headers: Mapping[str, str], limits: Limits) -> Outcome:
    """Ask for a page; what was kept of it before makes the request conditional."""
    sent = dict(headers)
    if page.digest:
        sent |= {"If-None-Match": page.etag} if page.etag else {}
        sent |= {"If-Modified-Since": page.modified} if page.modified else {}
    try:
        answer = fetch(page.address, sent, limits, TYPES)
    except Unfetched as error:
        return Outcome(SKIPPED if error.skipped else FAILED, error.reason)
    if answer.status == 200:
        return _page(page, answer)
    if answer.status == 304 and page.digest:
        return Outcome(UNCHANGED)
    if answer.status in REDIRECTS:
        return _redirect(page, answer)
    if answer.status in BUSY:
        return Outcome(BUSY_HOST, f"http_{answer.status}", wait=waiting(answer, page.tries))
    return Outcome(FAILED, f"http_{answer.status}")


def _page(page: Page, answer: Answer) -> Outcome:
    if answer.type not in TYPES:
        return Outcome(SKIPPED, f"type {re.sub('[^a-z0-9.+/-]', '', answer.type)[:60] or 'unknown'}")
    asks, links = Asks.of(answer.header("x-robots-tag")), list[str]()
    if answer.type in HTML:
        links, inner = page_links.look(answer.body, answer.header("content-type"), page.address)
        asks = asks.plus(inner)
    found = Outcome(FETCHED, answer=answer, links=[] if asks.nofollow else links)
    return replace(found, status=SKIPPED, reason="noindex") if asks.noindex else found


def _redirect(page: Page, answer: Answer) -> Outcome:
    if not (location := answer.header("location")):
        return Outcome(FAILED, "redirect_to_nowhere")
    try:
        return Outcome(REDIRECTED, target=normal(location, page.address))
    except BadAddressError:
        return Outcome(FAILED, "redirect_to_no_web_page")


def waiting(answer: Answer, tries: int) -> float:
    """Seconds that a host asks us to wait (Retry-After, as a number or a date), or longer each time."""
    said = answer.header("retry-after").strip()
    if said.isdecimal():
        return float(said[:9])
    try:
        until = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return BACKOFF * 2.0**tries
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
