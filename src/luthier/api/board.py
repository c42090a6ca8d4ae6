"""A finished comparison as an object: its rows, the best, what is recommended, a table for notebooks and for pandas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from luthier.api.spelling import from_python
from luthier.api.texts import place_of
from luthier.core.errors import LuthierError

NAME = "leaderboard.json"


class Values(Mapping[str, Any]):
    """What a JSON file said, by its keys."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Row(Values):
    """One method of a comparison; `row["train_seconds"]` and its like are everything that was measured.

    folder: of its first run, for `luthier.load`; None where the method did not finish.
    """

    def __init__(self, values: Mapping[str, Any], folder: Path | None = None) -> None:
        super().__init__(values)
        self.folder = folder

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self["method"])

    @property
    def name(self) -> str:
        """What the row is called: its method, and with several models "METHOD on MODEL"."""
        return str(self.get("name") or self["method"])

    @property
    def score(self) -> float | None:
        """The mean over test rows and seeds; None where the method did not finish."""
        return self.get("score")

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the score."""
        found = self.get("ci95")
        return (float(found[0]), float(found[1])) if found else None

    @property
    def status(self) -> str:
        """ok, failed or skipped."""
        return str(self["status"])

    @property
    def reason(self) -> str:
        """Why it failed or was skipped; "" where it did not."""
        return from_python(str(self.get("reason") or ""))

    def __repr__(self) -> str:
        if self.score is None:
            return f"<luthier.Row: {self.name}, {self.status}: {self.reason}>"
        low, high = self.interval or (self.score, self.score)
        return f"<luthier.Row: {self.name}, {self.score:.3f} ({low:.3f} to {high:.3f})>"


class Board(Values):
    """The result of a comparison. What stands in leaderboard.json is there by its keys, too: `board["verdicts"]`
    are the verdicts as data (`luthier.comparison.leaderboard`).

    >>> board = luthier.compare("mine.jsonl", budget="3m")          # doctest: +SKIP
    >>> board.best.method                                           # doctest: +SKIP
    'lora'
    >>> luthier.load(board.best.folder).predict("where is it?")     # doctest: +SKIP
    'delivery'
    >>> board.to_frame()[["name", "score", "low", "high"]]          # doctest: +SKIP
    """

    def __init__(self, values: Mapping[str, Any], folder: Path) -> None:
        super().__init__(values)
        self.folder = folder
        places = _places(folder)
        self.rows = [
            Row(row, places.get((row.get("model"), row["method"])) if row["status"] == "ok" else None)
            for row in values["rows"]
        ]

    @property
    def best(self) -> Row | None:
        """The row of the best method; None where no method finished."""
        from luthier.evals import formatting

        found = formatting.best(self)
        return next((row for row in self.rows if found is not None and dict(row) == dict(found)), None)

    def row(self, name: str) -> Row:
        """The row of that name. Raises LuthierError where there is none, suggesting one.

        >>> board.row("zero_shot").score                            # doctest: +SKIP
        0.255
        """
        from luthier.core.catalog import suggest

        if found := next((row for row in self.rows if row.name == name), None):
            return found
        raise LuthierError(f"this comparison has no row {name!r}{suggest(name, [row.name for row in self.rows])}")

    @property
    def recommendation(self) -> str:
        """What to use, in a sentence."""
        from luthier.reports.comparison.sentences import last_line

        return last_line(self)

    @property
    def verdicts(self) -> list[str]:
        """What was found between methods, a sentence each."""
        from luthier.reports.comparison.sentences import verdicts

        return verdicts(self)

    @property
    def report(self) -> Path:
        """The page with everything."""
        return self.folder / "report.html"

    def to_frame(self) -> Any:
        """The rows as a pandas DataFrame, the best first; `low` and `high` are the 95 % interval of `score`.

        Raises LuthierError where pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise LuthierError("to_frame() needs pandas, which is not installed: pip install pandas") from None
        flat = []
        for row in self.rows:
            low, high = row.interval or (None, None)
            first = {"name": row.name, "method": row.method, "model": row.get("model"), "status": row.status}
            rest = {key: value for key, value in row.items() if key not in (*first, "score", "ci95")}
            folder = str(row.folder) if row.folder else None
            flat.append({**first, "score": row.score, "low": low, "high": high, **rest, "folder": folder})
        return pandas.DataFrame(flat)

    def __repr__(self) -> str:
        lines = [_title(self)]
        shown = [[name, score, rest] for name, score, rest in _shown(self)]
        widths = [max((len(line[i]) for line in shown), default=0) for i in range(2)]
        lines += [f"  {a:<{widths[0]}}  {b:>{widths[1]}}  {c}".rstrip() for a, b, c in shown]
        return "\n".join([*lines, "", self.recommendation, f"Report: {self.report}"])

    def _repr_html_(self) -> str:
        """A small table for notebooks, in the page's own colours, whether they are light or dark."""
        from html import escape

        line = "border-bottom:1px solid color-mix(in srgb,currentColor 25%,transparent);padding:.3em .8em"
        cells = [
            "<tr>"
            + "".join(f'<td style="{line};text-align:{side}">{escape(text)}</td>' for text, side in row)
            + "</tr>"
            for row in (((n, "left"), (s, "right"), (r, "left")) for n, s, r in _shown(self))
        ]
        heads = "".join(f'<th style="{line};text-align:left">{escape(text)}</th>' for text in ("Method", "Score", ""))
        return (
            f'<div style="color:inherit;background:transparent"><p>{escape(_title(self))}</p>'
            f'<table style="border-collapse:collapse;color:inherit"><thead><tr>{heads}</tr></thead>'
            f"<tbody>{''.join(cells)}</tbody></table><p><b>{escape(self.recommendation)}</b></p></div>"
        )


def open(folder: str | Path) -> Board:
    """A comparison that was made before, read from its folder. Raises LuthierError where there is none.

    >>> luthier.open("runs/demo").best                              # doctest: +SKIP
    <luthier.Row: full, 0.642 (0.557 to 0.720)>
    """
    from luthier.comparison.leaderboard import read_board

    place = place_of(folder, "folder")
    if not (place / NAME).is_file():
        raise LuthierError(_absent(place))
    return Board(read_board(place), place)


def _absent(folder: Path) -> str:
    if (folder / "recipe.yaml").is_file():
        return f"{folder} is one run, not a comparison: luthier.load reads it"
    if (folder / "request.json").is_file():
        return f"{folder}: the comparison is not finished: make the same call again, and it goes on"
    return f"{folder}: holds no comparison" if folder.exists() else f"{folder} does not exist: check the path"


def _places(folder: Path) -> dict[tuple[Any, str], Path]:
    """The folder of each row's first run, by model and method."""
    from luthier.comparison.plan import read_request
    from luthier.comparison.trial_list import trials_of

    try:
        found = trials_of(read_request(folder))
    except (LuthierError, OSError):  # of another version
        return {}
    return {(c.model, c.method): c.folder(folder) / "seed-0" for c in found if c.rows is None}


def _title(board: Board) -> str:
    count = len(board.rows)
    about = f"{board.get('task')}, {board['metric']}" if board.get("task") else str(board["metric"])
    return f"Comparison of {count} method{'' if count == 1 else 's'} on {board.get('model', '?')}: {about}"


def _shown(board: Board) -> Sequence[tuple[str, str, str]]:
    """Each row in words: its name, score and interval, and whether it is the best or why it has none."""
    from luthier.evals import formatting

    best, metric = board.best, str(board["metric"])
    out = []
    for row in board.rows:
        last = (
            "best"
            if row is best
            else ""
            if row.status == "ok"
            else f"{row.status}: {formatting.first_line(row.reason, 80)}"
        )
        out.append((formatting.plain(row.name), formatting.score_pm(row, metric) if row.status == "ok" else "", last))
    return out
