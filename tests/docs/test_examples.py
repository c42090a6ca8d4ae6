"""Every example runs: each script, each notebook, as its reader runs it, with a tiny base and little to learn."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
SHOWN = {  # what must be among what an example prints, besides something
    "chinese_reviews": r"prediction.*\n(.*(好评|差评).*\n){2}",
    "classifier_in_sklearn": r"by scikit-learn, 0\.\d{4} by Luthier",
    "compare_and_read": r"lora: 0\.\d\d, surely between",
    "compare_variants": r"lora-r16: trains [\d,]+ numbers",
    "export_and_load": r"between the two: \d\.\de-0[5-9]",
    "index_and_ask": r"leave\.md(.|\n)*值班\.md",
    "learning_curve": r"\n +16 rows: \d\.\d\d",
    "mix_adapters": r"\nruns/mixed: '",
    "own_metric": r"graded: features 0\.\d+",
    "own_patch": r"norms trained [\d,]+ numbers: (negative|neutral|positive)",
    "prompts_only": r"few_shot: \d+ ms for an answer\n.*→ (好评|差评)",
    "train_and_ask": r"gives labels \(book, cancel, move\)(.|\n)*: (book|cancel|move) \{",
}


@pytest.fixture(scope="session")
def setting(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an example: a tiny random base, few rows, few tokens, no hub, a cache of its own."""
    sizes = {"EXAMPLE_MODEL": str(tiny_folder("llama_tied")), "EXAMPLE_ROWS": "40", "EXAMPLE_TOKENS": "800"}
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    cache = str(tmp_path_factory.mktemp("cache"))
    return {**os.environ, **sizes, "PYTHONPATH": path, "LUTHIER_CACHE": cache, "HF_HUB_OFFLINE": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_script_runs(path: Path, setting: dict[str, str], tmp_path: Path) -> None:
    """In an empty folder. Seen failing with an option misspelled, and with a print taken out."""
    done = subprocess.run(
        [sys.executable, path], cwd=tmp_path, env=setting, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert re.search(SHOWN.get(path.stem, r"\w"), done.stdout), done.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs(
    path: Path, setting: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From top to bottom in a fresh kernel. Seen failing with a column of the table misspelled."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    book = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        book, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    said = [str(output) for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert "<table" in " ".join(said) and len(said) >= 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_clean(path: Path) -> None:
    """Valid, and nothing of a run is kept in it. Seen failing with an output."""
    nbformat = pytest.importorskip("nbformat")
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    for cell in book.cells:
        assert cell.cell_type == "markdown" or (not cell.outputs and cell.execution_count is None)
    assert not {"kernelspec", "language_info"} & {*book.metadata} or book.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_script_is_short_and_public(path: Path) -> None:
    """At most 60 lines, says how it is run, and imports nothing but `luthier`. Seen failing with `luthier.runs.run`."""
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 60
    assert f"python examples/{path.name}" in (ast.get_docstring(tree) or "")
    inside = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "luthier"]
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert not [n for n in (*names, *(node.module or "" for node in inside)) if n.startswith("luthier.")]


def test_no_two_write_to_one_folder() -> None:
    """They are run one after the other in the same place. Seen failing with two that wrote runs/translate."""
    places = [{*re.findall(r"runs/([\w-]+)", path.read_text("utf-8"))} for path in (*SCRIPTS, *NOTEBOOKS)]
    named = [place for found in places for place in found]
    assert sorted(named) == sorted({*named}) and len(named) > len(SCRIPTS)


def test_the_table_names_every_example() -> None:
    """Seen failing with a script that the table lacks. There are at least eight scripts and two notebooks."""
    linked = set(re.findall(r"\]\(([\w.-]+\.(?:py|ipynb))\)", (EXAMPLES / "README.md").read_text("utf-8")))
    assert linked == {path.name for path in (*SCRIPTS, *NOTEBOOKS)}
    assert {*SHOWN} <= {path.stem for path in SCRIPTS}
    assert len(SCRIPTS) >= 8 and len(NOTEBOOKS) >= 2
