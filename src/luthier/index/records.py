"""What passes between the parts of an index: documents, their sections, chunks of those, and what a search finds."""

from __future__ import annotations

from dataclasses import dataclass

TITLE = 100  # characters of a title that stand before each passage: a longer one would push the text out of the model


@dataclass(frozen=True, slots=True)
class Chunk:
    """`section.text[start:end]`, counted in characters, and where it stands. at: its number within the file."""

    file: str
    at: int
    section: str
    title: str
    start: int
    end: int
    text: str
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The same for the same place of the same file, whenever it is made."""
        return f"{self.file}#{self.at}"

    @property
    def place(self) -> str:
        """Where it comes from, for a person."""
        where = f", {self.section}" if self.section else ""
        return f"{self.file}{where}, characters {self.start + 1}-{self.end}"

    def place_in(self, chinese: bool) -> str:
        """`place`, for a Chinese reader where asked."""
        if not chinese:
            return self.place
        where = f"，{self.section}" if self.section else ""
        return f"{self.file}{where}，第 {self.start + 1}–{self.end} 字"

    @property
    def passage(self) -> str:
        """What is embedded: the text under its document's title."""
        title = self.title[:TITLE]
        return self.text if not title or title in self.text else f"{title}\n{self.text}"


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a search found.

    score: of both searches, 0 to 1. similarity: cosine with the query, -1 to 1. text_score: BM25 of the words, 0
    where none is shared. vector_rank, text_rank: 1 is best; None where that search did not find it.
    """

    chunk: Chunk
    score: float
    similarity: float
    text_score: float
    vector_rank: int | None
    text_rank: int | None
