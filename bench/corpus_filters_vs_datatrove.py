"""Gopher's, C4's and FineWeb's rules: Luthier against datatrove, the same documents and thresholds, a process each.

    make bench NAME=corpus_filters_vs_datatrove
    python bench/corpus_filters_vs_datatrove.py --rounds 1 --documents 60      (a try, nothing is written)

Documents are ../shared/data/c4_300.jsonl and the articles of wiki_30.txt. datatrove filters one document at a time;
Luthier a batch. Both on one core. Decisions are compared document by document, and those that differ are listed with
both reasons. The last line is the smallest of the four ratios of MB/s.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median

import corpus_texts
import peer

GOAL, EQUAL = 10.0, 0.98


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--documents", type=int)
    given = corpus_texts.asked(parser)
    python, script = peer.environment("datatrove"), peer.HERE / "peers" / "datatrove_filters.py"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="filters-") as name:
        work = Path(name)
        texts = corpus_texts.originals(given.data)[: given.documents]
        (work / "documents.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), "utf-8")
        sides = {
            "luthier": lambda: peer.side([sys.executable, peer.HERE / "ours_filters.py", work], 1),
            "datatrove": lambda: peer.side([python, script, work], 1),
        }
        found = peer.rounds(sides, given.rounds, line)
    report(found, len(texts), written=given.rounds == 3 and given.documents is None)


def report(found: dict[str, list[peer.Figures]], documents: int, written: bool) -> None:
    """Print ratios and differences, and write the file."""
    ratios, equal, apart = {}, {}, {}
    for name in found["luthier"][0]["filters"]:
        speed = {side: median(f["filters"][name]["mb_per_second"] for f in runs) for side, runs in found.items()}
        ours, theirs = (found[side][0]["filters"][name]["reasons"] for side in ("luthier", "datatrove"))
        pairs = Counter((a or "kept", b or "kept") for a, b in zip(ours, theirs, strict=True) if bool(a) != bool(b))
        ratios[name] = speed["luthier"] / speed["datatrove"]
        equal[name] = 1 - sum(pairs.values()) / documents
        apart[name] = {f"{a} / {b}": count for (a, b), count in pairs.most_common()}
        told = f"{speed['luthier']:.2f} against {speed['datatrove']:.2f} MB/s, {ratios[name]:.1f} times"
        print(f"{name}: {told}, {100 * equal[name]:.1f} % of decisions equal; ours / theirs: {apart[name] or 'none'}")
    rates = {
        side: [{name: x["mb_per_second"] for name, x in f["filters"].items()} for f in runs]
        for side, runs in found.items()
    }
    result = {
        "documents": documents,
        "workers": 1,
        "versions": found["luthier"][0]["versions"] | found["datatrove"][0]["versions"],
        "ratios": ratios,
        "equal decisions": equal,
        "decisions that differ, ours / theirs": apart,
        "goal": [GOAL, EQUAL],
        "runs": rates,
    }
    if written:
        peer.save("corpus_filters_vs_datatrove", result)
    print(f"ratio {min(ratios.values()):.2f}")


def line(figures: peer.Figures) -> str:
    """What a run is about, in a line."""
    return ", ".join(f"{name} {found['mb_per_second']:.2f} MB/s" for name, found in figures["filters"].items())


if __name__ == "__main__":
    main()
