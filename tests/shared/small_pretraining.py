"""Pre-training small enough for a test: a recipe beside the text that it learns, and a bar that shows nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stories import story

RECIPE = """text: story.txt
tokenizer: {kind: bpe, size: 400}
shape: {kind: decoder, depth: 1, context: 64}
training: {tokens: 6000, batch: 8, optimizer: muon, schedule: wsd}
dtype: float32
threads: 1
"""


@contextmanager
def bar(title: str) -> Iterator[Any]:
    yield lambda done, of: None


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "story.txt").write_text("\n".join(story(n, 30) for n in range(60)))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path / "recipe.yaml"
