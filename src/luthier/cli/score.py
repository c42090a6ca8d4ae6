"""`luthier score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from luthier.evals.bootstrap import Interval
    from luthier.runs.score import Scores

HELP = """Give every answer of a file a number, and say how well the numbers agree with what people preferred.

REWARD is a run that gives numbers (objective reward, or a regression), re:PATTERN (1 where it is found),
FILE.py:FUNCTION or MODULE:FUNCTION, which is called with prompt, answer and row, or the address of a server that
gets {"prompt", "answer"} and answers {"score": 0.7}. FILE holds conversations, prompts with completions, pairs or
rankings; with preferences a page of margins and calibration is written beside the output. Killed, the same command
goes on.

Example: luthier score runs/reward pairs.jsonl --out scored.jsonl
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("score", help=HELP)(score)


def score(
    reward: Annotated[str, typer.Argument(help="run, re:PATTERN, FILE.py:FUNCTION, MODULE:FUNCTION or address")],
    data: Annotated[str, typer.Argument(help="file with answers, or an embedded name")],
    out: Annotated[Path, typer.Option(help="file that is written: .jsonl")],
    map: Annotated[str | None, typer.Option(help="column=field by comma, such as q=prompt,a=completion")] = None,
    encoding: Annotated[str, typer.Option(help="of files that are not UTF-8: gb18030, big5…")] = "",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave broken rows out and list them")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="judge the first rows only")] = None,
) -> None:
    """Judge, write, hold against preferences."""
    from luthier.cli.common import pairs, rows_bar
    from luthier.io.config import DataConfig
    from luthier.runs.loaded import judge
    from luthier.runs.score import score_file
    from luthier.training.context import Meter

    config = DataConfig(data, map=pairs(map, "--map"), skip_bad=skip_bad, limit=limit, encoding=encoding, anyway=True)
    with rows_bar("judging") as say:
        found = score_file(judge(reward, Meter()), reward, config, out, say)
    page = out.with_name(f"{out.name}.html")
    if found.agreement:
        from luthier.reports.score_page import write_page

        write_page(page, reward, found.agreement)
    print("\n".join([*_told(found), *([f"Page: {page}"] if found.agreement else [])]))


def _told(found: Scores) -> list[str]:
    """What came of it, in lines."""
    lines = [
        f"{found.answers} answers of {found.rows} rows: {found.least:.4g} to {found.most:.4g}, mean {found.mean:.4g}"
    ]
    if told := found.agreement:
        lines.append(
            f"Pairs told right: {_percent(told.right)} of {told.pairs} in {told.rows} rows; "
            f"by length alone {_percent(told.length)}"
        )
        sides = (("longer", told.longer), ("shorter", told.shorter))
        lines += [f"  where the better answer is the {side}: {100 * share:.1f} %" for side, share in sides
                  if share is not None]  # fmt: skip
        lines += [f"  as sure as {100 * b.said:.0f} %: right in {100 * b.right:.0f} % of {b.pairs}" for b in told.bins]
        lines += [str(doubt) for doubt in told.doubts]
    return [*lines, f"Written: {found.path}"]


def _percent(found: Interval) -> str:
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"
