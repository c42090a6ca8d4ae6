"""200 labels by two browsers at once, the server killed twice: every acknowledged one is there, none twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import labelling
from labelling import project, stands

LABELS, KEYS = 200, ("ArrowLeft", "ArrowRight", "t", "n")


# Notes every key that the server acknowledges, in the page itself.
NOTE = """() => {
  const ask = window.fetch;
  window.saved = [];
  window.fetch = async (...request) => {
    const answer = await ask(...request);
    if (request[0] === "api/label" && answer.ok) window.saved.push((await answer.clone().json()).saved);
    return answer;
  };
}"""


def done(page: Any) -> int:
    return int(page.evaluate("() => document.getElementById('progress').value"))


@pytest.mark.slow
def test_two_hundred_labels_and_two_kills(labelling_page: Callable[..., Any], tmp_path: Path) -> None:
    folder = project(tmp_path / "p", LABELS - 20, shared=range(1, LABELS, 9))
    server = labelling.start(folder)
    pages = {name: labelling_page(server.address, name) for name in ("Anna", "Bert")}
    for page in pages.values():
        page.evaluate(NOTE)
    total, kills = 0, [LABELS // 3, 2 * LABELS // 3]
    try:
        while total < LABELS:
            for number, page in enumerate(pages.values()):
                before = done(page)
                if kills and total >= kills[0] and number == 0:
                    kills.pop(0)
                    server.kill()
                    page.keyboard.press(KEYS[total % 4])  # said while there is no server
                    page.wait_for_selector("#trouble:not([hidden])")
                    server = labelling.start(folder)
                    assert page.url.startswith(server.address.partition("?")[0])
                else:
                    page.keyboard.press(KEYS[total % 4])
                page.wait_for_function("(n) => document.getElementById('progress').value > n", arg=before)
                total += 1
        assert kills == []
        for page in pages.values():
            page.wait_for_selector("#trouble", state="hidden")
        acknowledged = {name: page.evaluate("() => window.saved") for name, page in pages.items()}
    finally:
        server.kill()
    found = stands(folder)
    for name, keys in acknowledged.items():
        own = {row["key"]: row["question"] for row in found if row["name"] == name}
        assert sorted(own) == sorted(keys) and len(own) == len({*own.values()}) == LABELS // 2
    alone = [row["question"] for row in found if row["question"] % 9 != 1]
    assert len(alone) == len({*alone}) and len(found) == LABELS
    assert {json.dumps(row["value"]) for row in found} == {
        '{"ranks": [1, 2]}', '{"ranks": [2, 1]}', '{"ranks": [1, 1]}', '{"ranks": [1, 1], "verdict": "neither"}',
    }  # fmt: skip
