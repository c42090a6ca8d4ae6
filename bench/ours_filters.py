"""Luthier's rules on the documents of WORK/documents.jsonl, one process: our side of bench/corpus_filters_vs_datatrove.

ours_filters.py WORK
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

import measure
from luthier.corpus.rules import RuleSet, preset
from luthier.corpus.stages.filter import judge
from luthier.version import __version__

GOPHER = preset("gopher").rules
SETS = {
    "gopher quality": RuleSet("", (), GOPHER[13:]),
    "gopher repetition": RuleSet("", (), GOPHER[:13]),
    "c4": preset("c4"),
    "fineweb": RuleSet("", (), tuple(r for r in preset("fineweb").rules[-4:])),
}


def main(work: Path) -> None:
    """Run each set of rules over all documents; the first ones warm up, which compiles what is not compiled yet."""
    texts = [json.loads(line)["text"] for line in (work / "documents.jsonl").read_text(encoding="utf-8").splitlines()]
    size = sum(len(text.encode()) for text in texts) / 1e6
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    watch = measure.Watch()
    watch.start()
    found = {}
    for name, rules in SETS.items():
        judge(rules, column.slice(0, 2))
        begun = time.perf_counter()
        decided = judge(rules, column)
        seconds = time.perf_counter() - begun
        found[name] = {"seconds": seconds, "mb_per_second": size / seconds, "reasons": decided.reason.tolist()}
    watch.stop()
    figures = {"filters": found, "peak_bytes": measure.peak_bytes(), "others": watch.others}
    versions = {"luthier": __version__, **{name: version(name) for name in ("numba", "pyarrow", "numpy")}}
    print(json.dumps(figures | {"versions": versions}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
