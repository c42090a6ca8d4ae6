"""Disturbed prompts: what changes and what must not, and the number against one worked by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny
from kinds import texts_of
from luthier.core.errors import LuthierError
from luthier.core.split import Split
from luthier.data.prompts import Template
from luthier.direct.wording_search.proposer import Proposer
from luthier.prompt_search import perturb, robust
from luthier.reports.prompts import robustness

TEMPLATE = Template("t", "Options: {labels}\n\nText: {input}\nCategory:", False)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def distance(a: str, b: str) -> int:
    """Edits of one character, by the plain dynamic programme."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


@pytest.mark.parametrize("text", ["where is my parcel today", "请把钱退给我好吗", "Wo ist die nächste Haltestelle?"])
def test_a_typo_is_small_and_there(text: str) -> None:
    for seed in range(20):
        changed = perturb.typos(text, np.random.default_rng(seed))
        assert changed != text and distance(text, changed) <= 2
    assert perturb.typos("12 3 !", rng()) == "12 3 !"


@given(st.text(max_size=40), st.integers(0, 50))
def test_typos_take_any_text(text: str, seed: int) -> None:
    perturb.typos(text, np.random.default_rng(seed), share=0.5)


def test_places_stay_whatever_happens() -> None:
    """Seen failing with the change made to the whole template."""
    for seed in range(20):
        source = np.random.default_rng(seed)
        changed = perturb.around_places(TEMPLATE.text, partial(perturb.typos, rng=source, share=0.9))
        assert "{input}" in changed and "{labels}" in changed and changed != TEMPLATE.text
    assert perturb.around_places("Say {input}", str.upper) == "SAY {input}"


def test_case_and_width() -> None:
    assert perturb.cases("Where?") == ["where?", "WHERE?"] and perturb.cases("退款，好吗？") == ["退款,好吗?"]
    assert perturb.cases("123") == []


def test_orders_differ_and_hold_all_labels() -> None:
    found = perturb.orders(("a", "b", "c"), 4, rng())
    assert found[0] == ("c", "b", "a") and len(set(found)) == len(found) == 4 and ("a", "b", "c") not in found
    assert all(sorted(o) == ["a", "b", "c"] for o in found) and perturb.orders(("a",), 3, rng()) == []


def made(lm: Any, proposer: Proposer | None = None) -> tuple[list[robust.Variant], list[str]]:
    failed: list[str] = []
    data = replace(tiny.LABELLED, test=())
    return list(robust.variants(TEMPLATE, data, data.validation, 2, 0, proposer, failed)), failed


def test_every_kind_is_there_and_inputs_keep_their_instruction(lm: Any) -> None:
    kinds = [v.kind for v in made(lm)[0]]
    assert [k for k, after in pairwise([*kinds, ""]) if k != after] == [
        "typos in the wording", "typos in the input", "case of the wording", "case of the input", "order of options",
    ]  # fmt: skip
    assert set(kinds) | {"paraphrase", "all"} == set(robustness.KINDS), "a kind without its Chinese name"
    told = robust.with_text(tiny.chat("Translate.\nDas Auto", "the car"), str.upper, "Translate.\n")
    assert told.messages[0].content == "Translate.\nDAS AUTO" and told.wanted == "the car"  # type: ignore[union-attr]


def test_a_proposer_that_fails_is_said(lm: Any) -> None:
    class Silent(Proposer):
        def rewritten(self, *_: Any) -> str:
            raise LuthierError("no answer within 60 s")

    class Garbage(Proposer):
        def rewritten(self, *_: Any) -> str:
            return "{"

    for kind, why in (
        (Silent, "no paraphrase was written: no answer within 60 s"),
        (Garbage, "was dropped: the brace"),
    ):
        found, failed = made(lm, proposer=kind(lm, tiny.LABELLED, "", 0))
        assert "paraphrase" not in {v.kind for v in found} and why in failed[0]


def test_the_number_against_one_worked_by_hand() -> None:
    """Two kinds of two and one variants. Seen failing with the mean over variants in place of the mean over kinds."""

    class Known:
        """Right where the template's length says so."""

        template, shots = TEMPLATE, ()

        def __init__(self, right: tuple[int, ...]) -> None:
            self.right = right

        def worded(self, template: Template, labels: tuple[str, ...], shots: Any) -> Known:
            return Known(tuple(int(c) for c in template.name))

        def predict(self, texts: Any, labels: tuple[str, ...]) -> Any:
            import torch

            out = torch.full((len(texts), len(labels)), -5.0)
            for i, (row, right) in enumerate(zip(tiny.LABELLED.validation, self.right, strict=True)):
                at = labels.index(row.wanted)
                out[i, at if right else (at + 1) % len(labels)] = 0.0
            return out

    data = Split("classification", tiny.LABELLED.train, (), labels=tiny.LABELLED.labels)
    rows = tiny.LABELLED.validation
    variants = [robust.Variant(kind, Template(name, "{input}", False), labels, rows, name)
                for kind, name, labels in (("a", "110", data.labels), ("a", "100", data.labels[::-1]),
                                           ("b", "000", data.labels))]  # fmt: skip
    result = robust.measure(Known((1, 1, 1)), data, rows, variants, lambda *_: None, [])
    changes = {c["kind"]: c["change"] for c in result["changes"]}
    assert result["score"] == 1.0 and changes == pytest.approx({"a": -0.5, "b": -1.0, "all": -0.75})
    assert all(c["ci95"][0] <= c["change"] <= c["ci95"][1] for c in result["changes"])
    said = robustness.spoken(result)
    assert said[-1] == "Only 3 rows: intervals of so few are too narrow."
    assert said[-2].startswith("  all kinds together: -75.0 points (95 % -")


def test_a_variant_that_cannot_be_scored_is_said_and_a_calibrated_prompt_stays_calibrated(
    lm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest goes on, and both sides of a change are calibrated alike."""
    from luthier.evals import task
    from luthier.evals.calibration import content_free
    from luthier.evals.with_examples import ShotsLM

    data = replace(tiny.LABELLED, test=())
    worded = lm.worded(TEMPLATE, data.labels)
    calibrated = ShotsLM(worded, content_free(worded, data.labels))
    seen: list[Any] = []
    plain = task.evaluate

    def scored(found: Any, split: Any, rows: Any) -> Any:
        seen.append(found)
        if len(seen) == 2:
            raise LuthierError("no answer within 60 s")
        return plain(found, split, rows)

    monkeypatch.setattr(task, "evaluate", scored)
    same = [robust.Variant(kind, TEMPLATE, labels, data.validation, "") for kind, labels in
            (("x", data.labels), ("same", data.labels), ("order", data.labels[::-1]))]  # fmt: skip
    failed: list[str] = []
    result = robust.measure(calibrated, data, data.validation, same, lambda *_: None, failed)
    assert failed == ["x was not scored: no answer within 60 s"] and len(result["tried"]) == 2
    asked = texts_of(data.validation)
    got = seen[2].predict(asked, data.labels)
    assert result["changes"][0]["change"] == 0 and got.equal(calibrated.predict(asked, data.labels))
    assert seen[3].favoured is not None
