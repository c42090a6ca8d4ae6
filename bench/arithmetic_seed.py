"""What GRPO gains on small sums by a reward that is checked, on sums that no stage has seen.

make bench NAME=arithmetic_seed
"""

from __future__ import annotations

import seeds

if __name__ == "__main__":
    seeds.main("arithmetic_seed", "recipes/arithmetic.yaml", (0,))
