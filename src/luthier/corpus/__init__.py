"""From files, sites and dumps to clean text, and what happened on the way.

    files, sites, dumps --collect--> files --read--> documents --filter--> --dedup--> kept/
                                                                  \\           \\----> dropped/ (with reasons)
                                                                   \\--------------> funnel.json, report.html

- `documents`: what a document is: a row of a table (id, text, source, path, kind, language, licence, …).
- `reading/`: one file a kind (text, html, pdf, docx, jsonl, parquet, …): files -> documents.
- `texts`: a batch of texts as one array of characters; words, lines, sentences are ranges of it, found once.
- `kernels/`: what walks over these arrays, compiled (Numba); nothing in signals, rules and deduplication loops over
  documents in Python.
- `signals/`: every statistic is a column, computed once and kept.
- `rules`, `presets/`: a short YAML over columns: drop, cut or mask documents, paragraphs, lines, sentences.
- `dedup/`: within a text, exact, near, long substrings, across runs.
- `passages`, `test_sets`: rows of test sets in other texts.
- `privacy/`: private data, and placeholders in its place.
- `tokenizers/`, `mixing/`: from clean text to one stream of tokens.
- `data_juicer`: recipes of another tool.
- `stage`: how any of these runs over shards: each shard's outcome is a file that is whole or absent, so that a killed
  run goes on and gives the same shards.
- `recipe`, `funnel`: stages in a row, reused by content; in = kept + dropped, to the document.
"""

from __future__ import annotations

from importlib.util import find_spec

from luthier.core.errors import LuthierError

NEEDED = ("pyarrow", "numba", "scipy")


def check_installed(*more: str, extra: str = "corpus") -> None:
    """Raise LuthierError with the command that installs what is missing. extra: that brings what more is needed."""
    if missing := [name for name in (*NEEDED, *more) if find_spec(name) is None]:
        raise LuthierError(f"corpus: needs {', '.join(missing)}: pip install 'luthier[{extra}]'")
