"""LoRA GRPO: Luthier against TRL's GRPOTrainer with PEFT, on the same prompts, reward, threads and number format.

    make bench NAME=grpo_vs_trl
    python bench/grpo_vs_trl.py --steps 1 --rounds 1           (a try, nothing is written)

Each step answers four prompts of the embedded help desk eight times, 48 tokens at most, judges the answers by a
function that costs nothing, and learns from them once, held to the reference. What is counted is the whole work:
drawing, what policy and reference say, and the step. Each side draws its own answers, so that losses cannot be
compared; how long the answers are is said. TRL's side is the fastest of how many answers go through the model at once,
each tried once. The last line is our answers a second over TRL's.
"""

from __future__ import annotations

from rollouts import Bench

JOB = {
    "prompts": 4, "answers": 8, "judge": "function", "lr": 2e-4, "rank": 8, "alpha": 16.0, "clip": 1.0, "seed": 0,
    "objective": {"name": "grpo", "answers": 8, "new_tokens": 48, "temperature": 1.0, "beta": 0.04, "variant": "dapo"},
}  # fmt: skip
TRIED = {f"{n} answers at once": {"answers_at_once": n} for n in (8, 16, 32)}

if __name__ == "__main__":
    Bench("grpo_vs_trl", "trl", JOB, TRIED, steps=2).main()
