"""Labels that people write in several ways: names that differ only in case, width or space are told."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

from luthier.data.source import quoted
from luthier.protocols import Labelled, Record, Tagged

_FEW = 12  # so many labels are written out as an option
_SHOWN = 5


def alike(records: Sequence[Record]) -> list[str]:
    """A sentence for each group of labels that are one but for case, width and space, with their rows."""
    counts: Counter[str] = Counter()
    for record in records:
        if isinstance(record, Labelled):
            counts[record.label] += 1
        elif isinstance(record, Tagged):
            counts.update(record.tags)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label, _ in counts.most_common():
        groups["".join(unicodedata.normalize("NFKC", label).casefold().split())].append(label)
    several = [group for group in groups.values() if len(group) > 1]
    out = []
    for group in several[:_SHOWN]:
        named = ", ".join(f"{quoted([label])} ({counts[label]})" for label in group)
        out.append(f"labels that differ only in case, width or space count as different: {named}")
    if several:
        joined = [f"{each}={group[0]}" for group in several for each in group[1:]]
        alone = [f"{group[0]}={group[0]}" for group in groups.values() if group not in several]
        plain = not any(set(",=") & set(label) for label in counts)
        way = f"--labels {','.join([*joined, *alone])}" if len(counts) <= _FEW and plain else "write them alike"
        out.append(f"to make them one: {way}")
    return out
