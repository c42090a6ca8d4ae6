"""An open set fetched and converted into a folder: files that are read here, and a card that says what was done.

Each file is whole or absent. `get.json` keeps what was done part by part: the same command goes on with the parts that
are not done, and the card is written from it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase, packed, say
from luthier.data.opensets import find, local, remote
from luthier.data.opensets.card import NAME as CARD
from luthier.data.opensets.card import card
from luthier.data.opensets.feed import Feed
from luthier.data.opensets.spec import Broken, DroppedError, OpenSet, Part, Record
from luthier.io.files import LOCK, alone, forget, is_taken, read_record, replacing, write_json, write_text

DONE = "get.json"
EVERY = 200  # rows between two words of progress
Progress = Callable[[str, float, int], None]  # the part, how much of its file is read, rows so far


@dataclass(frozen=True)
class Order:
    """What is asked for. parts, languages: () for all; rows: to keep of each part; source: a file or folder here."""

    name: str
    out: Path
    parts: tuple[str, ...] = ()
    rows: int | None = None
    languages: tuple[str, ...] = ()
    source: Path | None = None


@dataclass
class Tally:
    """What became of the rows of a part: each is kept or dropped. left: what was left out or changed in kept rows."""

    rows: int = 0
    kept: int = 0
    dropped: Counter[Phrase] = field(default_factory=Counter)
    left: Counter[Phrase] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)

    def told(self) -> dict[str, Any]:
        """As it stands in a file, reasons as phrases."""
        counts = {
            name: [[packed(why), n] for why, n in getattr(self, name).most_common()] for name in ("dropped", "left")
        }
        return {"rows": self.rows, "kept": self.kept, **counts, "files": dict(self.written)}


def get(order: Order, progress: Progress = lambda part, share, rows: None) -> dict[str, Any]:
    """Fetch and convert; gives what stands in `get.json`. Raises LuthierError with what to do."""
    found = find(order.name)
    parts = _parts(found, order)
    files = local.given(found, parts, order.source, bool(order.parts)) if order.source else {}
    parts = tuple(part for part in found.parts if part.name in files) if order.source else parts
    todo = _todo(parts, _state(found, order), order)
    if not order.source:
        _reach(found, todo, order)
    with alone(order.out / LOCK, f"{order.out}: another command is writing there"):
        state = _state(found, order)
        try:
            write_json(order.out / DONE, state)  # what is begun is known as ours
            for part in _todo(parts, state, order):
                _one(found, part, files.get(part.name), state, order, progress)
        finally:
            if not state["parts"]:
                forget(order.out, DONE, LOCK)
    return state


def _one(
    found: OpenSet, part: Part, files: list[Path] | None, state: dict[str, Any], order: Order, progress: Progress
) -> None:
    """Convert one part and say so in the folder. files: that are here already."""
    feeds = local.feeds(files) if files else remote.fetched(part.place, order.rows is None)
    tally = _convert(part, feeds, order, progress)
    state["parts"][part.name] = {**tally.told(), **_asked(order), "from": _origin(part, order)}
    write_json(order.out / DONE, state)
    write_text(order.out / CARD, card(found, state))


def convert(
    part: Part, rows: Iterable[Any], tally: Tally, languages: tuple[str, ...] = (), limit: int | None = None
) -> Iterator[tuple[str, Record]]:
    """The records of these rows, each with its file; every row is counted as kept or as dropped for a reason.

    limit: rows that are kept at most; no further one is read.
    """
    for row in part.gather(rows) if part.gather else rows:
        tally.rows += 1
        left: Counter[Phrase] = Counter()
        try:
            if isinstance(row, Broken):
                raise DroppedError(row.reason)
            made = list(part.convert(row, left))
            if len(part.languages) > 1 and languages and not any(_speaks(record, languages) for _, record in made):
                raise DroppedError(say("set_language"))
        except DroppedError as why:
            tally.dropped[why.reason] += 1
            continue
        tally.kept += 1
        tally.left += left
        tally.written.update(file for file, _ in made)
        yield from made
        if tally.kept == limit:
            return


def _speaks(record: Record, languages: tuple[str, ...]) -> bool:
    return str(record.get("lang", "")).split("-")[0].casefold() in languages


def _parts(found: OpenSet, order: Order) -> tuple[Part, ...]:
    """The parts that are asked for. Raises LuthierError for names that are none, and where one must be chosen."""
    names = [part.name for part in found.parts]
    if wrong := [name for name in order.parts if name not in names]:
        raise LuthierError(f"{found.name} has no part {wrong[0]!r}; it has {', '.join(names)}")
    if wrong := [code for code in order.languages if code not in found.languages]:
        raise LuthierError(f"{found.name} has no rows in {wrong[0]!r}; it has {', '.join(found.languages)}")
    parts = tuple(part for part in found.parts if part.name in order.parts) if order.parts else found.usual
    if not parts and order.source is None:
        raise LuthierError(f"{found.name} is too large to be fetched whole: choose with --part: {', '.join(names)}")
    parts = parts or found.parts
    if order.languages:
        parts = tuple(part for part in parts if {*part.languages} & {*order.languages})
    if not parts:
        raise LuthierError(f"{found.name}: the part has no rows in {', '.join(order.languages)}")
    if order.rows is None and order.source is None and (much := [part.name for part in parts if part.limited]):
        raise LuthierError(
            f"{found.name} {much[0]} is too large to be fetched whole: say how many rows with --rows 10000"
        )
    return parts


def _state(found: OpenSet, order: Order) -> dict[str, Any]:
    """What was done in the folder so far. Raises LuthierError where it holds something else."""
    if not is_taken(order.out, DONE, "open data set"):
        return {"set": found.name, "parts": {}}
    state = read_record(order.out / DONE, "set", "parts")
    if state["set"] != found.name:
        raise LuthierError(f"{order.out} holds {state['set']}, not {found.name}: choose another --out")
    return state


def _asked(order: Order) -> dict[str, Any]:
    return {"limit": order.rows, "languages": list(order.languages)}


def _origin(part: Part, order: Order) -> str:
    return order.source.name if order.source else part.place.page


def _todo(parts: tuple[Part, ...], state: dict[str, Any], order: Order) -> list[Part]:
    """The parts that do not lie there as they are asked for; files that are here are converted whatever lies there."""
    out = []
    for part in parts:
        done, asked = state["parts"].get(part.name, {}), {**_asked(order), "from": _origin(part, order)}
        same = all(done.get(key) == value for key, value in asked.items())
        if order.source or not same or not all((order.out / file).exists() for file in done["files"]):
            out.append(part)
    return out


def _reach(found: OpenSet, parts: list[Part], order: Order) -> None:
    """Raise LuthierError, with what to put where, if what must be fetched cannot be reached."""
    missing = remote.unreachable(part.place for part in parts)
    if not missing:
        return
    why = "; ".join(f"{server} cannot be reached ({reason})" for server, reason in missing.items())
    wanted = "; ".join(f"{' and '.join(local.wanted_names(part))} from {_look(part)}" for part in parts)
    one = len(parts) == 1 and len(parts[0].place.files) == 1
    where = ("FILE" if parts[0].place.listed else parts[0].place.names[0]) if one else "FOLDER"
    options = f" --part {','.join(order.parts)}" if order.parts else ""
    options += f" --rows {order.rows}" if order.rows is not None else ""
    options += f" --language {','.join(order.languages)}" if order.languages else ""
    raise LuthierError(
        f"{found.name}: {why}. On a machine with a network take {wanted}{'' if one else ', put all into one folder'}; "
        f"then: luthier data get {found.name}{options} --from {where}. (HF_ENDPOINT names a mirror of the hub.)"
    )


def _look(part: Part) -> str:
    """Where people fetch a part by hand."""
    place = part.place
    if place.listed:
        return f"an address in {place.page}/blob/main/{place.files[0]}"
    return place.page if place.repo else " and ".join(remote.address(place, file) for file in place.files)


def _convert(part: Part, feeds: Iterator[Feed], order: Order, progress: Progress) -> Tally:
    """Write the files of a part, all or none. Raises LuthierError where no row can be used."""
    tally, now = Tally(), [0.0]
    _sweep(part, order.out)
    with ExitStack() as stack:
        rows = stack.enter_context(closing(_read(feeds, len(part.place.files), now)))
        paths = {file: stack.enter_context(replacing(order.out / file)) for file in part.files}
        outs = {
            file: stack.enter_context(path.open("w", encoding="utf-8", newline="\n")) for file, path in paths.items()
        }
        for file, record in convert(part, rows, tally, order.languages, order.rows):
            outs[file].write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
            if tally.kept % EVERY == 0:
                progress(part.name, now[0] if order.rows is None else tally.kept / order.rows, tally.kept)
        if not tally.kept:
            reasons = "; ".join(f"{why} ({count})" for why, count in tally.dropped.most_common(3))
            raise LuthierError(f"{part.name}: none of {tally.rows} rows can be used: {reasons or 'there is none'}")
    for file in part.files:
        if not tally.written[file]:
            (order.out / file).unlink()
    return tally


def _sweep(part: Part, out: Path) -> None:
    """Remove what a killed command left of these files; the folder's lock is held."""
    for file in part.files:
        for left in out.glob(f".{file}.*.tmp"):
            left.unlink(missing_ok=True)


def _read(feeds: Iterator[Feed], count: int, now: list[float]) -> Generator[Any]:
    """The rows of all files. now: how much of them has been read."""
    for at, feed in enumerate(feeds):
        for row in feed:
            now[0] = min((at + feed.share) / max(count, 1), 1.0)
            yield row
