"""Train two adapters on one base and mix them by weight: W + 0.7 · s₁B₁A₁ + 0.3 · s₂B₂A₂, exactly.

    python examples/mix_adapters.py

One learns to translate, the other to answer a help desk kindly. The mix is a run like any other: it is loaded, asked,
evaluated and exported. EXAMPLE_MODEL, EXAMPLE_TOKENS and EXAMPLE_ROWS change base, length and rows.
"""

import os
import subprocess
import sys
from pathlib import Path

import luthier

TASKS = {"translate": "de-en", "kind": "replies"}


def trained(name: str) -> Path:
    """A LoRA run of that task."""
    return luthier.train(
        {
            "method": "lora",
            "model": os.environ.get("EXAMPLE_MODEL", "embedded"),
            # a run is scored on its test rows, too: short answers keep that short
            "data": {
                "path": TASKS[name],
                "limit": int(os.environ.get("EXAMPLE_ROWS", "20")),
                "answer_tokens": 16,
            },
            "training": {"tokens": int(os.environ.get("EXAMPLE_TOKENS", "800")), "batch": 1, "learning_rate": 1e-3},
        },
        out=f"runs/mix-{name}",
    )


runs = {name: trained(name) for name in TASKS}
if not Path("runs/mixed").exists():
    parts = [f"{runs['translate']}=0.7", f"{runs['kind']}=0.3"]
    command = [sys.executable, "-m", "luthier", "adapters", "mix", *parts, "--out", "runs/mixed"]
    subprocess.run(command, check=True)

question = "Translate German to English.\n\nIch warte seit drei Wochen auf mein Paket."
for folder in (*runs.values(), Path("runs/mixed")):
    print(f"{folder}: {luthier.load(folder).generate(question, max_new_tokens=16)!r}")
