"""What a model writes behind beginnings of held-out text, for people to read.

DIR/samples.jsonl   {"beginning", "temperature", "seed", "continuation"} a line
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from luthier.core.lm import LM, WordedLM
from luthier.core.records import Sampling
from luthier.io.files import write_text
from luthier.io.samples_file import SAMPLES
from luthier.pretrain.choices import PLAIN, Counted

COUNT, CHARACTERS, TOKENS = 4, 120, 128  # beginnings; of one; of a continuation, at most
DRAWN = ((0.0, 0), (0.8, 1), (0.8, 2))  # temperature and seed: the likeliest tokens, and twice by chance
_ENDS = re.compile(r"\s|[，。；：！？、,.;:!?]")
_STOPS = re.compile(r"\n|[.!?]\s|[。！？]")


def beginnings(passages: Sequence[str]) -> list[str]:
    """Of evenly spread passages, each up to where a word or a clause ends: of a long one from its first whole sentence
    or line on, of a short one half."""
    chosen = passages[:: max(len(passages) // COUNT, 1)][:COUNT]
    return [_cut(passage) for passage in chosen if passage.strip()]


def _cut(text: str) -> str:
    stop = _STOPS.search(text) if len(text) > 2 * CHARACTERS else None
    begun = text[stop.end() if stop else 0 :].strip()
    room = min(CHARACTERS, -(-len(begun) // 2))
    ends = [found.end() for found in _ENDS.finditer(begun, 0, room)]
    return begun[: ends[-1] if ends else room].strip()


def write(lm: LM, passages: Sequence[str], folder: Path, say: Counted) -> None:
    """Write the continuations into a run folder, whole or not at all."""
    begun, lines = beginnings(passages), []
    asked = cast(WordedLM, lm).worded(PLAIN["zh"], ())
    for at, (temperature, seed) in enumerate(DRAWN):
        answers = asked.generate(begun, Sampling(TOKENS, temperature, seed=seed))
        lines += [
            {"beginning": beginning, "temperature": temperature, "seed": seed, "continuation": answer}
            for beginning, answer in zip(begun, answers, strict=True)
        ]
        say(at + 1, len(DRAWN))
    write_text(folder / SAMPLES, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
