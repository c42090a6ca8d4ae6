"""English texts of any number, and files of them: what the tests of a corpus read."""

from __future__ import annotations

import json
import random
from pathlib import Path

WHO = ("The miller", "A ferry", "Her brother", "An old clock", "Cold rain", "The archive", "Our neighbour", "A letter")
DID = ("crossed", "kept", "opened", "forgot", "carried", "watched", "repaired", "followed", "sold", "painted", "found")
WHAT = (
    "the river",
    "a ledger",
    "that gate",
    "two horses",
    "some bread",
    "the road",
    "a wheel",
    "those bells",
    "my coat",
)
WHEN = ("before dawn", "with care", "in May", "to be sure", "and have rest", "until evening", "for nothing", "of late")
WHY = ("since nobody else would", "although it was late", "when the town asked", "as if it mattered", "while we slept")


def story(seed: int, sentences: int = 12) -> str:
    """An English text."""
    own = random.Random(seed)
    said = [
        f"{' '.join(map(own.choice, (WHO, DID, WHAT, WHEN, WHY)))}, {own.randrange(999)} said."
        for _ in range(sentences)
    ]
    return "\n".join(" ".join(said[i : i + 3]) for i in range(0, sentences, 3))


def jsonl(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts), encoding="utf-8")
    return path
