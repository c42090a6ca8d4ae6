"""LoRA PPO: Luthier against TRL 1.12.0's PPOTrainer with PEFT, on the same prompts, threads and number format.

    make bench NAME=ppo_vs_trl
    python bench/ppo_vs_trl.py --steps 1 --rounds 1            (a try, nothing is written)

Each rollout answers 16 prompts of the embedded help desk with 48 tokens at most; a copy of the base with a head of
random numbers judges them, on both sides; four passes follow. What is counted is the whole work. TRL's critic is a
model of its own, of which all weights train by default; tried as well with its head alone, which is kind to TRL: ours
is a head on the policy's own states. Each side draws its own answers; how long they are is said. TRL's side is the
fastest of the settings, each tried once. The last line is our answers a second over TRL's.
"""

from __future__ import annotations

from rollouts import Bench

JOB = {
    "prompts": 16, "answers": 1, "judge": "model", "lr": 2e-4, "rank": 8, "alpha": 16.0, "clip": 1.0, "seed": 0,
    "objective": {"name": "ppo", "new_tokens": 48, "temperature": 0.7, "epochs": 4},
}  # fmt: skip
TRIED = {
    f"{n} answers at once, the critic's {part}": {"answers_at_once": n, "head_only": part == "head alone"}
    for n in (4, 16)
    for part in ("weights too", "head alone")
}

if __name__ == "__main__":
    Bench("ppo_vs_trl", "trl_ppo", JOB, TRIED, steps=1).main()
