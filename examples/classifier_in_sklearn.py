"""A classifier on frozen features, shipped without pickle: exported, then used by scikit-learn and transformers alone.

    python examples/classifier_in_sklearn.py

The export is a folder with a card (README.md) whose lines need no Luthier; they are what runs here. EXAMPLE_MODEL is
the folder of another base than the embedded encoder.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import luthier

CACHE = Path(os.environ.get("LUTHIER_CACHE", "~/.cache/luthier")).expanduser()
OUT = Path("runs/shipped")

run = luthier.train(
    {
        "method": "features",
        "model": os.environ.get("EXAMPLE_MODEL", "embedded-encoder"),
        "direct": {"classifier": "logistic"},
        "data": {"path": "mood", "limit": int(os.environ.get("EXAMPLE_ROWS", "150"))},
    },
    out="runs/mood-features",
)
if not OUT.exists():
    export = [sys.executable, "-m", "luthier", "export", str(run), "--to", "classifier", "--out", str(OUT)]
    subprocess.run(export, check=True)
print("files:", *(f"{path.name} ({path.stat().st_size:,} bytes)" for path in sorted(OUT.iterdir())))

# The card's functions: features(folder, texts, base) by transformers, classifier(folder) by scikit-learn.
blocks = re.findall(r"```python\n(.*?)```", (OUT / "README.md").read_text("utf-8"), re.DOTALL)
card: dict[str, Any] = {}
for block in blocks:
    if block.startswith("def "):  # the last lines of a block may ask about "a text": not needed here
        exec(block.split("\n\n\n")[0], card)

# The card names the base as others find it, on the hub; here it is read from where it lies on this machine.
base = os.environ.get("EXAMPLE_MODEL") or next(CACHE.glob("models/multilingual-e5-small-*"))
texts = ["The queue was endless and the soup was cold.", "We had a wonderful afternoon.", "今天真倒霉", "下周三开会"]
logistic = card["classifier"](OUT)
shares = logistic.predict_proba(card["features"](OUT, texts, base))

ours = luthier.load(run).probabilities(texts)
for text, row, own in zip(texts, shares, ours, strict=True):
    best = logistic.classes_[row.argmax()]
    print(f"{text}: {best}, {row.max():.4f} by scikit-learn, {own[best]:.4f} by Luthier")
    assert abs(row.max() - own[best]) < 1e-3
