"""The data sets of `regret.py`: where their rows are, and the three files that are made of each.

Rows come from a folder (`--data`) with SST-2, Multi30k and the slices in `regret/`, or from inside the package. A set
with a test file gives training rows from the one and both test samples from the other; a set without one is divided:
half trains, a sixth is the small test set, a third the large one, as far as they are not asked to be smaller.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Row = dict[str, str]
PARTS = ("train", "few", "truth")
TRANSLATE = "Translate German to English."


@dataclass(frozen=True)
class Set:
    """One data set.

    files: of training rows and, where there are two, of test rows; below `--data`, or names inside the package
    (`embedded`). rename: from the fields of a row to those of the files that are made; one kept as it is has no entry.
    fixed: fields that every row gets. labels: raw to name. points: what a score is multiplied by to be points.
    known: its rows, or rows of its kind, were looked at while defaults of the tool were chosen (docs/LOG.md).
    """

    name: str
    files: tuple[str, ...]
    known: bool
    embedded: bool = False
    rename: dict[str, str] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    task: str = "classification"

    @property
    def points(self) -> float:
        """Accuracy is a share; chrF is in points already."""
        return 100.0 if self.task == "classification" else 1.0

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a row as `compare` reads it."""
        return ("text", "label") if self.task == "classification" else ("instruction", "input", "output")


def _slice(name: str, known: bool) -> Set:
    return Set(name, (f"regret/{name}_train.jsonl", f"regret/{name}_test.jsonl"), known)


SETS = {
    each.name: each
    for each in (
        Set("mood", ("mood.jsonl",), known=True, embedded=True),
        Set("tickets", ("tickets_en.jsonl", "tickets_zh.jsonl"), known=True, embedded=True),
        Set(
            "sst2", ("sst2_train.tsv", "sst2_test.tsv"), known=True, rename={"0": "text", "1": "label"},
            labels={"0": "negative", "1": "positive"},
        ),
        Set(
            "multi30k", ("multi30k_train.jsonl", "multi30k_test.jsonl"), known=False,
            rename={"de": "input", "en": "output"}, fixed={"instruction": TRANSLATE}, task="generation",
        ),
        _slice("banking77", known=False),
        _slice("emotion", known=False),
        _slice("shopping_zh", known=True),
        _slice("hotel_zh", known=True),  # the longest texts last
    )
}  # fmt: skip


def paths(one: Set, data: Path | None) -> list[Path]:
    """The files of a set that are there: all of them, or it cannot be had."""
    if one.embedded:
        import luthier

        package = Path(str(luthier.__file__)).parent
        found = [next(package.rglob(f"embedded/{name}"), package / name) for name in one.files]
    else:
        found = [data / name for name in one.files] if data else []
    return found if found and all(path.is_file() for path in found) else []


def rows_of(one: Set, path: Path) -> list[Row]:
    """The rows of one file, with the fields that `compare` reads."""
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".tsv":
            lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            raw = [{str(at): cell for at, cell in enumerate(line)} for line in lines]
        else:
            raw = [json.loads(line) for line in file if line.strip()]
    found = [{one.rename.get(key, key): value for key, value in row.items()} | one.fixed for row in raw]
    for row in found:
        if "label" in row:
            row["label"] = one.labels.get(row["label"], row["label"])
    return [{key: row[key] for key in one.fields} for row in found]


def divided(train: Sequence[Row], test: Sequence[Row], most: Sequence[int], seed: int = 0) -> dict[str, list[Row]]:
    """Rows that train, the small and the large test set: no row in two of them, in a random order that is fixed.

    most: rows of each. test: of the set's own test file; without any the set is divided.
    """
    train, test = _once(train), _once(test)
    for rows in (train, test):
        random.Random(seed).shuffle(rows)
    if not test:
        few, large = min(most[1], len(train) // 6), min(most[2], len(train) // 3)
        test, train = train[: few + large], train[few + large :]
    else:
        few = min(most[1], len(test) // 2)
    held = test[: few + most[2]]
    asked = {_asked(row) for row in held}
    learned = [row for row in train if _asked(row) not in asked][: most[0]]
    return dict(zip(PARTS, (learned, held[:few], held[few:]), strict=True))


def _asked(row: Row) -> str:
    return " ".join(row.get("text", row.get("input", "")).split())


def _once(rows: Iterable[Row]) -> list[Row]:
    """Rows without those whose text was there before."""
    return list({_asked(row): row for row in reversed(list(rows))}.values())[::-1]


def prepare(one: Set, found: Sequence[Path], most: Sequence[int], folder: Path) -> dict[str, int]:
    """Write `train.jsonl`, `few.jsonl` and `truth.jsonl`, and give how many rows each has.

    What is written is the same each time, so that a comparison that was killed finds its data unchanged.
    """
    files = [rows_of(one, path) for path in found]
    if one.embedded:
        files = [[row for rows in files for row in rows]]
    parts = divided(files[0], files[1] if len(files) > 1 else [], most)
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path = folder / f"{part}.jsonl"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    return {part: len(rows) for part, rows in parts.items()}
