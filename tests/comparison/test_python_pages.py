"""The Python in the pages runs, on a tiny model in place of the embedded one and with a budget of a few tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luthier.direct import features
from luthier.direct.classifiers import find
from luthier.models.loading import load

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.usefixtures("in_this_process")


SLOW = [pytest.param(page, marks=pytest.mark.slow) for page in ("docs/python.md", "docs/guide.zh-CN.md")]


@pytest.mark.parametrize("page", ["README.md", *SLOW])
def test_the_python_of_a_page_runs(
    page: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_folder: Callable[[str], Path]
) -> None:
    """Seen failing with the answers of `predict` read as one text. (Both READMEs have the same code: tests/docs.)"""
    monkeypatch.chdir(tmp_path)
    assert data == tmp_path / "mine.jsonl"
    monkeypatch.setattr(load, "embedded_model", lambda: tiny_folder("llama_tied"))
    monkeypatch.setattr(features, "chosen", lambda _: {"logistic": find("logistic")})  # the others take seconds
    names: dict[str, Any] = {}
    blocks = BLOCK.findall((ROOT / page).read_text("utf-8"))
    assert blocks
    for block in blocks:
        exec(compile(block.replace('"3m"', '"300-tokens"'), page, "exec"), names)
    board, model = names["board"], names["model"]
    assert {row.status for row in board.rows} == {"ok"} and model.predict("where is it") in model.labels
