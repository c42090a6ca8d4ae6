"""A finished comparison is shown: leaderboard, report and the winner's card are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from luthier.comparison.board import gather
from luthier.comparison.leaderboard import NAME
from luthier.comparison.plan import read_request
from luthier.comparison.results import log_error
from luthier.comparison.trial_list import name_of, trials_of
from luthier.core.phrases import say
from luthier.evals import formatting
from luthier.io.files import write_json
from luthier.io.metrics_file import read_metrics
from luthier.reports.comparison.card import NAME as CARD
from luthier.reports.comparison.card import write_card
from luthier.reports.comparison.html_report import write_report


def curves(folder: Path, board: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Training loss by tokens of every trained method."""
    places = {
        name_of(request, c): c for request in [read_request(folder)] for c in trials_of(request) if c.rows is None
    }
    out: dict[str, list[dict[str, Any]]] = {}
    for row in board["rows"]:
        for seed in range(row["seeds"]):
            path = places[formatting.name(row)].folder(folder) / f"seed-{seed}" / "metrics.jsonl"
            out.setdefault(formatting.name(row), []).extend(
                {"seed": seed, "tokens": m["tokens"], "loss": m["loss"]} for m in read_metrics(path)
            )
    return {name: points for name, points in out.items() if points}


def publish(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the leaderboard, report.html and the winner's MODEL_CARD.md; gives the board and the report's details.

    What shows the board and cannot be made is said in the details' notes: the board stands without it.
    """
    board, details = gather(folder)
    write_json(folder / NAME, board)
    page, card = folder / "report.html", folder / CARD
    _made(folder, page, details, lambda: write_report(board, curves(folder, board), details, page))
    _made(folder, card, details, lambda: write_card(board, details, folder))
    return board, details


def _made(folder: Path, file: Path, details: dict[str, Any], make: Callable[[], object]) -> None:
    try:
        make()
    except OSError:
        raise
    except Exception as error:
        file.unlink(missing_ok=True)  # of an earlier state: it would say something else
        reason = log_error(folder / "report.log", folder, error)
        details["notes"] = [say("said_broken_file", file=file.name, reason=reason), *details["notes"]]
