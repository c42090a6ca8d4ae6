"""Labels that people write in several ways: names that differ only in case, width or space are told."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

from luthier.core.phrases import say
from luthier.core.records import Labelled, Record, Tagged
from luthier.data.source import quoted

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
    out: list[str] = []
    for group in several[:_SHOWN]:
        named = ", ".join(f"{quoted([label])} ({counts[label]})" for label in group)
        out.append(say("said_file_labels", labels=named))
    if several:
        joined = [f"{each}={group[0]}" for group in several for each in group[1:]]
        alone = [f"{group[0]}={group[0]}" for group in groups.values() if group not in several]
        plain = not any(set(",=") & set(label) for label in counts)
        listed = len(counts) <= _FEW and plain
        way = f"--labels {','.join([*joined, *alone])}" if listed else say("said_write_alike")
        out.append(say("said_file_labels_option", option=way))
    return out
