"""robots.txt of an origin (RFC 9309): which of its pages a program may ask for, and how often.

A host that answers 4xx has no rules. One that does not answer, or with 5xx, is left alone. What it says holds for a
day. Matching is Protego's: the longest rule counts, `*` and `$` mean what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from luthier.corpus.collecting.addresses import BadAddressError, normal
from luthier.corpus.collecting.requesting import Answer, Limits, Unfetched, fetch

NAME = "Luthier"  # as robots.txt calls us
DAY = 24 * 3600.0
LARGEST = 512 << 10  # bytes that are read; the rest of a longer file is not
HOPS = 5
BUSY = (429, 503)
REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Policy:
    """rules: None for none. problem: why the origin is left alone, "" where it is not. delay: that it asks for."""

    rules: Any = None
    problem: str = ""
    delay: float = 0.0

    def allows(self, address: str) -> bool:
        """Whether a page may be asked for."""
        return self.rules is None or bool(self.rules.can_fetch(address, NAME))


@dataclass(frozen=True)
class Busy:
    """The host says to come back. answer: with Retry-After."""

    answer: Answer


def ask(origin: str, headers: Mapping[str, str], limits: Limits) -> Policy | Busy:
    """What an origin's robots.txt says now."""
    address = f"{origin}/robots.txt"
    short = Limits(limits.timeout, LARGEST, limits.private)
    for _ in range(HOPS + 1):
        try:
            answer = fetch(address, headers, short, cut=True)
        except Unfetched as error:
            return Policy(problem=error.reason)
        if answer.status in BUSY:
            return Busy(answer)
        if answer.status not in REDIRECTS:
            return _policy(answer)
        try:
            address = normal(answer.header("location"), address)
        except BadAddressError:
            return Policy()
    return Policy()  # a file that nothing leads to is none


def _policy(answer: Answer) -> Policy:
    from protego import Protego

    if answer.status >= 500:
        return Policy(problem=f"http_{answer.status}")
    if answer.status != 200:
        return Policy()
    rules = Protego.parse(answer.body.decode("utf-8-sig", "replace"))
    return Policy(rules, "", float(rules.crawl_delay(NAME) or 0.0))
