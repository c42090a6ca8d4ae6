"""What the comparisons of open sets become is read as preferences."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from luthier.core.phrases import Phrase
from luthier.core.records import Ranking
from luthier.data.opensets.families.ratings import ratings
from luthier.data.opensets.families.trees import tree
from luthier.data.read import read

SCORED = {
    "user_input": "Name a prime.",
    "responses_and_scores": [
        {"response": "Seven.", "score": 9.0, "source": "one"},
        {"response": "Nine.", "score": "2", "source": "other"},
        {"response": "七。", "score": 9.0, "source": "third"},
    ],
}
TREE = {
    "message_tree_id": "t",
    "prompt": {
        "role": "prompter", "text": "账户登不上怎么办？", "lang": "zh",
        "replies": [
            {"role": "assistant", "text": "别着急，先点忘记密码。", "rank": 0, "replies": []},
            {"role": "assistant", "text": "不知道。", "rank": 1, "replies": []},
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize(("convert", "row", "pairs"), [(ratings, SCORED, ((0, 1), (2, 1))), (tree, TREE, ((0, 1),))])
def test_comparisons_are_rankings(tmp_path: Path, convert: Any, row: Any, pairs: Any) -> None:
    left: Counter[Phrase] = Counter()
    (record,) = [record for file, record in convert(row, left) if "answers" in record]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    (found,) = read(path).records
    assert isinstance(found, Ranking) and found.pairs == pairs
