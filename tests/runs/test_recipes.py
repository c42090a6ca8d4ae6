"""The recipes that name models of the hub, each run on a folder of that architecture with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoConfig, AutoTokenizer

import tiny
from luthier.api import train
from luthier.io.config import read_recipe
from luthier.io.files import read_json

FOLDER = Path(__file__).parents[2] / "recipes"
COLOURS, THINGS = ("red", "green", "blue"), ("parcel", "invoice", "letter", "ticket")
PAIRS = [
    (f"Where is the {c} {t}, number {n}?", f"The {c} {t} is here.")
    for n in range(2) for c in COLOURS for t in THINGS
]  # fmt: skip
ROWS: dict[str, tuple[str, str, list[dict[str, Any]]]] = {  # of a recipe: what stands for its model, its file, rows
    "llama2-qlora": ("llama_untied", "mine.jsonl", [{"instruction": a, "output": b} for a, b in PAIRS]),
    "qwen-chat": (
        "qwen2_sliding", "chats.jsonl",
        [{"messages": [{"role": "user", "content": a}, {"role": "assistant", "content": b}]} for a, b in PAIRS],
    ),
    "gpt2-text": ("gpt2", "texts.jsonl", [{"text": f"{a} {b} " * 3} for a, b in PAIRS]),
    "t5-pairs": ("t5", "pairs.jsonl", [{"article": a, "summary": b} for a, b in PAIRS]),
    "bert-labels": ("bert", "tickets.jsonl", [{"text": a, "label": a.split()[3]} for a, _ in PAIRS]),
}  # fmt: skip
FAMILIES = {"llama2-qlora": "llama", "qwen-chat": "qwen2", "gpt2-text": "gpt2", "t5-pairs": "t5", "bert-labels": "bert"}


def run(name: str, work: Path) -> Path:
    """The recipe trained briefly on its stand-in; gives the run folder."""
    kind, file, rows = ROWS[name]
    base = tiny.save_model(kind, work / "base")
    if kind in ("llama_untied", "gpt2"):  # which come without a template for conversations
        words = AutoTokenizer.from_pretrained(base)
        words.chat_template = None
        words.save_pretrained(base)
        (base / "chat_template.jinja").unlink(missing_ok=True)
    (work / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = ("training.tokens=2000", "training.batch=4", "training.learning_rate=2e-3", "data.answer_tokens=4")
    recipe = read_recipe(FOLDER / f"{name}.yaml", [f"model={base}", f"data.path={work / file}", "threads=1", *settings])
    train(recipe, work / "run")
    return work / "run"


@pytest.mark.parametrize("name", ROWS)
def test_it_runs_and_learns(name: str, tmp_path: Path) -> None:
    """Seen failing with `sft` in the recipe of BERT, and with the columns of the recipe of T5 left unnamed."""
    if name == "llama2-qlora":
        pytest.importorskip("bitsandbytes")
    folder = run(name, tmp_path)
    assert AutoConfig.from_pretrained(tmp_path / "base").model_type == FAMILIES[name]
    losses = [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) >= 4 and min(losses[-2:]) < losses[0]
    written, asked = (yaml.safe_load(p.read_text()) for p in (folder / "recipe.yaml", FOLDER / f"{name}.yaml"))
    assert written["method"] == asked["method"] and written["objective"] == asked["objective"]
    assert {k: written["patch"][k] for k in asked.get("patch", {})} == asked.get("patch", {})
    told = read_json(folder / "eval.json")
    assert told["per_row"] and (told["base_bytes"] < 0.3 * told["base_bytes_bf16"]) is (name == "llama2-qlora")


def test_they_are_short_and_name_what_people_look_for() -> None:
    for name, family in FAMILIES.items():
        text = (FOLDER / f"{name}.yaml").read_text("utf-8")
        assert len(text.splitlines()) <= 20
        assert family in yaml.safe_load(text)["model"].lower().replace("llama-2", "llama").replace("qwen2.5", "qwen2")
