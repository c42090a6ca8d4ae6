"""What comes after a run: `luthier predict` and `luthier chat`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from luthier.cli.common import pairs, rows_bar

if TYPE_CHECKING:
    from luthier.api.model import Model
    from luthier.core.records import Sampling

PREDICT = """Label or answer the rows of a file with an adapted model.

RUN is a run folder, such as a comparison's trials/lora/seed-0. The file is read as the run's own data was (mapping,
instruction, encoding, blanks filled); --map and the others win. Answers may stand in it or not. It keeps its columns
and gets `prediction`; for labels also `probability`, or `score` where the run fitted no temperature that makes it one.

Example: luthier predict RUN new.csv --out labelled.csv
"""
CHAT = """Talk to an adapted model in the terminal.

With --stream-window 4+1020 answers and conversation may be of any length, in memory that does not grow: the model sees
the first 4 tokens and the last 1,020, so that what was said long ago is forgotten.

Example: luthier chat RUN --stream-window 4+1020
"""
WINDOW = "first and last tokens that are kept, such as 4+1020: a conversation without end"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("predict", help=PREDICT)(predict)
    app.command("chat", help=CHAT)(chat)


def predict(
    run: Annotated[Path, typer.Argument(help="run folder")],
    data: Annotated[Path, typer.Argument(help="file with the inputs")],
    out: Annotated[Path, typer.Option(help="file to write: .csv, .tsv or .jsonl")] = Path("labelled.csv"),
    map: Annotated[str | None, typer.Option(help="column=field by comma, such as 0=text")] = None,
    instruction: Annotated[str | None, typer.Option(help="what to do, said before every input")] = None,
    encoding: Annotated[str, typer.Option(help="of files that are not UTF-8: gb18030, big5…")] = "",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="leave broken rows out")] = False,
    template: Annotated[Path | None, typer.Option(help="file with another wording (luthier prompt search)")] = None,
) -> None:
    """Read, answer, write."""
    from luthier.api.predicting import answer_file

    with rows_bar("answering") as say:
        count = answer_file(run, data, out, pairs(map, "--map"), instruction, skip_bad, say, template, encoding, print)
    print(f"{count} rows written to {out}")


def chat(
    run: Annotated[Path, typer.Argument(help="run folder")],
    max_new_tokens: Annotated[int, typer.Option(min=1, help="length of an answer")] = 256,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token each time")] = 0.0,
    template: Annotated[Path | None, typer.Option(help="file with another wording (luthier prompt search)")] = None,
    stream_window: Annotated[str, typer.Option(help=WINDOW)] = "",
) -> None:
    """A conversation until an empty line or the end of input."""
    from luthier.api.model import load
    from luthier.core.records import Sampling
    from luthier.core.window import window_of
    from luthier.io.config import run_recipe

    window = window_of(stream_window, "--stream-window")
    run_recipe(run)  # says at once what is wrong with the folder
    model = load(run, template=template)
    model.gives(*(("text",) if window else ("labels", "tags", "scalar", "text")))
    said = _said(model) if window is None else model.conversation(window).say
    print("An empty line ends the conversation.")
    while True:
        try:
            text = input("> ").encode("utf-8", "replace").decode().strip()  # bytes that are no UTF-8 become ?
        except (EOFError, KeyboardInterrupt):
            break
        if not text:
            break
        try:
            for piece in said(text, Sampling(max_new_tokens, temperature)):
                print(piece, end="", flush=True)
        except KeyboardInterrupt:  # of a long answer
            pass
        print()


def _said(model: Model) -> Callable[[str, Sampling], Iterator[str]]:
    """What a model says to a turn, whole."""
    from luthier.core.records import Message

    turns: list[Message] = []

    def answer(text: str, sampling: Sampling) -> Iterator[str]:
        if model.output == "scalar":
            yield f"{model.values([text])[0]:g}"
        elif model.labels:
            (shares,) = model.probabilities([text])
            yield ", ".join(f"{k} {v:.0%}" for k, v in sorted(shares.items(), key=lambda kv: -kv[1])[:3])
        else:
            turns.append(Message("user", text))
            (found,) = model.generate([turns], sampling.max_new_tokens, sampling.temperature)
            turns.append(Message("assistant", found))
            yield found

    return answer
