"""Six common operators over at least 50 MB, from file to file: Luthier against Data-Juicer, one process each.

    make bench NAME=corpus_vs_data_juicer
    python bench/corpus_vs_data_juicer.py --rounds 1 --megabytes 2      (a try, nothing is written)

Length, share of letters and digits, mean and longest line, repetition of characters, exact duplicates: the same bounds
on both sides. Start-up is shown apart. The last line is the ratio of MB/s without it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import corpus_texts
import peer

GOAL = 5.0
RULES = [
    {"name": "short", "signal": "characters", "least": 500, "most": 100000},
    {"name": "marks", "signal": "alphanumeric_share", "least": 0.75},
    {"name": "short_lines", "signal": "mean_line_length", "least": 40},
    {"name": "long_line", "signal": "longest_line", "most": 20000},
    {"name": "repetition", "signal": "character_repetition", "most": 0.2},
]
OURS = [{"filter": {"rules": RULES}}, "exact"]
THEIRS = [
    {"text_length_filter": {"min_len": 500, "max_len": 100000}},
    {"alphanumeric_filter": {"tokenization": False, "min_ratio": 0.75}},
    {"average_line_length_filter": {"min_len": 40}},
    {"maximum_line_length_filter": {"min_len": 0, "max_len": 20000}},
    {"character_repetition_filter": {"rep_len": 3, "max_ratio": 0.2}},
    {"document_deduplicator": {}},
]


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=52)
    given = corpus_texts.asked(parser)
    python, script = peer.environment("data_juicer"), peer.HERE / "peers" / "data_juicer_run.py"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="six-") as name:
        work = Path(name)
        (work / "input").mkdir()
        path = work / "input" / "documents.jsonl"
        documents = len(corpus_texts.write(given.data, path, round(given.megabytes * 1e6)))
        corpus_texts.few(work)
        size = path.stat().st_size / 1e6
        print(f"{documents} documents, {size:.1f} MB")
        sides = {
            "luthier": lambda: peer.side([sys.executable, peer.HERE / "ours_corpus.py", work, json.dumps(OURS)], 1),
            "data-juicer": lambda: peer.side([python, script, work, json.dumps(THEIRS)], 1),
        }
        found = peer.rounds(sides, given.rounds, lambda f: corpus_texts.line(f, size))
    report(found, documents, size, written=given.rounds == 3 and given.megabytes == 52)


def report(found: dict[str, list[peer.Figures]], documents: int, size: float, written: bool) -> None:
    """Print the ratio and what is kept by one alone, and write the file."""
    speed = {name: size / peer.middle(runs, "seconds") for name, runs in found.items()}
    ratio = speed["luthier"] / speed["data-juicer"]
    ours, theirs = (set(found[name][0]["kept"]) for name in ("luthier", "data-juicer"))
    print(f"kept: {len(ours)} and {len(theirs)} of {documents}; by Luthier alone {len(ours - theirs)}, by Data-Juicer "
          f"alone {len(theirs - ours)}")  # fmt: skip
    runs = {name: [{key: f[key] for key in ("seconds", "start", "peak_bytes")} for f in figures]
            for name, figures in found.items()}  # fmt: skip
    result = {
        "documents": documents, "megabytes": size, "workers": 1, "operators": THEIRS, "ratio": ratio, "goal": GOAL,
        "kept": {"luthier": len(ours), "data-juicer": len(theirs), "both": len(ours & theirs)}, "runs": runs,
        "versions": found["luthier"][0]["versions"] | found["data-juicer"][0]["versions"],
    }  # fmt: skip
    if written:
        peer.save("corpus_vs_data_juicer", result)
    print(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
