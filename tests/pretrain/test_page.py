"""The page of a model from text: what it says, in both languages, offline, whatever stands in texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import page_checks
from luthier.core.phrases import remember, say
from luthier.reports import pretraining_page

ODD = "<script>alert(1)</script> & \x1b[31m red \x00 \u202e"
STEPS = 300
FOUND: dict[str, Any] = {
    "secondary": {"held_out_loss": 3.0, "bits_per_byte": 1.5}, "bits_per_byte": 1.5, "bits_per_byte_ci95": [1.4, 1.6],
    "below_5gram": [0.85, 0.8, 0.9],
    "blocks": [[0, 1.0, 2]] * 12, "byte_5gram": 2.35, "xz": 2.42, "parameters": 4_200_000, "tokens": 600_000,
    "steps": STEPS, "train_seconds": 754.0, "notes": [],
    "choices": {
        "grammar_en": {"items": 60, "accuracy": 0.8, "low": 0.68, "high": 0.88, "chance": 0.5, "longest": 0.5},
        "facts_en": {"items": 60, "accuracy": 0.3, "low": 0.2, "high": 0.43, "chance": 0.25, "longest": 0.21},
    },
}  # fmt: skip


def written(folder: Path, **changes: Any) -> str:
    """The page of a folder with these results."""
    found = {name: value for name, value in (FOUND | changes).items() if value is not None}
    asked = {"shape": {"kind": "decoder", "depth": 4, "context": 512}, "model": "", "method": "full"}
    (folder / "eval.json").write_text(json.dumps(remember(found, "notes")))
    (folder / "pretraining.yaml").write_text(json.dumps(asked))
    lines = [
        {"step": at, "tokens": 2000 * at, "loss": 8 - at / 100, "learning_rate": 0.004, "grad_norm": 1.0}
        | ({"validation_loss": 6.0 - at / 100} if at % 100 == 0 else {})
        for at in range(1, STEPS + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    samples = [{"beginning": f"{ODD}\nbegun", "temperature": 0.8, "seed": 1, "continuation": f"on\n{ODD}"}]
    samples += [{"beginning": "begun", "temperature": 0.0, "seed": 0, "continuation": ""}]
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in samples))
    return pretraining_page.write_page(folder).read_text("utf-8")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "It is below both baselines: 1.500 [1.400, 1.600] bits a byte"),
        ({}, "on the same stretches the 5-gram needs 0.850 [0.800, 0.900] more"),
        ({"below_5gram": [0.1, -0.1, 0.3]}, "It is below both baselines, but not for sure"),
        ({"below_5gram": None}, "by a text too short to be sure"),
        ({}, "(the text ends here)"),
        ({"bits_per_byte": 2.4}, "It has not beaten plain counting yet: 2.400"),
        ({}, "Above chance and the longest choice for sure: English grammar."),
        ({"choices": {"grammar_en": FOUND["choices"]["facts_en"]}}, "No multiple-choice task is above chance"),
        ({}, "Trained: a new decoder, depth 4, context of 512 tokens, 4.2 M parameters; 600 k tokens in 300 steps"),
        ({"choices": {"gone": FOUND["choices"]["facts_en"]}}, "gone"),
    ],
)
def test_what_can_be_said_is_said(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert said in written(tmp_path, **changes)


def test_what_was_not_measured_is_left_out(tmp_path: Path) -> None:
    """Of a model that tells no text's likelihood and writes none: the notes say so."""
    notes = [say("said_no_choices", why=say("said_refused_encoder")), say("said_no_samples", why="it only reads")]
    page = written(tmp_path, bits_per_byte=None, bits_per_byte_ci95=None, choices=None, secondary={}, notes=notes)
    assert "multiple-choice tasks are left out: " in page and "未写续文" in page
    assert "bits a byte" not in page and "<h2>" in page and "Multiple choice" not in page


def test_a_figure_of_another_task_is_told_as_such(tmp_path: Path) -> None:
    secondary = {"held_out_loss": 3.0, "masked_bits_per_byte": 1.2}
    page = written(tmp_path, bits_per_byte=None, bits_per_byte_ci95=None, masked_bits_per_byte=1.2, secondary=secondary)
    assert "It needs 1.200 bits a byte of masked tokens" in page and "below both" not in page
    assert "xz -9" not in page


def test_a_curve_has_the_means_of_its_steps(tmp_path: Path) -> None:
    """No more points than are drawn, each the mean of as many steps; bits a byte by the held-out text's own ratio."""
    page = written(tmp_path)
    assert page.count("<title>training: ") == STEPS // 3
    assert "<title>training: 7.98</title>" in page and "<title>validation: 5</title>" in page
    assert "<title>validation: 2.5</title>" in page


def test_the_page_in_a_browser(
    open_page: Callable[..., AbstractContextManager[tuple[Any, list[str]]]], tmp_path: Path
) -> None:
    written(tmp_path)
    for look in ("light", "dark"):
        with open_page(tmp_path / pretraining_page.PAGE, color_scheme=look) as (page, heard):
            assert heard == [] and "<script>alert(1)</script>" in page.inner_text("main")
            assert "\x1b" not in page.inner_text("main") and "\\x1b" in page.inner_text("main")
            assert page.evaluate(page_checks.NAMES) == [] and page.evaluate(page_checks.CONTRAST)["wrong"] == []
            page.click("[data-language=zh]")
            assert "低于两种基线" in page.inner_text("main") and "英语语法" in page.inner_text("main")
            assert "below both" not in page.inner_text("main") and page.evaluate(page_checks.MOVES) == 0
            assert heard == []
