"""What holds for all tests of the contract."""

from __future__ import annotations

import pytest

import tiny
from contract import ENTRIES
from luthier.core import catalog


@pytest.fixture(autouse=True)
def _what_differs_little_on_fewer_models(request: pytest.FixtureRequest) -> None:
    """Objectives that differ from another one by their head or their loss only run on the first model.

    Of those that learn from pairs `dpo` stands for the others, on one model of each kind.
    """
    given = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    model = given.get("lm", tiny.MODELS[0])
    if "pair" not in given or model == tiny.MODELS[0]:
        return
    objective = catalog.load(ENTRIES[given["pair"].objective])
    if objective.heads[0] in ("tags", "scalar"):
        pytest.skip("the head is the same on every model")
    if objective.tasks == ("preference",) and (given["pair"].objective != "dpo" or model not in ("gpt2", "t5")):
        pytest.skip("the loss is the same on every model")
