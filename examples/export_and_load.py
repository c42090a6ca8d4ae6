"""Train LoRA, export it in both forms, and load them without Luthier: the adapter by peft, the merged by transformers.

    python examples/export_and_load.py

German to English on the embedded pairs. The base is the embedded model (135 M parameters); EXAMPLE_MODEL is the folder
of another, EXAMPLE_TOKENS how long it learns. Needs `pip install luthier[export]`.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

import luthier

CACHE = Path(os.environ.get("LUTHIER_CACHE", "~/.cache/luthier")).expanduser()

run = luthier.train(
    {
        "method": "lora",
        "dtype": "float32",  # else bfloat16 where its products are faster, and the two differ by its rounding
        "model": os.environ.get("EXAMPLE_MODEL", "embedded"),
        "data": {"path": "de-en", "limit": int(os.environ.get("EXAMPLE_ROWS", "60"))},
        "training": {"tokens": int(os.environ.get("EXAMPLE_TOKENS", "600")), "batch": 2, "learning_rate": 1e-3},
    },
    out="runs/translate",
)
for form in ("adapter", "merged"):  # each is read again and compared with the run before it appears
    if not Path(f"runs/translate-{form}").exists():
        command = ["export", str(run), "--to", form, "--out", f"runs/translate-{form}"]
        subprocess.run([sys.executable, "-m", "luthier", *command], check=True)

tokenizer: Any = AutoTokenizer.from_pretrained("runs/translate-merged")
merged: Any = AutoModelForCausalLM.from_pretrained("runs/translate-merged", dtype=torch.float32)
base = os.environ.get("EXAMPLE_MODEL") or next(CACHE.glob("models/SmolLM2-135M-Instruct-*"))
adapted = PeftModel.from_pretrained(
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), "runs/translate-adapter"
)

question = [{"role": "user", "content": "Translate German to English.\n\nWo ist der Bahnhof?"}]
ids = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
with torch.no_grad():
    one, other = (model(**ids).logits[0, -1] for model in (merged, adapted))
    said = merged.generate(**ids, max_new_tokens=12, do_sample=False)
print("the largest difference of a logit between the two:", f"{(one - other).abs().max():.1e}")
print("it says:", tokenizer.decode(said[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))
