"""Answers from documents: a model writes them from the best passages and says which, or the best passage is quoted.

An answer is kept only where a passage supports it, so that a citation can be trusted: what the model wrote beyond the
question's words must stand in the passage. Where the model reads a language too badly (`luthier.index.reading`), or
says what no passage does, the sentences that answer are quoted. Source: Lewis et al. 2020, "Retrieval-Augmented
Generation"; Gao et al. 2023, "Enabling Large Language Models to Generate Text with Citations".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from luthier.core.errors import LuthierError
from luthier.core.records import Sampling
from luthier.data.radicals import written
from luthier.index.grounds import grounded, stance
from luthier.index.reading import reads, worded
from luthier.index.records import Hit
from luthier.index.search import Searcher
from luthier.index.sentences import SENTENCE, Sentence, ranked
from luthier.index.terms import function_words, terms
from luthier.index.threshold import answerable, speaking
from luthier.models.embedding import Embedder

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM
    from luthier.data.prompts import Template

MARK = re.compile(r"\s*[\[［【](\d+)[\]］】]")
NOT_FOUND = re.compile(r"not found|没有找到|未找到", re.IGNORECASE)
SUPPORT = 0.5  # share of what an answer adds to the question that a cited passage must hold
CLOSE = 0.02  # how far behind the best sentence a second one may be


@dataclass(frozen=True)
class Answer:
    """text: with marks such as [1]. sources: the passages, in the order of their numbers. how it came about: written
    by the model, quoted from the passages, or absent (the text is empty). headings: of the quotes, by source."""

    text: str
    sources: tuple[Hit, ...]
    how: Literal["written", "quoted", "absent"]
    headings: tuple[str, ...] = ()


def ask(
    searcher: Searcher, load: Callable[[], WordedLM], question: str, count: int = 4, where: str | None = None,
    room: int = 96, template: Template | None = None, whole: bool = False, tell: Callable[[str], None] | None = None,
) -> Answer:  # fmt: skip
    """An answer with its sources. load: gives the model, if one is needed. count: passages that the model sees.

    room: tokens of the answer. template: a wording of the question for the model; searched is for the question itself.
    whole: quote the passage, not the sentence. tell: told of what takes long.
    """
    question = written(question)
    if not question.strip():
        raise LuthierError("the question is empty")
    hits = searcher.search(question, count, where)
    nearest = searcher.search(question, count, where, by="vector")  # words may have pushed them out of the fused few
    near = [(hit.chunk.passage, hit.similarity) for hit in nearest]
    embedder = searcher.embedder
    if not answerable(embedder, question, near) or not grounded(question, speaking(embedder, question, near)):
        return Answer("", tuple(hits), "absent")
    best = answering(embedder, question, hits)
    if not best:
        return Answer("", tuple(hits), "absent")
    lm = load()
    if not reads(lm, question, tell=tell):
        return quoted(best, whole)
    asked = template.fill(question, ()) if template else question
    (said,) = lm.generate([prompt(lm, asked, hits, room)], Sampling(max_new_tokens=room))
    if NOT_FOUND.search(said) and len(said) < 40:
        return Answer("", tuple(hits), "absent")
    return cited(said, question, hits) or quoted(best, whole)


def prompt(lm: WordedLM, question: str, hits: Sequence[Hit], room: int) -> str:
    """The question under as many of the passages, numbered, as the model's context holds; at least one."""
    for count in range(len(hits), 0, -1):
        passages = "\n\n".join(f"[{n}] {h.chunk.passage}" for n, h in enumerate(hits[:count], 1))
        text = worded(passages, question)
        if count == 1 or lm.length(text) + room <= lm.context:
            return text
    return question


def answering(embedder: Embedder, question: str, hits: Sequence[Hit]) -> list[Sentence]:
    """The sentence of the passages that answers, and a second one where it is nearly as good; none where none does.

    Where the best speaks of a neighbour of what is asked, only one that names what is asked takes its place.
    """
    found = [(s, score, stance(question, s.context)) for s, score in ranked(embedder, question, hits)]
    if found[0][2] == "beside":
        found = [each for each in found if each[2] == "about"]
    return [s for s, score, how in found if how != "beside" and score > found[0][1] - CLOSE][:2]


def quoted(best: Sequence[Sentence], whole: bool) -> Answer:
    """The sentences that answer, or the passage of the first of them, as the answer."""
    if whole:
        return Answer(f"{best[0].hit.chunk.text} [1]", (best[0].hit,), "quoted")
    sources = list(dict.fromkeys(sentence.hit for sentence in best))
    text = " ".join(f"{sentence.text} [{sources.index(sentence.hit) + 1}]" for sentence in best)
    return Answer(text, tuple(sources), "quoted", tuple(_heading(best, hit) for hit in sources))


def _heading(best: Sequence[Sentence], hit: Hit) -> str:
    """What a passage's first sentence stands under."""
    return next(s.titles for s in best if s.hit == hit).replace("\n", " / ")


def nearest_sentence(embedder: Embedder, question: str, hits: Sequence[Hit]) -> tuple[str, Hit]:
    """The sentence of the passages that answers best, and the passage it stands in; hits: not empty."""
    best, _ = ranked(embedder, question, hits)[0]
    return best.text, best.hit


def cited(said: str, question: str, hits: Sequence[Hit]) -> Answer | None:
    """The model's sentences that a passage supports, each with its source; None where there is none."""
    kept: list[tuple[str, Hit]] = []
    for sentence in SENTENCE.findall(said):
        marks = [int(n) - 1 for n in MARK.findall(sentence)]
        plain = MARK.sub("", sentence).strip()
        named = [hits[n] for n in marks if 0 <= n < len(hits)]
        shares = [(support(plain, question, hit), hit in named, -rank, hit) for rank, hit in enumerate(hits)]
        share, _, _, hit = max(shares, key=lambda s: s[:3])
        if plain and share >= SUPPORT:
            kept.append((plain, hit))
    if not kept:
        return None
    sources = list(dict.fromkeys(hit for _, hit in kept))
    text = " ".join(f"{plain} [{sources.index(hit) + 1}]" for plain, hit in kept)
    return Answer(text, tuple(sources), "written")


def support(sentence: str, question: str, hit: Hit) -> float:
    """The share of a sentence's words, without the question's and without English function words, in a passage."""
    added = [t for t in terms(sentence) if t not in set(terms(question)) and t not in function_words()]
    held = set(terms(hit.chunk.passage))
    return sum(t in held for t in added) / len(added) if added else 0.0
