"""Fixtures of several rooms: tiny models on disk, and a fresh one for each test. Heavy imports stay inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser import browser, open_page  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM


@pytest.fixture(autouse=True)
def float32_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which number format is faster differs between processors; what tests expect must not."""
    monkeypatch.setattr(
        "luthier.models.machine.product_rates", lambda: dict.fromkeys(("float32", "bfloat16", "float16"), 1.0)
    )


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny random model by its kind (`tiny.KINDS`), written once."""
    import torch

    import tiny

    torch.set_num_threads(1)
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = tiny.save_model(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return folder


@pytest.fixture
def lm(
    tiny_folder: Callable[[str], Path], request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CausalLM:
    """A tiny model that this test may break; `@pytest.mark.parametrize("lm", KINDS, indirect=True)` picks the kind."""
    import tiny

    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    found: CausalLM = tiny.fresh(tiny_folder(getattr(request, "param", "llama_tied")))
    return found
