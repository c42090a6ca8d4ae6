"""The command line: thin Typer commands, one file a group. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import io
import os
import sys
from itertools import pairwise
from typing import Annotated

import typer

from luthier.cli import (
    adapters,
    after,
    comparing,
    corpus,
    data,
    doctor,
    evaluate,
    export,
    index,
    label,
    listing,
    planning,
    pretraining,
    prompt,
    rlhf,
    runs,
    score,
    study,
    tokenizer,
    training,
)
from luthier.core import command
from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.core.torchrun import started
from luthier.io.places import is_address, is_fault
from luthier.version import __version__

app = typer.Typer(
    help="Adapt a pretrained language model in every way, on your data, under an equal budget; see which is worth it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

BY_SEVERAL = ("train", "pretrain")  # commands that torchrun may start
TO_ADDRESSES = ("run", "read", "filter", "dedup", "decontaminate", "privacy", "mix")  # of `luthier corpus`


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"luthier {__version__}")
        raise typer.Exit


@app.callback()
def _before(
    version: Annotated[
        bool, typer.Option("--version", help="Say the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """What may stand before a command."""


for group in (
    comparing,
    study,
    training,
    pretraining,
    planning,
    rlhf,
    after,
    adapters,
    index,
    label,
    evaluate,
    score,
    prompt,
    export,
    runs,
    corpus,
    tokenizer,
    data,
    listing,
    doctor,
):
    group.add_to(app)


def main() -> None:
    """Run a command; an error for the user is one message and exit status 2, Ctrl-C ends with 130."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a label that the terminal cannot show must not end a command
    command.keep(sys.argv[1:])
    try:
        _check_ranks(sys.argv[1:])
        _check_out(sys.argv[1:])
        app()
    except LuthierError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # the reader (head, less) has gone: nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno is None:
            raise
        print(f"error: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        if not is_fault(error):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    finally:
        command.keep([])


def _check_ranks(given: list[str]) -> None:
    """Refuse to do several times, where torchrun starts several processes, what one does."""
    if started() and given and given[0] not in BY_SEVERAL and not given[0].startswith("-"):
        raise LuthierError(say("said_ranks_command", name=given[0]))


def _check_out(given: list[str]) -> None:
    """Refuse an address where a folder of this machine is meant: it would be taken for one called so."""
    if given[:1] == ["corpus"] and given[1:2] and given[1] in TO_ADDRESSES:
        return
    for one, two in pairwise([*given, ""]):
        value = two if one == "--out" else one.removeprefix("--out=") if one.startswith("--out=") else ""
        if is_address(value):
            raise LuthierError(f"--out {value}: this command writes to a folder of this machine: name a path")
