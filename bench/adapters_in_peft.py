"""Every adapter that has PEFT's layout, trained for a moment, saved, and loaded by `peft`: do both say the same?

    make bench NAME=adapters_in_peft
    python bench/adapters_in_peft.py --model path/to/folder --methods lora,adalora --tokens 500

Methods are found through the catalog. One line each: the largest difference of a logit over English and Chinese texts,
all tokens, float32 (over a base in 4 bits where the method has one), beside how far the logits are from the plain
base's. Exits with 1 where one differs by more than 1e-4. Causal models; the tests have small ones of every kind.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

from peft_base import peft_base

LIMIT = 1e-4


def methods(names: str) -> list[str]:
    """Patches with a layout in PEFT that learn from rows, or those that are named."""
    from luthier.core import catalog
    from luthier.core.errors import LuthierError

    found = []
    for entry in catalog.entries("patches").values():
        try:
            if catalog.load(entry).peft_type:
                found.append(entry.name)
        except LuthierError as error:
            print(f"{entry.name:16} left out: {error}")
    return [name for name in found if not names or name in names.split(",")]


def main() -> None:
    """Train, save, load, compare."""
    parser = argparse.ArgumentParser(description="Are saved adapters the same in peft?")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--methods", default="", help="such as lora,adalora; all by default")
    parser.add_argument("--tokens", type=int, default=2000)
    args = parser.parse_args()

    import peft

    from luthier.core.errors import Refused
    from luthier.data.load import load_split
    from luthier.export.asking import plain_logits, what_it_says
    from luthier.io.config import DataConfig, Recipe, TrainingConfig
    from luthier.models.causal import CausalLM
    from luthier.models.loading.load import resolve
    from luthier.models.loading.of_recipe import load_base
    from luthier.runs import run

    warnings.simplefilter("ignore")
    recipe = Recipe(model=args.model, dtype="float32")
    lm, (split, _) = load_base(recipe), load_split(DataConfig(limit=160))
    if not isinstance(lm, CausalLM):
        sys.exit(f"{args.model} is no causal language model")
    worst = 0.0
    for name in methods(args.methods):
        recipe = Recipe(method=name, model=args.model, dtype="float32", training=TrainingConfig(tokens=args.tokens))
        with tempfile.TemporaryDirectory(prefix="adapters-") as folder:
            try:
                with run.adapted(lm, recipe, split) as outcome:
                    size = run.save_adapted(outcome, Path(folder))
                    assert isinstance(outcome.lm, CausalLM) and outcome.loop
                    want = what_it_says(outcome.lm)
                    with outcome.loop.patch.off(outcome.lm):
                        base = what_it_says(outcome.lm)
            except Refused as reason:
                print(f"{name:16} refused: {reason}", flush=True)
                continue
            held, in_bf16 = outcome.base_bytes or (1, 0)
            plain = peft_base(str(resolve(args.model)), four_bit=held < in_bf16)
            if held < in_bf16:  # the rounded weights, multiplied in float32: bitsandbytes takes bf16 where a CPU has it
                plain = plain.dequantize()
            model = peft.PeftModel.from_pretrained(plain, Path(folder) / "adapter").eval()
            found = plain_logits(model, want)
        apart = max(float((a - b).abs().max()) for a, b in zip(want.logits, found, strict=True))
        moved = max(float((a - b).abs().max()) for a, b in zip(want.logits, base.logits, strict=True))
        worst = max(worst, apart)
        print(f"{name:16} {apart:.1e}   training moved logits by {moved:.2f}, {size / 1e6:.2f} MB", flush=True)
    sys.exit(worst > LIMIT)


if __name__ == "__main__":
    main()
