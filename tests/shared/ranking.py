"""Commands that torchrun starts in several processes, and a recipe for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

import luthier

WORDS = ["the cat sat on the mat", "a dog ran to the park", "the sun is very warm", "we like to read books"]


def torchrun(ranks: int, *command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`luthier` by so many processes."""
    started = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(luthier.__file__).parents[1])}
    given = [sys.executable, *started, "-m", "luthier", *command]
    return subprocess.run(given, capture_output=True, text=True, check=False, timeout=300, env=env, cwd=folder)


def recipe_for(model: Path, folder: Path, **training: Any) -> Path:
    """LoRA on a tiny model that writes."""
    rows = [{"input": f"{words} {n}", "output": words} for n in range(6) for words in WORDS]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    path = folder / "recipe.yaml"
    given = {"tokens": 3000, "batch": 4, "micro_tokens": 64, "learning_rate": 1e-2, **training}
    values = {"method": "lora", "model": str(model), "dtype": "float32", "threads": 1}
    data = {"path": str(folder / "rows.jsonl"), "answer_tokens": 4, "anyway": True, "instruction": ""}
    path.write_text(yaml.safe_dump({**values, "data": data, "training": given}), "utf-8")
    return path
