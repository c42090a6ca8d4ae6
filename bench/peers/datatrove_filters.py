"""datatrove's filters on the documents of WORK/documents.jsonl, one process, as its pipeline calls them.

    datatrove_filters.py WORK

Prints what each filter decides of each document, and its MB/s. English words are cut by spaCy, as it comes.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

sys.path.insert(0, str(Path(__file__).parents[1]))
import measure


def main(work: Path) -> None:
    """Run each filter over all documents, the first one of each to warm up."""
    texts = [json.loads(line)["text"] for line in (work / "documents.jsonl").read_text(encoding="utf-8").splitlines()]
    size = sum(len(text.encode()) for text in texts) / 1e6
    filters: dict[str, Any] = {
        "gopher quality": GopherQualityFilter(), "gopher repetition": GopherRepetitionFilter(),
        "c4": C4QualityFilter(), "fineweb": FineWebQualityFilter(char_duplicates_ratio=0.1),
    }  # fmt: skip
    watch = measure.Watch()
    watch.start()
    found = {}
    for name, one in filters.items():
        one.filter(Document(text=texts[0], id="0"))
        documents = [Document(text=text, id=str(at)) for at, text in enumerate(texts)]
        begun = time.perf_counter()
        decided = [one.filter(document) for document in documents]
        seconds = time.perf_counter() - begun
        reasons = ["" if d is True else d[1] if isinstance(d, tuple) else "dropped" for d in decided]
        found[name] = {"seconds": seconds, "mb_per_second": size / seconds, "reasons": reasons}
    watch.stop()
    figures = {"filters": found, "peak_bytes": measure.peak_bytes(), "others": watch.others}
    print(json.dumps(figures | {"versions": {name: version(name) for name in ("datatrove", "spacy")}}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
