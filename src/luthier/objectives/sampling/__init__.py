"""What objectives that learn from their own answers share: drawing and judging them, advantages, what is told."""
