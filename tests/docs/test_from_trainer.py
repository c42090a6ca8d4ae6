"""docs/from-trainer.md does what it says: its code is run as it stands, and three losses of each step are one."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

import tiny
from commands import said

PAGE = Path(__file__).parents[2] / "docs" / "from-trainer.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# an answer ends with its end token: what templates write behind that, TRL learns and Luthier does not
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the page names: as many rows to train on as a step takes, since each side shuffles its way."""
    base = tiny.save_model("llama_tied", tmp_path / "my-model")
    words = AutoTokenizer.from_pretrained(base)
    words.chat_template = TEMPLATE
    words.save_pretrained(base)
    for name, rows in (("chats", range(10)), ("held", range(10, 13))):
        lines = [json.dumps({"messages": [
            {"role": "user", "content": f"Where is parcel {at}{'?' * (at % 3)}"},
            {"role": "assistant", "content": f"It is at door {at * at}."},
        ]}) for at in rows]  # fmt: skip
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_three_losses_are_one(place: Path) -> None:
    """Seen failing with the prompt learned, with a warm-up in the recipe, and with a line break behind the answer."""
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    code = [text for kind, text in blocks if kind == "python"]
    names: dict[str, Any] = {}
    for text in code[:3]:
        exec(text, names)
    (recipe,) = [text for kind, text in blocks if kind == "yaml"]
    (place / "chats.yaml").write_text(recipe)
    command = next(text for kind, text in blocks if not kind)
    said(*shlex.split(command)[1:])
    ours = [json.loads(line)["loss"] for line in (place / "chats" / "metrics.jsonl").read_text().splitlines()]
    theirs = [
        [float(entry["loss"]) for entry in names[name].state.log_history if "loss" in entry]
        for name in ("trainer", "sft")
    ]
    assert len(ours) == 5 and ours[-1] < ours[0] - 0.1
    for found in theirs:
        assert found == pytest.approx(ours, rel=1e-5)
