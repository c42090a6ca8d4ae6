"""`luthier label` from the outside: each command, what it prints, and that help needs nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import runs
from commands import said
from labelling import process, stands
from luthier.core.errors import LuthierError
from luthier.feedback.store import Store

COMMANDS = ("new", "serve", "export", "agreement", "judge")


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom luthier.cli import app\n"
        f"for c in ('', *{COMMANDS}):\n"
        "    found = CliRunner().invoke(app, ['label', *c.split(), '--help'])\n"
        "    assert found.exit_code == 0 and 'Example: luthier label' in found.output, c\n"
        "print([m for m in ('torch', 'fastapi', 'uvicorn', 'nltk', 'numpy', 'sqlite3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    rows = [{"prompt": f"question {n}", "answers": [f"a{n}", f"b{n}"]} for n in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_from_answers_to_a_file(answers: Path, tmp_path: Path) -> None:
    """Made, served, labelled by two, exported, compared; skips and ties are said."""
    pytest.importorskip("fastapi")
    folder, out = tmp_path / "labels", tmp_path / "out.jsonl"
    made = said("label", "new", answers, "--out", folder, "--overlap", "0.5")
    assert (
        "6 questions with 12 answers; every annotator gets 3 of them." in made
        and f"luthier label serve {folder}" in made
    )
    with pytest.raises(LuthierError, match="has no label yet"):
        said("label", "export", folder, "--out", out)
    assert "no question has two labels" in said("label", "agreement", folder)
    with process(folder, "--token", "secret-of-the-test") as server:
        assert server.address.endswith("/?token=secret-of-the-test")
        for name, values in (("Anna", ["left", "tie", None, "left"]), ("Bert", ["left"] * 4)):
            client = server.client().enter(name)
            for value in values:
                client.label(value)
    printed = said("label", "export", folder, "--out", out)
    assert f"7 rows written to {out}: 6 pairs, 1 ties." in printed
    assert "From 7 labels of 2 annotators; 1 skips left out." in printed
    assert {json.loads(line)["annotator"] for line in out.read_text().splitlines()} == {"Anna", "Bert"}
    shown = said("label", "agreement", folder)
    assert "2 annotators" in shown and "Anna, Bert" in shown and "too few to tell" in shown and "alpha" in shown
    assert "rows written" in said("label", "export", folder, "--out", out, "--majority", "--kind", "ranking")


@pytest.mark.parametrize("token", ["short", "with space", "semi;colon", "令牌令牌令牌令牌"])
def test_what_is_no_token(tmp_path: Path, token: str) -> None:
    """It stands in an address and in a cookie."""
    pytest.importorskip("fastapi")
    with pytest.raises(LuthierError, match="--token: it is 8 to 100 letters"):
        said("label", "serve", tmp_path, "--token", token)


def test_a_new_process_keeps_address_and_token(answers: Path, tmp_path: Path) -> None:
    """So that an open page goes on after a kill."""
    pytest.importorskip("fastapi")
    folder = tmp_path / "labels"
    said("label", "new", answers, "--out", folder)
    places = []
    for _ in range(2):
        with process(folder) as server:
            places.append(server.address)
            server.kill()
    assert places[0] == places[1]


def test_prompts_that_models_answer(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """A run and a model answer four prompts; who wrote what is kept, and not shown."""
    path, model = tmp_path / "prompts.jsonl", runs.finished(tiny_folder("llama_tied"), tmp_path / "run")
    path.write_text("".join(json.dumps({"prompt": f"where is parcel {n}?"}) + "\n" for n in range(4)))
    made = said("label", "new", path, "--out", tmp_path / "p", "--from", model, "--from", tiny_folder("gpt2"),
                "--max-new-tokens", "8", "--seed", "3")  # fmt: skip
    assert "4 questions with 8 answers" in made
    store = Store(tmp_path / "p")
    assert {question.sources for question in store.questions().values()} == {(str(model), str(tiny_folder("gpt2")))}
    store.close()


def test_a_judge(answers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "labels"
    said("label", "new", answers, "--out", folder)
    monkeypatch.setattr("luthier.feedback.judging.judge", lambda *_: (5, 1))
    printed = said("label", "judge", folder, "--judge", "m")
    assert "5 questions labelled" in printed and "1 questions not labelled" in printed
    assert stands(folder) == []


def test_what_is_not_installed(answers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LuthierError, match="labelling needs fastapi, uvicorn: pip install fastapi uvicorn"):
        said("label", "serve", tmp_path)
