"""Private data in a batch of texts: patterns where their seeds stand, then names and addresses around them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter

import numpy as np

from luthier.core import plugins
from luthier.corpus.privacy import Pattern, Span, chinese, english
from luthier.corpus.privacy.classifier import classifier
from luthier.corpus.privacy.seeds import Places, places, windows
from luthier.corpus.texts import Texts

SHAPED = ("PHONE", "EMAIL", "ID", "CARD", "IP", "KEY", "QQ", "WECHAT", "PLATE", "PASSPORT")
WRITTEN = frozenset({"PERSON", "ADDRESS"})
KINDS = (*SHAPED, "PERSON", "ADDRESS")


@cache
def patterns() -> tuple[Pattern, ...]:
    """Of all kinds that have a shape."""
    found = plugins.members("private").values()
    return tuple(pattern for member in found for pattern in member.load("PATTERNS"))


def shaped(texts: Texts, strings: Sequence[str], kinds: frozenset[str]) -> dict[int, list[Span]]:
    """What the patterns of some kinds find, by the number of the text; overlapping spans as they are found."""
    chosen = [pattern for pattern in patterns() if pattern.kind in kinds]
    words = sorted({seed for pattern in chosen for seed in pattern.seeds if not seed.startswith("<")})
    stands = places(texts, words)
    of = [_merged(stands, pattern.seeds) for pattern in chosen]
    out: dict[int, list[Span]] = {}
    for pattern, hits in zip(chosen, of, strict=True):
        owners = np.searchsorted(texts.bounds, hits, "right") - 1
        for number, own in groupby(zip(owners.tolist(), hits.tolist(), strict=True), itemgetter(0)):
            low, high = int(texts.bounds[number]), int(texts.bounds[number + 1])
            text = strings[number]
            for begin, end in windows([hit - low for _, hit in own], pattern.before, pattern.after):
                if spans := list(_matches(pattern, text, begin, min(end, high - low))):
                    out.setdefault(number, []).extend(spans)
    return out


def _merged(stands: Mapping[str, Places], seeds: Sequence[str]) -> Places:
    return np.unique(np.concatenate([np.zeros(0, np.int64), *(stands[seed] for seed in seeds if seed in stands)]))


def _matches(pattern: Pattern, text: str, begin: int, end: int) -> Iterable[Span]:
    """Matches that begin in a stretch of the text."""
    at = begin
    while at < end and (found := pattern.expression.search(text, at, end + pattern.longest)) and found.start() < end:
        whole = "it" not in pattern.expression.groupindex
        if pattern.valid(found):
            group = 0 if whole else "it"
            yield Span(found.start(group), found.end(group), pattern.kind, pattern.certain)
            at = max(found.end(), at + 1)
        else:
            at = found.start() + 1


def apart(spans: Iterable[Span]) -> list[Span]:
    """Of spans that overlap the more certain one, then the longer one; in their order."""
    taken: list[Span] = []  # in their order
    for span in sorted(spans, key=lambda one: (-one.certain, one.start - one.end, one.start)):
        at = bisect_left(taken, span)
        free = (not at or taken[at - 1].end <= span.start) and (at == len(taken) or span.end <= taken[at].start)
        if span.end > span.start and free:
            taken.insert(at, span)
    return taken


def found_in(texts: Texts, strings: Sequence[str], kinds: frozenset[str], model: str = "") -> dict[int, list[Span]]:
    """Private data of a batch by the number of the text, spans apart and in their order.

    strings: the same texts. model: a folder of a token classifier, in place of what finds names and addresses here.
    """
    out = shaped(texts, strings, kinds - WRITTEN)
    if wanted := kinds & WRITTEN:
        finders = [classifier(model)] if model else [one.find for one in (chinese, english) if one.installed()]
        for finder in finders:
            for number, spans in enumerate(finder(strings)):
                if own := [span for span in spans if span.kind in wanted]:
                    out.setdefault(number, []).extend(own)
    return {number: apart(spans) for number, spans in sorted(out.items())}


def lacking(kinds: frozenset[str]) -> list[str]:
    """What stays of these kinds because nothing is installed that finds it, with the command that installs it."""
    if not kinds & WRITTEN:
        return []
    extras = {chinese: ("Chinese", "privacy"), english: ("English", "privacy-en")}
    return [f"{language} names and addresses stay: pip install 'luthier[{extra}]'"
            for module, (language, extra) in extras.items() if not module.installed()]  # fmt: skip


def installed() -> list[str]:
    """What finds names and addresses here, with its version: outcomes hang on it."""
    from importlib.metadata import version

    return [f"{module.PACKAGE} {version(module.PACKAGE.replace('_', '-'))}"
            for module in (chinese, english) if module.installed()]  # fmt: skip
