"""How well an index finds: recall@k, reciprocal rank and nDCG@10 of questions whose source is known.

Computed by trec_eval (the `pytrec_eval` library), on files: a file's rank is that of its best passage. Intervals by the
bootstrap over questions; the differences between the searches are paired. Source: Voorhees & Harman 2005; Järvelin &
Kekäläinen 2002.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from luthier.core.errors import LuthierError
from luthier.index.questions import Question
from luthier.index.search import Searcher

if TYPE_CHECKING:
    from luthier.evals.bootstrap import Interval

SEARCHES = ("vector", "text", "fused")
MEASURES = {"recall_1": "recall@1", "recall_5": "recall@5", "recall_10": "recall@10", "recip_rank": "MRR",
            "ndcg_cut_10": "nDCG@10"}  # fmt: skip
ASKED = {"recall.1,5,10", "recip_rank", "ndcg_cut.10"}
PASSAGES = 50  # looked at for each question


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
    from luthier.evals.bootstrap import Bootstrap

    out: dict[str, dict[str, Interval]] = {by: {} for by in scores}
    for name in MEASURES.values():
        boot = Bootstrap({by: [list(rows[name])] for by, rows in scores.items()})
        for by in scores:
            out[by][name] = boot.score(by)
    return out
