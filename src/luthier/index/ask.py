"""Answers from documents: a model writes them from the best passages and says which, or the best passage is quoted.

An answer is kept only where a passage supports it, so that a citation can be trusted: what the model wrote beyond the
question's words must stand in the passage. Where the model reads a language too badly (`luthier.index.reading`), or
says what no passage does, the passage itself is quoted. Source: Lewis et al. 2020, "Retrieval-Augmented Generation";
Gao et al. 2023, "Enabling Large Language Models to Generate Text with Citations".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from luthier.errors import LuthierError
from luthier.index.embed import Embedder
from luthier.index.reading import reads, worded
from luthier.index.records import Hit
from luthier.index.search import Searcher
from luthier.index.terms import terms
from luthier.index.threshold import answerable
from luthier.protocols import Sampling

if TYPE_CHECKING:
    from luthier.data.prompts import Template
    from luthier.models.base import BaseLM

MARK = re.compile(r"\s*[\[［【](\d+)[\]］】]")
NOT_FOUND = re.compile(r"not found|没有找到|未找到", re.IGNORECASE)
SUPPORT = 0.5  # share of what an answer adds to the question that a cited passage must hold
SENTENCE = re.compile(r"[^。！？；!?.\n]+(?:[.](?=\S)[^。！？；!?.\n]+)*[。！？；!?.\n]*\s*")


@dataclass(frozen=True)
class Answer:
    """text: with marks such as [1]. sources: the passages, in the order of their numbers. how it came about: written
    by the model, quoted from the first passage, or absent (the text is empty)."""

    text: str
    sources: tuple[Hit, ...]
    how: Literal["written", "quoted", "absent"]


def ask(
    searcher: Searcher, load: Callable[[], BaseLM], question: str, count: int = 4, where: str | None = None,
    room: int = 96, template: Template | None = None,
) -> Answer:  # fmt: skip
    """An answer with its sources. load: gives the model, if one is needed. count: passages that the model sees.

    room: tokens of the answer. template: a wording of the question for the model; searched is for the question itself.
    """
    if not question.strip():
        raise LuthierError("the question is empty")
    hits = searcher.search(question, count, where)
    nearest = searcher.search(question, count, where, by="vector")  # words may have pushed them out of the fused few
    if not answerable(searcher.embedder, question, [(h.chunk.passage, h.similarity) for h in nearest]):
        return Answer("", tuple(hits), "absent")
    lm = load()
    if not reads(lm, question):
        return quoted(searcher.embedder, question, hits)
    asked = template.fill(question, ()) if template else question
    (said,) = lm.generate([prompt(lm, asked, hits, room)], Sampling(max_new_tokens=room))
    if NOT_FOUND.search(said) and len(said) < 40:
        return Answer("", tuple(hits), "absent")
    return cited(said, question, hits) or quoted(searcher.embedder, question, hits)


def prompt(lm: BaseLM, question: str, hits: Sequence[Hit], room: int) -> str:
    """The question under as many of the passages, numbered, as the model's context holds; at least one."""
    for count in range(len(hits), 0, -1):
        passages = "\n\n".join(f"[{n}] {h.chunk.passage}" for n, h in enumerate(hits[:count], 1))
        text = worded(passages, question)
        if count == 1 or lm.length(text) + room <= lm.context:
            return text
    return question


def quoted(embedder: Embedder, question: str, hits: Sequence[Hit]) -> Answer:
    """The passage with the sentence that is nearest to the question, as the answer."""
    _, hit = nearest_sentence(embedder, question, hits)
    return Answer(f"{hit.chunk.text} [1]", (hit,), "quoted")


def nearest_sentence(embedder: Embedder, question: str, hits: Sequence[Hit]) -> tuple[str, Hit]:
    """The sentence of the passages that is nearest to the question, and the passage it stands in; hits: not empty."""
    stretches = [(s.strip(), hit) for hit in reversed(hits) for s in SENTENCE.findall(hit.chunk.text)]
    # a heading answers nothing, nor does a line of signs, such as the fence of a code block
    found = {text: hit for text, hit in stretches if any(map(str.isalnum, text)) and not text.startswith("#")}
    sentences = list(found) or [hits[0].chunk.text]
    near = embedder.passages(sentences) @ embedder.queries([question])[0]
    best = sentences[int(near.round(5).argmax())]
    return best, found.get(best, hits[0])


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


@cache
def function_words() -> frozenset[str]:
    """English words that say nothing by themselves."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)
