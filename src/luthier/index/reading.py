"""Whether a model reads well enough to answer from passages, measured once for each model and language.

It is asked bundled questions with the document that answers each. A model that gets fewer than half of them right would
turn a right passage into a wrong answer: then the passage is quoted instead. The result is kept in the cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from luthier.core.records import Sampling
from luthier.index.terms import script, terms
from luthier.io.files import read_json, write_json

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM

ENOUGH = 0.5  # share of right answers
EVERY = 5  # one bundled question of five: 15 in English, 10 in Chinese
ROOM = 48  # tokens of an answer
WORDS = {
    "": "Answer the question from the passages only, in one short sentence. "
    "If they do not hold the answer, reply: not found.\n\n{passages}\n\nQuestion: {question}",
    "han": "只根据下面的材料，用一句话回答问题。材料里没有答案时，只回答：没有找到。\n\n{passages}\n\n问题：{question}",
}

TRYING = {
    "": "trying once how well {model} reads English (15 questions) ...",
    "han": "首次使用 {model}，先测它读中文的能力（10 个问题，只测一次）……",
}


def language(question: str) -> str:
    """ "han", or "" for all that is asked in English."""
    return "han" if script(question) == "han" else ""


def worded(passages: str, question: str) -> str:
    """The prompt, in the language of the question."""
    before, _, rest = WORDS[language(question)].partition("{passages}")
    between, _, after = rest.partition("{question}")
    return before + passages + between + question + after


def reads(
    lm: WordedLM, question: str, cache: Path | None = None, tell: Callable[[str], None] | None = None
) -> bool:  # fmt: skip
    """Whether the model's own answer to such a question is worth showing. A server is taken at its word: it costs.

    tell: told where that is measured first, which takes a while.
    """
    from luthier.models.loading.bundled import cache_dir

    if "generate" not in lm.can:
        return False
    if getattr(lm, "remote", False):
        return True
    spoken = language(question)
    key = hashlib.sha256(f"{lm.key or lm.name} {spoken} {WORDS[spoken]}".encode()).hexdigest()[:24]
    path = (cache or cache_dir()) / "reading" / f"{key}.json"
    if not path.exists():
        if tell:
            tell(TRYING[spoken].format(model=lm.name))
        write_json(path, {"model": lm.name, "language": spoken or "en", "right": measure(lm, spoken)})
    return float(read_json(path)["right"]) >= ENOUGH


def measure(lm: WordedLM, spoken: str) -> float:
    """The share of bundled questions that it answers right, given the document with the answer."""
    from luthier.data import embedded

    found = embedded.find("handbook")
    assert found is not None
    documents = {text.source: text.text for text in found.texts()}
    rows = [row for row in _rows(found.paths[0]) if language(row["question"]) == spoken][::EVERY]
    prompts = [worded(f"[1] {documents[row['source']]}", row["question"]) for row in rows]
    said = lm.generate(prompts, Sampling(max_new_tokens=ROOM))
    return sum(right(a, r["question"], r["answer"]) for a, r in zip(said, rows, strict=True)) / len(rows)


def right(said: str, question: str, wanted: str) -> bool:
    """Whether what the wanted answer adds to the question has been said."""
    asked, held = set(terms(question)), set(terms(said))
    added = [t for t in terms(wanted) if t not in asked] or terms(wanted)
    return sum(t in held for t in added) >= 0.75 * len(added)


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
