"""The command line starts light, explains itself, and ends in the right way."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "numpy", "sklearn", "rich.progress", "plotly")
COMMANDS = (
    "compare", "train", "predict", "chat", "eval", "export", "methods", "fetch", "doctor", "study", "adapters", "runs",
    "data", "index", "prompt", "label", "score", "rlhf", "corpus", "tokenizer", "pretrain", "plan",
)  # fmt: skip
STARTED = """
import sys
try:
    from luthier.cli import main
    sys.argv = {argv!r}
    main()
finally:
    print([m for m in {heavy!r} if m in sys.modules])
"""
INTERRUPTED = """
import sys
from luthier.comparison.execution import supervisor
from luthier.cli import main
def run(*_):
    raise KeyboardInterrupt
supervisor.run = run
sys.argv = ["luthier", "compare", "--methods", "lora"]
main()
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run it in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["methods"],
        ["compare", "--help"],
        ["study", "--help"],
        ["study", "rank", "--help"],
        ["prompt", "--help"],
        ["prompt", "search", "--help"],
        ["index", "--help"],
    ],
)
def test_nothing_heavy_is_imported(argv: list[str]) -> None:
    done = python(STARTED.format(argv=["luthier", *argv], heavy=HEAVY))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "argv",
    [["compare", "nosuch.jsonl"], ["compare", "--budget", "x"], ["train", "x=1"], ["predict", "nosuch", "nosuch.csv"]],
)
def test_a_mistake_is_said_before_torch_is_imported(argv: list[str]) -> None:
    done = python(STARTED.format(argv=["luthier", *argv], heavy=("torch", "transformers")))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert done.stdout == "[]\n"


def test_every_command_has_an_example() -> None:
    code = (
        "import typer\nfrom luthier.cli import app\nfor c in typer.main.get_command(app).commands.values():\n"
        "  print(c.name, 'Example: luthier ' + c.name in c.help, all(p.help for p in c.params if p.name != 'help'))"
    )
    done = python(code)
    assert sorted(done.stdout.split("\n")[:-1]) == sorted(f"{name} True True" for name in COMMANDS), done.stderr


def test_no_command_at_all_is_the_help() -> None:
    done = python(STARTED.format(argv=["luthier"], heavy=HEAVY))
    assert "Usage:" in done.stdout + done.stderr


def test_the_list_of_methods() -> None:
    done = python(STARTED.format(argv=["luthier", "methods"], heavy=HEAVY))
    for name in ("zero_shot", "lora", "sft"):
        assert f"  {name} " in done.stdout


def test_ctrl_c_is_130_without_a_traceback() -> None:
    done = python(INTERRUPTED)
    assert done.returncode == 130
    assert done.stderr.strip() == "interrupted: the same command goes on from here"
