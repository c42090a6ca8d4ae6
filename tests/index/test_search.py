"""Both searches, their fusion, filters, and what is measured of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashed import Hashed
from luthier.core.errors import LuthierError
from luthier.index.build import build, opened
from luthier.index.chunks import Chunking
from luthier.index.evaluate import evaluate, intervals, resolved
from luthier.index.questions import Question, read_questions
from luthier.index.records import Chunk
from luthier.index.search import Searcher, fused
from luthier.index.threshold import MEASURED, lift

TEXTS = {
    "leave.md": "# 年假\n入职满五年，年假十五天。",
    "bows.md": "# 琴弓\n琴弓每年换一次弓毛，学生半价。",
    "cats.txt": "The cat of the shop is called Gusset. She sleeps in the window.",
    "post.txt": "Parcels leave on Tuesdays. Violins travel in double boxes.",
}


@pytest.fixture
def searcher(model: Hashed) -> Searcher:
    folder = Path("docs")
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    rows = [{"text": "Opening hours are nine to five.", "team": "hr"}, {"text": "Opening at ten.", "team": "shop"}]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    build([folder], "at", Chunking(60, 10))
    return Searcher(*opened("at"))


def files(searcher: Searcher, query: str, **options: Any) -> list[str]:
    return [hit.chunk.file.removeprefix("docs/") for hit in searcher.search(query, **options)]


WORDS = [("弓", "bows.md"), ("年假", "leave.md"), ("弓毛", "bows.md"), ("假", "leave.md"), ("十五天", "leave.md"),
         ("gusset", "cats.txt"), ("a PARCEL", "post.txt")]  # fmt: skip


@pytest.mark.parametrize(("query", "file"), WORDS)
def test_words_are_found(searcher: Searcher, query: str, file: str) -> None:
    """One and two Chinese characters, English in any form. Seen failing with LanceDB's `simple` words."""
    assert files(searcher, query, by="text")[0] == file


def test_vectors_are_those_of_brute_force(searcher: Searcher) -> None:
    """Seen failing with the distance in the place of the similarity."""
    rows = searcher.store.table.to_arrow().to_pylist()
    query = searcher.embedder.queries(["Where do violins go?"])[0]
    lifts = {"han": lift(searcher.embedder, "Where do violins go?")}
    near = [(float(np.dot(row["vector"], query)), lifts.get(row["script"], 0.0), row["id"]) for row in rows]
    want = sorted(near, key=lambda each: -each[0] - each[1])
    found = searcher.search("Where do violins go?", len(rows), by="vector")
    assert [hit.chunk.id for hit in found] == [id_ for _, _, id_ in want]
    assert np.allclose([hit.similarity for hit in found], [value for value, _, _ in want], atol=1e-5)


def test_passages_in_another_script_are_not_crowded_out(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what they lack for their script alone, and however many of one's own there are. Their similarity stays what it
    is. Seen failing with the nearest of all, among which there is none of the other script."""
    nearest = searcher.store.nearest
    monkeypatch.setattr(searcher.store, "nearest", lambda vector, count, where=None: nearest(vector, 2, where))
    monkeypatch.setitem(MEASURED, "hashed", {"han": 0.9, "": 0.9, "han, crossed": 0.1, ", crossed": 0.1})
    found = searcher.search("Gusset cat parcel", 2, by="vector")
    assert {hit.chunk.file for hit in found} == {"docs/leave.md", "docs/bows.md"}
    assert all(hit.similarity < 0.5 for hit in found)
    monkeypatch.setitem(MEASURED, "hashed", {"han": 0.9, "": 0.9, "han, crossed": 0.9, ", crossed": 0.9})
    assert searcher.search("Gusset cat parcel", 2, by="vector")[0].chunk.file == "docs/cats.txt"


def test_similarity_is_known_of_what_words_alone_found(searcher: Searcher) -> None:
    (hit, *_) = searcher.search("Gusset", by="text")
    (same,) = [h for h in searcher.search("Gusset", 20, by="vector") if h.chunk.id == hit.chunk.id]
    assert hit.similarity == pytest.approx(same.similarity, abs=1e-5) and hit.vector_rank is None


def test_filters(searcher: Searcher) -> None:
    """A filter comes before the ranks: seen failing with one that was applied to the best."""
    assert set(files(searcher, "年假 cat", where="kind = 'txt'")) == {"cats.txt", "post.txt"}
    assert set(files(searcher, "cat", where="script = 'han'")) == {"leave.md", "bows.md"}
    found = searcher.search("opening", where="array_has(tags, 'team=shop')")
    assert [hit.chunk.text for hit in found] == ["Opening at ten."] and found[0].chunk.section == "line 2"
    assert files(searcher, "cat", where="file like 'docs/p%'") == ["post.txt"]
    for junk in ("kind = 'md' nad file = 'a'", "kind = 'md'; drop table chunks"):  # seen failing: the rest was ignored
        with pytest.raises(LuthierError, match="--where kind"):
            searcher.search("cat", where=junk)


@pytest.mark.parametrize("query", ["", " ", "?!", '"', "a AND (b", "x" * 5000, "\0", "'; drop table", "\ud800"])
def test_any_text_can_be_asked(searcher: Searcher, query: str) -> None:
    searcher.search(query)


def chunk(name: str) -> Chunk:
    return Chunk(name, 0, "", "", 0, 1, name)


def test_fusion_by_hand() -> None:
    """a: 0.7 · 1, b: 0.7 · 0.75 + 0.3 · 1, c: 0.3 · 3/7, d: 0. Seen failing with the similarity's own zero."""
    near = [(chunk("a"), 0.9), (chunk("b"), 0.8), (chunk("d"), 0.5)]
    worded = [(chunk("b"), 7.0), (chunk("c"), 3.0)]
    found = fused(near, worded)
    assert [hit.chunk.file for hit in found] == ["b", "a", "c", "d"]
    assert [hit.score for hit in found] == pytest.approx([0.825, 0.7, 0.9 / 7, 0])
    ranks = [(h.vector_rank, h.text_rank, h.text_score) for h in found]
    assert ranks == [(2, 1, 7.0), (1, None, 0.0), (None, 2, 3.0), (3, None, 0.0)]
    assert math.isnan(found[2].similarity)


def test_one_list_alone_or_of_equals() -> None:
    one, same = [(chunk("a"), 0.4)], [(chunk("a"), 2.0), (chunk("b"), 2.0)]
    assert [hit.score for hit in fused(one, [])] == [0.7] and fused([], []) == []
    assert [hit.score for hit in fused([], same)] == pytest.approx([0.3, 0.3])
    assert [hit.score for hit in fused(same, [])] == [0.7, 0.7]


def test_measures_are_those_of_brute_force(searcher: Searcher) -> None:
    """Worked out from the ranks of files. Seen failing with passages ranked in the place of files."""
    questions = [
        Question("弓毛 每年", ("docs/bows.md",)),
        Question("cat sleeps", ("docs/post.txt",)),
        Question("opening violins", ("docs/rows.jsonl", "docs/post.txt")),
        Question("zzz", ("docs/cats.txt",)),
    ]
    found = evaluate(searcher, questions)
    for by, scores in found.items():
        for i, question in enumerate(questions):
            ranked = list(dict.fromkeys(hit.chunk.file for hit in searcher.search(question.text, 50, by=by)))
            ranks = sorted(ranked.index(s) + 1 for s in question.sources if s in ranked)
            ideal = sum(1 / math.log2(r + 1) for r in range(1, len(question.sources) + 1))
            assert scores["MRR"][i] == pytest.approx(1 / ranks[0] if ranks else 0, abs=1e-4)
            gained = sum(1 / math.log2(r + 1) for r in ranks if r <= 10)
            assert scores["nDCG@10"][i] == pytest.approx(gained / ideal, abs=1e-4)
            for k in (1, 5, 10):
                share = sum(r <= k for r in ranks) / len(question.sources)
                assert scores[f"recall@{k}"][i] == pytest.approx(share, abs=1e-4)
    shown = intervals(found)["fused"]["MRR"]
    assert shown.low <= shown.value <= shown.high and shown.value == pytest.approx(np.mean(found["fused"]["MRR"]))
    assert found["text"]["MRR"][3] == 0, "nothing was found by words"


def test_questions_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "a", "source": "x.md"}\n\n{"question": "b", "source": ["y.md", "x.md"]}\n')
    questions = read_questions(path)
    assert questions == [Question("a", ("x.md",)), Question("b", ("y.md", "x.md"))]
    assert resolved(questions, ["d/x.md", "y.md", "d/y.md"])[1].sources == ("y.md", "d/x.md")
    with pytest.raises(LuthierError, match="is not in the index"):
        resolved(questions, ["d/ax.md"])
    with pytest.raises(LuthierError, match=r"could be a/x.md, b/x.md"):
        resolved(questions, ["a/x.md", "b/x.md"])
    for wrong in (
        "{",
        "[]",
        '{"question": "a"}',
        '{"question": " ", "source": "x"}',
        '{"question": "a", "source": []}',
    ):
        path.write_text('{"question": "a", "source": "x.md"}\n' + wrong)
        with pytest.raises(LuthierError, match="line 2"):
            read_questions(path)
