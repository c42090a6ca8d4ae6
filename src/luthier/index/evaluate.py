"""How well an index finds: recall@k, reciprocal rank and nDCG@10 of questions whose source is known.

Computed by trec_eval (the `pytrec_eval` library), on files: a file's rank is that of its best passage. Intervals by the
bootstrap over questions; the differences between the searches are paired. Source: Voorhees & Harman 2005; Järvelin &
Kekäläinen 2002.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from luthier.errors import LuthierError
from luthier.index.search import Searcher

if TYPE_CHECKING:
    from luthier.compare.stats import Interval

SEARCHES = ("vector", "text", "fused")
MEASURES = {"recall_1": "recall@1", "recall_5": "recall@5", "recall_10": "recall@10", "recip_rank": "MRR",
            "ndcg_cut_10": "nDCG@10"}  # fmt: skip
ASKED = {"recall.1,5,10", "recip_rank", "ndcg_cut.10"}
PASSAGES = 50  # looked at for each question


@dataclass(frozen=True)
class Question:
    """A question and the files that hold its answer."""

    text: str
    sources: tuple[str, ...]


def read_questions(path: Path) -> list[Question]:
    """JSON Lines of {question, source}; source is a file's name, or several. Raises LuthierError, naming the line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LuthierError(f"{path}: the questions cannot be read: {error}") from None
    out = [_question(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not out:
        raise LuthierError(f"{path}: no question is in it")
    return out


def _question(line: str, where: str) -> Question:
    try:
        row = json.loads(line)
        text, source = row["question"], row["source"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LuthierError(f'{where}: write {{"question": "…", "source": "file"}}') from None
    sources = source if isinstance(source, list) else [source]
    if not (isinstance(text, str) and text.strip() and sources and all(isinstance(s, str) and s for s in sources)):
        raise LuthierError(f"{where}: question must be a text, source a file's name or a list of names")
    return Question(text, tuple(sources))


def handbook() -> list[Question]:
    """The bundled questions, English and Chinese, on the documents of the embedded set `handbook`."""
    from luthier.data import embedded

    found = embedded.find("handbook")
    assert found is not None
    return read_questions(found.paths[0])


def resolved(questions: Sequence[Question], files: Sequence[str]) -> list[Question]:
    """The questions with their sources as the index names them: whole, or the end of a path.

    Raises LuthierError where a source is in no file of the index, or could be several.
    """
    out = []
    for question in questions:
        names = []
        for source in question.sources:
            found = [f for f in files if f == source] or [f for f in files if f.endswith("/" + source)]
            if len(found) != 1:
                why = f"could be {', '.join(found[:3])}" if found else "is not in the index"
                raise LuthierError(f"source {source} of {question.text[:60]!r} {why}")
            names += found
        out.append(Question(question.text, tuple(names)))
    return out


def evaluate(
    searcher: Searcher, questions: Sequence[Question], say: Callable[[int, int], None] | None = None
) -> dict[str, dict[str, list[float]]]:
    """Search -> measure -> one number a question, in their order."""
    import pytrec_eval

    searcher.embedder.queries([q.text for q in questions])
    wanted = {str(i): dict.fromkeys(q.sources, 1) for i, q in enumerate(questions)}
    judge = pytrec_eval.RelevanceEvaluator(wanted, ASKED)
    out: dict[str, dict[str, list[float]]] = {}
    for by in SEARCHES:
        ranked: dict[str, dict[str, float]] = {}
        for i, question in enumerate(questions):
            files = dict.fromkeys(h.chunk.file for h in searcher.search(question.text, PASSAGES, by=by))
            ranked[str(i)] = {file: 1 / rank for rank, file in enumerate(files, 1)}
            if say:
                say(len(out) * len(questions) + i + 1, len(SEARCHES) * len(questions))
        scores = judge.evaluate(ranked)
        rows = [scores.get(str(i), {}) for i in range(len(questions))]  # left out where nothing was found
        out[by] = {name: [float(row.get(key, 0.0)) for row in rows] for key, name in MEASURES.items()}
    return out


def intervals(scores: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, dict[str, Interval]]:
    """Search -> measure -> mean with its 95 % interval."""
    from luthier.compare.stats import Bootstrap

    out: dict[str, dict[str, Interval]] = {by: {} for by in scores}
    for name in MEASURES.values():
        boot = Bootstrap({by: [list(rows[name])] for by, rows in scores.items()})
        for by in scores:
            out[by][name] = boot.score(by)
    return out
