"""Near duplicates by MinHash from files to files: Luthier against datatrove and text-dedup, one process each.

    make bench NAME=dedup_vs_datatrove
    python bench/dedup_vs_datatrove.py --rounds 1 --megabytes 2      (a try, nothing is written)

112 hashes of 5-grams in 14 bands of 8 on every side. Documents are real ones and copies of them in which more and more
words are another's (`corpus_texts`). Start-up (importing, loading, compiling, two documents) is shown apart. Two
ratios: of all from files to files, and of the signatures, their bands and the clusters without the reading and writing
of documents (datatrove's first three steps, which read; text-dedup's own clock for hashing and clustering). What
Luthier's bands find is held against the Jaccard similarity of every two documents of one origin, by brute force over
the same words: of pairs of similarity s a share of 1 - (1 - s^8)^14. The last line is the smallest of the
second ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np

import corpus_texts
import peer

GOAL = 10.0
PEERS = {"datatrove": ("datatrove", "datatrove_dedup.py"), "text-dedup": ("text_dedup", "text_dedup_run.py")}
EDGES = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=20)
    given = corpus_texts.asked(parser)
    pythons = {name: peer.environment(made) for name, (made, _) in PEERS.items()}
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="dedup-") as name:
        work = Path(name)
        (work / "input").mkdir()
        families = corpus_texts.write(given.data, work / "input" / "documents.jsonl", round(given.megabytes * 1e6))
        corpus_texts.few(work)
        size = (work / "input" / "documents.jsonl").stat().st_size / 1e6
        print(f"{len(families)} documents, {size:.1f} MB")
        ours: list[str | Path] = [sys.executable, peer.HERE / "ours_corpus.py", work, json.dumps(["near"])]
        sides = {"luthier": lambda: peer.side(ours, 1)} | {
            name: lambda name=name, script=script: peer.side([pythons[name], peer.HERE / "peers" / script, work], 1)
            for name, (_, script) in PEERS.items()
        }
        found = peer.rounds(sides, given.rounds, lambda f: corpus_texts.line(f, size))
        checked = by_brute_force(work / "input" / "documents.jsonl", families)
    report(found, checked, len(families), size, written=given.rounds == 3 and given.megabytes == 20)


def by_brute_force(path: Path, families: list[int]) -> list[dict[str, Any]]:
    """Of every two documents of one origin how alike they are (Jaccard), and whether a band is equal; by similarity."""
    import pyarrow as pa

    from luthier.corpus.kernels import minhash
    from luthier.corpus.kernels.repeats import grams
    from luthier.corpus.stages.near import Near
    from luthier.corpus.texts import Texts, batches

    stage = Near()
    column = pa.chunked_array([pa.array([json.loads(row)["text"] for row in path.open(encoding="utf-8")])])
    sets: list[set[int]] = []
    for batch in batches(column):
        texts = Texts(batch)
        words, hashes = texts.bare
        first = words.first
        for at in range(len(texts)):
            held = np.empty(max(int(first[at + 1] - first[at]), 1), np.uint64)
            count = grams(hashes, first[at], first[at + 1], stage.ngram, held)
            sets.append(set(held[:count].tolist()))
    table = pa.table({"text": column})
    keys = minhash.bands(stage.look(table)["signatures"], stage.hashes // stage.bands)
    like, hit = [], []
    groups: dict[int, list[int]] = {}
    for at, family in enumerate(families):
        groups.setdefault(family, []).append(at)
    for members in groups.values():
        for a, b in combinations(members, 2):
            like.append(len(sets[a] & sets[b]) / max(len(sets[a] | sets[b]), 1))
            hit.append(bool((keys[a] == keys[b]).any()))
    s, found = np.array(like), np.array(hit)
    expected = 1 - (1 - s**8) ** 14
    out = []
    for low, high in pairwise(EDGES):
        these = (s >= low) & (s < high)
        if these.any():
            out.append({"from": low, "to": min(high, 1.0), "pairs": int(these.sum()),
                        "found": float(found[these].mean()), "theory": float(expected[these].mean())})  # fmt: skip
    return out


def report(found: dict[str, list[peer.Figures]], checked: list[dict[str, Any]], documents: int, size: float,
           written: bool) -> None:  # fmt: skip
    """Print ratios and the check, and write the file."""
    seconds = {of: {name: peer.middle(runs, of) for name, runs in found.items()} for of in ("seconds", "steps")}
    whole, ratios = ({name: of[name] / of["luthier"] for name in PEERS} for of in seconds.values())
    ours = set(found["luthier"][0]["kept"])
    alike = {name: 1 - len(ours ^ set(found[name][0]["kept"])) / documents for name in PEERS}
    for name, ratio in ratios.items():
        kept = f"{len(found[name][0]['kept'])} kept to our {len(ours)}"
        print(f"{name}: {ratio:.1f} times as fast, {whole[name]:.1f} from files to files; {kept}")
    for one in checked:
        print(f"  similarity {one['from']:.1f} to {one['to']:.1f}: {one['pairs']} pairs, found {one['found']:.3f}, "
              f"by theory {one['theory']:.3f}")  # fmt: skip
    runs = {name: [{key: f[key] for key in ("seconds", "steps", "start", "peak_bytes")} | {"kept": len(f["kept"])}
                   for f in figures] for name, figures in found.items()}  # fmt: skip
    result = {
        "documents": documents, "megabytes": size, "workers": 1, "ratios": ratios,
        "ratios from files to files": whole, "goal": GOAL,
        "same documents kept": alike, "pairs by brute force": checked, "runs": runs,
        "versions": {k: v for figures in found.values() for k, v in figures[0]["versions"].items()},
    }  # fmt: skip
    if written:
        peer.save("dedup_vs_datatrove", result)
    print(f"ratio {min(ratios.values()):.2f}")


if __name__ == "__main__":
    main()
