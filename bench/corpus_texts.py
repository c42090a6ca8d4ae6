"""Documents in any number out of real ones: each as it is, then copies in which words of other documents stand.

From ../shared/data: c4_300.jsonl and the articles of wiki_30.txt. A copy has a share of its words replaced by runs of
another document's, so that copies are alike to every degree, and texts of any size are at hand.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DATA = Path("../shared/data")  # unless --data names another folder
FILES = ("c4_300.jsonl", "wiki_30.txt")
RATES = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)  # share of words that are replaced


def asked(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What is given, with the folder of the documents. Ends the program with a sentence where these are not there."""
    parser.add_argument("--data", type=Path, default=DATA, help=f"the folder of {' and '.join(FILES)}")
    given = parser.parse_args()
    for name in FILES:
        if not (given.data / name).exists():
            sys.exit(f"{given.data / name}: not here; --data names the folder that has {' and '.join(FILES)}")
    return given


def originals(data: Path) -> list[str]:
    """The documents as they are."""
    texts = [json.loads(line)["text"] for line in (data / FILES[0]).read_text("utf-8").splitlines()]
    return texts + (data / FILES[1]).read_text("utf-8").splitlines()


def edited(words: list[str], others: Sequence[list[str]], rate: float, chance: random.Random) -> str:
    """A text with about this share of its words replaced, in runs of five that come from other documents."""
    words = list(words)
    for _ in range(round(rate * len(words) / 5)):
        at, source = chance.randrange(len(words)), chance.choice(others)
        begin = chance.randrange(max(len(source) - 5, 1))
        words[at : at + 5] = source[begin : begin + 5]
    return " ".join(words)


def documents(data: Path, size: int, rates: Sequence[float] = RATES, seed: int = 0) -> Iterator[tuple[int, str]]:
    """Texts of together about this many bytes, each with the number of the document that it comes from."""
    chance = random.Random(seed)
    texts = originals(data)
    words = [text.split(" ") for text in texts]
    done, turn = 0, 0
    while done < size:
        for number, text in enumerate(texts):
            made = text if turn == 0 else edited(words[number], words, rates[turn % len(rates)], chance)
            yield number, made
            done += len(made.encode())
            if done >= size:
                return
        turn += 1


def few(work: Path) -> Path:
    """WORK/few: a folder with the first two documents of WORK/input, by which every side warms up."""
    made = work / "few" / "few.jsonl"
    if not made.exists():
        made.parent.mkdir()
        with next(iter(sorted((work / "input").glob("*.jsonl")))).open(encoding="utf-8") as file:
            made.write_text("".join(next(file) for _ in range(2)), encoding="utf-8")
    return made.parent


def write(data: Path, path: Path, size: int, rates: Sequence[float] = RATES, seed: int = 0) -> list[int]:
    """JSON Lines of such documents with their numbers as `id`; gives where each comes from."""
    families = []
    with path.open("w", encoding="utf-8") as file:
        for at, (family, text) in enumerate(documents(data, size, rates, seed)):
            file.write(json.dumps({"id": str(at), "text": text}, ensure_ascii=False) + "\n")
            families.append(family)
    return families


def line(figures: Mapping[str, Any], size: float) -> str:
    """What a run is about, in a line."""
    return (
        f"{size / figures['seconds']:.2f} MB/s, start-up {figures['start']:.1f} s, peak "
        f"{figures['peak_bytes'] / 2**20:.0f} MiB, {len(figures['kept'])} kept"
    )
