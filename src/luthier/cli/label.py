"""`luthier label`: preferences collected from people in a browser, and from judging models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.cli.common import add_group

if TYPE_CHECKING:
    from luthier.feedback.agreement import Agreement
    from luthier.feedback.export import Counts

HELP = """Collect preferences: a page to label answers on, in English and Chinese, and files to train on.

Nothing leaves this machine.

Example: luthier label new answers.jsonl --out labels && luthier label serve labels
"""
NEW = """Make a labelling project from answers, pairs, or prompts that models answer.

FILE has rows of {"prompt": TEXT or [messages], "answers": [2 to 9 texts]}, of prompt, chosen and rejected, or prompts
alone, which the runs and models of --from answer. People do not see who wrote an answer, and get the answers in an
order of their own. Killed while models answer, it goes on when the same command is given again.

Example: luthier label new prompts.jsonl --from runs/a --from runs/b --out labels
"""
SERVE = """Open the labelling page of a project on this machine.

The printed address holds a token, without which nothing is answered. Several people may label at once, each under a
name. A label is saved before the page says so; killed, the same command goes on at the same address.

Example: luthier label serve labels
"""
EXPORT = """Write the labels as JSON Lines that `luthier train` and `luthier compare` read.

Every annotator's label is a row of its own, with "annotator", and "machine" where a model gave it. --majority gives one
row a question.

Example: luthier label export labels --out preferences.jsonl
"""
AGREEMENT = """Say how far the annotators agree: percentage, Cohen's kappa by pair, Krippendorff's alpha.

Example: luthier label agreement labels
"""
JUDGE = """Let a model label every question, marked as a machine's.

It is asked in both orders of the answers; where they disagree it is a tie. A reward run gives each answer a number
instead. Killed, it goes on when the same command is given again.

Example: luthier label judge labels --judge path/to/model
"""
FOLDER = typer.Argument(help="folder of the project")
KIND = typer.Option("--kind", help="what is asked: pair, ranking, rating or edit")
FORM = typer.Option("--kind", help="rows to write: pair, ranking, rating or edit; as the project, unless given")
NEEDED = ("fastapi", "uvicorn")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    add_group(
        app,
        "label",
        HELP,
        new=(NEW, new),
        serve=(SERVE, serve),
        export=(EXPORT, export),
        agreement=(AGREEMENT, agreement),
        judge=(JUDGE, judge),
    )


def new(
    file: Annotated[Path, typer.Argument(help="answers, pairs or prompts")],
    out: Annotated[Path, typer.Option(help="folder of the project")],
    kind: Annotated[str, KIND] = "pair",
    from_: Annotated[list[str] | None, typer.Option("--from", help="run or model that answers; repeatable")] = None,
    answers: Annotated[int, typer.Option(min=2, max=9, help="to a prompt, of all models together")] = 2,
    temperature: Annotated[float, typer.Option(min=0.0, help="of the answers")] = 0.8,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="length of an answer")] = 256,
    overlap: Annotated[float, typer.Option(help="share of the questions that every annotator gets")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="of answers, their order and the overlap")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave broken rows out")] = False,
) -> None:
    """Read, ask, store."""
    from luthier.cli.common import resumable, rows_bar
    from luthier.feedback import project
    from luthier.feedback.sampling import Asked
    from luthier.feedback.store import Settings

    asked = Asked(tuple(from_ or ()), answers, temperature, seed, max_new_tokens)
    with resumable(), rows_bar("answering", "answers") as say:
        made = project.new(file, out, Settings(kind, overlap, seed), asked, skip_bad, say)
    if made.alike:
        print(f"{made.alike} prompts left out: the answers to each were all the same")
    print(f"{made.questions} questions with {made.answers} answers; every annotator gets {made.shared} of them.")
    print(f"Label them: luthier label serve {out}")


def serve(
    folder: Annotated[Path, FOLDER],
    host: Annotated[str, typer.Option(help="address to listen at")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: the one it had before, or a free one")] = 0,
    token: Annotated[str, typer.Option(help="in place of the project's own")] = "",
) -> None:
    """Listen until Ctrl-C."""
    import importlib.util

    from luthier.core.errors import LuthierError

    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise LuthierError(f"labelling needs {', '.join(missing)}: pip install {' '.join(missing)}")
    from luthier.feedback.server import serve as run

    def say(address: str) -> None:
        print(f"Label at {address}", flush=True)
        if host not in ("127.0.0.1", "localhost", "::1"):
            print("Others on the network can reach it, and nothing is encrypted: use a tunnel where that matters.")
        print("Ctrl-C ends it; every label is saved as it is made.", flush=True)

    run(folder, host, port, token, say)


def export(
    folder: Annotated[Path, FOLDER],
    out: Annotated[Path, typer.Option(help="file to write: .jsonl")],
    majority: Annotated[bool, typer.Option("--majority", help="one row a question")] = False,
    kind: Annotated[str, FORM] = "",
) -> None:
    """Read, write, count."""
    from luthier.feedback.export import export as written

    _print_counts(written(folder, out, majority, kind), out)


def agreement(folder: Annotated[Path, FOLDER]) -> None:
    """Count and print."""
    from luthier.feedback.agreement import agreement as found
    from luthier.feedback.export import labels_of
    from luthier.feedback.kinds import kind_of
    from luthier.feedback.store import Store

    store = Store(folder)
    try:
        _print_agreement(found(kind_of(store.settings.kind), labels_of(store)))
    finally:
        store.close()


def judge(
    folder: Annotated[Path, FOLDER],
    judge: Annotated[str, typer.Option(help="run, model or http://HOST/v1#name")],
    name: Annotated[str, typer.Option(help="under which it labels; the model's, unless given")] = "",
) -> None:
    """Ask, keep."""
    from luthier.cli.common import resumable, rows_bar
    from luthier.feedback.judging import judge as asked

    with resumable(), rows_bar("judging", "questions") as say:
        done, unread = asked(folder, judge, name, say)
    print(f"{done} questions labelled" if done or unread else "nothing is left to label")
    if unread:
        print(f"{unread} questions not labelled: the model named no answer; the same command asks it again")


def _print_counts(counts: Counts, out: Path) -> None:
    rows = ", ".join(f"{count} {what}" for what, count in sorted(counts.rows.items())) or "none"
    print(f"{sum(counts.rows.values())} rows written to {out}: {rows}.")
    machine = f" ({counts.machine} of them a model's)" if counts.machine else ""
    print(f"From {counts.labels} labels{machine} of {counts.annotators} annotators; {counts.skips} skips left out.")
    if counts.undecided:
        print(f"{counts.undecided} questions left out: no verdict has the majority.")


def _print_agreement(found: Agreement) -> None:
    from rich.console import Console
    from rich.table import Table

    print(f"{found.annotators} annotators, {found.questions} questions labelled by two or more.")
    if not found.questions:
        print("Nothing can be told: no question has two labels (`luthier label new --overlap` decides how many may).")
        return
    table = Table("annotators", "questions", "same", "Cohen's kappa", box=None, pad_edge=False)
    for pair in found.pairs:
        few = " (too few to tell)" if pair.few else ""
        table.add_row(f"{pair.one}, {pair.two}", str(pair.questions), f"{pair.share:.0%}", _number(pair.kappa) + few)
    Console().print(table, markup=False)
    few = f"; too little to tell: {found.questions} questions" if found.few else ""
    print(f"All together: {found.share:.0%} the same, Krippendorff's alpha {_number(found.alpha)}{few}.")


def _number(value: float | None) -> str:
    return "not defined, since all labels are one and the same" if value is None else f"{value:.2f}"
