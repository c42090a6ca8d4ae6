"""An encoder-decoder that denoised plain text, then learned four tasks at once, all as text to text.

    python bench/several_tasks.py --data ../shared/data
    python bench/several_tasks.py --tokens 20000 --start RUN    (a try on a model that is there, nothing is written)

First `luthier pretrain recipes/tiny-t5.yaml`, then `luthier train` on the training rows of all tasks, then
`luthier eval` on test rows of each. Right is the answer as written, exactly; beside it stands the share of the label
that the training rows have most often. One seed. The last line is the smallest share of right answers by that of the
commonest label.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

import measure
import peer
from luthier.core.records import Labelled
from luthier.data.task import load_alone
from luthier.io.config import DataConfig

ROOT = peer.HERE.parent
TOKENS, BATCH, RATE = 4_000_000, 8, 3e-4  # of fine-tuning
LIMIT = 1000  # training rows of a task: else the largest would have most of the steps (Raffel et al. 2020, 3.5.2)
ROWS = 600  # test rows of each task, at most
SST2 = {"map": {"0": "text", "1": "label"}, "labels": {"0": "negative", "1": "positive"}}
TASKS: dict[str, tuple[str, str, dict[str, Any]]] = {  # training rows, test rows, how they are read
    "hotel_zh": ("regret/hotel_zh_train.jsonl", "regret/hotel_zh_test.jsonl", {}),
    "shopping_zh": ("regret/shopping_zh_train.jsonl", "regret/shopping_zh_test.jsonl", {}),
    "emotion": ("regret/emotion_train.jsonl", "regret/emotion_test.jsonl", {}),
    "sst2": ("sst2_train.tsv", "sst2_test.tsv", SST2),
}


def recipe(start: Path, data: Path, tokens: int) -> dict[str, Any]:
    """Fine-tuning on all tasks."""
    files = [
        {"path": str((data / train).resolve()), "test": str((data / test).resolve()), **read}
        for train, test, read in TASKS.values()
    ]
    return {
        "method": "full", "model": str(start / "model"), "dtype": "float32", "seed": 1,
        "data": {**files[0], "also": files[1:], "metric": "exact_match", "limit": LIMIT, "limit_test": 20},
        "training": {"tokens": tokens, "batch": BATCH, "learning_rate": RATE, "micro_tokens": 4096},
    }  # fmt: skip


def commonest(data: Path, name: str) -> float:
    """Share of the test rows that have the training rows' commonest label."""
    train, test, read = TASKS[name]
    rows = [load_alone(DataConfig(path=str(data / file), **read))[0] for file in (train, test)]
    labels = [[r.label for r in (*s.train, *s.validation, *s.test) if isinstance(r, Labelled)] for s in rows]
    return Counter(labels[1])[Counter(labels[0]).most_common(1)[0][0]] / len(labels[1])


def main() -> None:
    """Train, score each task, print and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--start", type=Path, help="run of a pre-trained encoder-decoder")
    given = parser.parse_args()
    if not (given.data / "regret").is_dir():
        sys.exit(f"{given.data}: not here; --data names the folder that has {TASKS['sst2'][0]} and regret/")
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tasks-") as name:
        work = Path(name)
        start = given.start or work / "start"
        if not given.start:
            peer.luthier("pretrain", str(ROOT / "recipes" / "tiny-t5.yaml"), "--out", str(start))
        (work / "tasks.yaml").write_text(yaml.safe_dump(recipe(start, given.data, given.tokens)), encoding="utf-8")
        peer.luthier("train", str(work / "tasks.yaml"), "--out", str(work / "run"))
        found = {task: scored(work / "run", given.data, task) for task in TASKS}
        denoised = json.loads((start / "eval.json").read_text("utf-8"))
    for task, one in found.items():
        low, high = one["ci95"]
        print(f"{task}: {one['right']:.1%} right ({low:.1%} to {high:.1%}), commonest label {one['commonest']:.1%}")
    ratio = min(one["right"] / one["commonest"] for one in found.values())
    if given.tokens == TOKENS and not given.start:
        peer.save("several_tasks", {
            "command": "python bench/several_tasks.py", "tokens": TOKENS, "seconds": time.perf_counter() - begin,
            "second_half_bits_per_byte": denoised["second_half_bits_per_byte"], "tasks": found, "ratio": ratio,
            "versions": measure.versions("luthier", "torch", "transformers"),
        })  # fmt: skip
    print(f"ratio {ratio:.2f}")


def scored(run: Path, data: Path, task: str) -> dict[str, Any]:
    """Share of right answers to test rows, with its interval."""
    _, test, read = TASKS[task]
    options = [part for key, pairs in read.items()
               for part in (f"--{key}", ",".join(f"{a}={b}" for a, b in pairs.items()))]  # fmt: skip
    peer.luthier("eval", str(run), str(data / test), *options, "--limit", str(ROWS), "--name", task)
    told = json.loads((run / "evaluations" / f"{task}.json").read_text("utf-8"))
    return {"right": told["score"], "ci95": told["ci95"], "commonest": commonest(data, task)}


if __name__ == "__main__":
    main()
