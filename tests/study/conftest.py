"""Finished studies on tiny models, each run once for all tests that look at it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from luthier.io.config import DataConfig
from luthier.study.finding import Finding
from luthier.study.runner import Request, Result, run
from stories import story

TEXTS = {"architecture": 52_000}  # tokens of a study that trains on text
BUDGETS = {"lora-init": 8_000, "lora-targets": 12_000, "lora-rank": 12_000, "lora-plus": 12_000, "rank": 6_000}


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of labelled rows that a tiny model learns."""
    path = tmp_path_factory.mktemp("rows") / "rows.tsv"
    words = {"good": ("fine", "lovely", "great", "warm"), "bad": ("awful", "cold", "late", "broken")}
    lines = [f"the {a} was {w} and {v}\t{label}" for label, found in words.items() for a in ("tea", "bus", "film")
             for w in found for v in found if w != v]  # fmt: skip
    path.write_text("text\tlabel\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def long_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of text for studies that train nothing."""
    path = tmp_path_factory.mktemp("text") / "story.txt"
    path.write_text("\n".join(story(n, 30) for n in range(12)), encoding="utf-8")
    return path


Studied = Callable[..., tuple[Result, Finding, Path]]


@pytest.fixture(scope="session")
def studied(tiny_folder: Any, rows: Path, long_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Studied:
    """A study by name on tiny models: what ran, what it found, and its folder."""

    @cache
    def studied(name: str, kinds: tuple[str, ...] = ("llama_tied",), **options: Any) -> tuple[Result, Finding, Path]:
        models = tuple(str(tiny_folder(kind)) for kind in kinds)
        trains = name in BUDGETS
        data = DataConfig(str(rows), limit_test=12) if trains else DataConfig(str(long_text))
        budget = f"{BUDGETS[name] * len(kinds)}-tokens" if trains else f"{TEXTS[name]}-tokens" if name in TEXTS else ""
        models = ("random weights",) if name in TEXTS else models
        request = Request(name, options, data, models, budget, seeds=2 if trains else 1, threads=1)
        folder = tmp_path_factory.mktemp(name) / "out"
        result = run(request, folder, lambda what, share: None)
        return result, request.made().finding(result.models), folder

    return studied


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process runs all that looks at studies: each is run once then."""
    for item in items:
        if "studied" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("studies"))
