"""What holds for all tests of the contract."""

from __future__ import annotations

import pytest

import tiny
from contract import ENTRIES
from luthier.core import catalog


@pytest.fixture(autouse=True)
def _heads_on_one_model(request: pytest.FixtureRequest) -> None:
    """Objectives that differ from `classify` by their head and loss only run on the first model."""
    given = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    other = "pair" in given and given.get("lm", tiny.MODELS[0]) != tiny.MODELS[0]
    if other and catalog.load(ENTRIES[given["pair"].objective]).heads[0] in ("tags", "scalar"):
        pytest.skip("the head is the same on every model")
