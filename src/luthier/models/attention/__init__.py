"""Attention over sequences laid end to end, and what is told of positions and windows."""
