"""The winner's model card: what it says comes from the comparison's files, and hostile text stays text in Markdown."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from board_sample import sample_board, sample_details
from evidence_sample import HOSTILE, sample_evidence
from luthier.io.files import write_json
from luthier.reports.comparison import card

EVIL = "a | b\n# title <script>alert(1)</script> [x](javascript:alert) ![y](z) `code` *bold* &amp; ~~s~~ \\"
LANGUAGES = {"train": {"han": 120, "other": 264}, "validation": {"han": 40, "other": 88},
             "test": {"han": 80, "other": 160}}  # fmt: skip


def details() -> dict[str, Any]:
    return {**sample_details(), "evidence": sample_evidence(), "languages": LANGUAGES}


def parsed(text: str) -> list[Any]:
    body = text.split("---\n", 2)[2]
    return MarkdownIt("commonmark").enable("table").parse(body)


def test_says_what_was_measured(tmp_path: Path) -> None:
    card.write_card(sample_board(), details(), tmp_path)
    text = (tmp_path / card.NAME).read_text("utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    assert front == {"tags": ["luthier", "lora"], "pipeline_tag": "text-classification"}
    for said in (
        "**Base model:** SmolLM2-135M-Instruct", "| train | 384 | 120 | 264 |",
        "| `lora` (this model) | 87.1 | 82.9 – 91.0 |",
        "rose by +0.06 nats", "lora beats zero\\_shot by 44.8 points", "2.4 M (1.8 % of the model)", "账户安全",
        "With 240 test rows the score is known to about ± 4.1 points", "fewer than 20 test rows",
        "luthier.load(", "Luthier does not read licences", "to be filled in",
    ):  # fmt: skip
        assert said in text, said
    assert "few_shot beats" not in text and "few\\_shot beats" not in text  # not about the winner
    assert "PEFT" not in text and "Apache" not in text  # neither was found in the files
    tables = [t for t in parsed(text) if t.type == "table_open"]
    assert len(tables) == 4


def test_loading_is_told_by_the_files_that_are_there(tmp_path: Path) -> None:
    adapter = tmp_path / "trials" / "lora" / "seed-0" / "adapter"
    adapter.mkdir(parents=True)
    write_json(adapter / "adapter_config.json", {"peft_type": "LORA"})
    board = sample_board()
    board["rows"] = [{**row, "model": "embedded"} for row in board["rows"]]
    text = card.render_card(board, details(), tmp_path)
    assert "PEFT's layout (LORA)" in text and "Base model: Apache-2.0" in text


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """Seen failing with labels and notes written as they come."""
    board, facts = copy.deepcopy(sample_board()), details()
    board["model"] = EVIL
    facts |= {
        "title": EVIL,
        "notes": [EVIL, *HOSTILE],
        "labels": [EVIL],
        "summaries": {"lora": EVIL},
        "environment": {EVIL: EVIL},
        "command": "```\n# not a title",
        "recipe": "a: ~~~\n````\n<b>",
    }
    board["verdicts"][1] |= {"a": "lora", "b": EVIL}
    facts["evidence"]["by_label"][0]["name"] = EVIL
    text = card.render_card(board, facts, tmp_path)
    tokens = parsed(text)
    inside = [child for token in tokens for child in token.children or []]
    live = {"html_block", "html_inline", "link_open", "image", "em_open", "s_open"}
    assert not [t for t in [*tokens, *inside] if t.type in live]
    titles = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open" and t.tag == "h2"]
    assert titles == ["What it is", "Data", "Scores", "By label", "By language", "Limits", "How to load it", "Licence",
                      "How it was made"]  # fmt: skip
    widths, row = set(), 0
    for token in tokens:
        row = 0 if token.type == "tr_open" else row + (token.type in ("td_open", "th_open"))
        if token.type == "tr_close":
            widths.add(row)
    assert widths == {3, 4}
    fences = [t.content for t in tokens if t.type == "fence"]
    assert "```\n# not a title\n" in fences and "a: ~~~\n````\n<b>\n" in fences


@pytest.mark.parametrize("missing", ["evidence", "languages", "recipe", "command", "environment", "labels"])
def test_survives_missing_facts(tmp_path: Path, missing: str) -> None:
    facts = details()
    facts.pop(missing)
    assert "## Scores" in card.render_card(sample_board(), facts, tmp_path)


def test_no_winner_no_card(tmp_path: Path) -> None:
    card.write_card({**sample_board(), "best": None}, details(), tmp_path)
    assert list(tmp_path.iterdir()) == []
