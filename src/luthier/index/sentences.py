"""The sentences of passages, each under the headings it stands under, and which of them answers a question.

A sentence alone seldom says what it is about, so it is embedded with its title and heading: the best sentence then
holds 46 of the bundled handbook's 100 answers, the best two 61, where the bare one held 34 and two 46 (docs/LOG.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from luthier.index.records import TITLE, Hit
from luthier.index.terms import function_words, terms
from luthier.models.embedding import Embedder

# a point within a number or a name, or behind a single letter (a.m.), ends no sentence
SENTENCE = re.compile(r"[^。！？；!?.\n]+(?:(?:[.](?=\S)|(?<=\b[A-Za-z])[.])[^。！？；!?.\n]+)*[。！？；!?.\n]*\s*")
_HEADING = re.compile(r"#{1,6}\s+(.+?)[\s#]*$")
_BOLD = re.compile(r"\*\*(.+?)[.:。：]?\*\*")  # a paragraph's own heading
OVERLAP = 0.03  # for a sentence that holds all of the question's words
PASSAGE = 0.3  # of the passage's similarity: what stands around a sentence counts, too


@dataclass(frozen=True)
class Sentence:
    """heading: the nearest above it in its passage. before: the sentence that it follows there."""

    text: str
    hit: Hit
    heading: str = ""
    before: str = ""

    @property
    def titles(self) -> str:
        """What it stands under: the document's title and the heading."""
        title = self.hit.chunk.title[:TITLE]
        return "\n".join(dict.fromkeys(part for part in (title, self.heading) if part))

    @property
    def context(self) -> str:
        """It with what says what it is about: its headings; where it has none, the file's name and what it follows."""
        above = self.titles or f"{PurePath(self.hit.chunk.file).stem}\n{self.before}"
        return f"{above}\n{self.text}"


def sentences(hits: Sequence[Hit]) -> list[Sentence]:
    """Those of the passages, each text once, in the passages' order.

    A heading answers nothing, nor does a line of signs, such as the fence of a code block. Where there is nothing else,
    the first passage is one.
    """
    found: dict[str, Sentence] = {}
    for hit in hits:
        heading = before = ""
        for stretch in SENTENCE.findall(hit.chunk.text):
            text = stretch.strip()
            if match := _HEADING.match(text):
                heading = match[1]
            if match := _BOLD.match(text):
                heading = match[1]
            if any(map(str.isalnum, text)) and not text.startswith("#"):
                found.setdefault(text, Sentence(text, hit, heading, before))
                before = text
    return list(found.values()) or [Sentence(hits[0].chunk.text, hits[0])]


def ranked(embedder: Embedder, question: str, hits: Sequence[Hit]) -> list[tuple[Sentence, float]]:
    """The sentences of the passages with their scores, the best answer first, of equals in the passages' order."""
    found = sentences(hits)
    near = embedder.passages([f"{s.titles}\n{s.text}".strip() for s in found]) @ embedder.queries([question])[0]
    asked = {term for term in terms(question) if term not in function_words()}
    shared = [len(asked & set(terms(s.text))) / max(len(asked), 1) for s in found]
    around = [s.hit.similarity for s in found]
    scores = (near + OVERLAP * np.array(shared) + PASSAGE * np.array(around)).round(5)
    return [(found[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")]
