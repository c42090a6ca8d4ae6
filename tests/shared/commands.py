"""The command line as a user starts it, inside this process."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from luthier.cli import app


def said(*arguments: str | Path, answer: str = "", code: int = 0) -> str:
    """What a command prints; what it is asked is answered."""
    done = CliRunner().invoke(app, [*map(str, arguments)], input=answer, env={"COLUMNS": "200"})
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output
