"""What PPO gains on embedded help-desk replies with three seeds, by a judge of pairs that its reward never saw.

make bench NAME=replies_three_seeds
"""

from __future__ import annotations

import seeds

if __name__ == "__main__":
    seeds.main("replies_three_seeds", "recipes/replies.yaml", (0, 1, 2))
