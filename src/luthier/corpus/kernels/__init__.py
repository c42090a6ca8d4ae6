"""Compiled loops over arrays of characters. They take and give NumPy arrays only, and hold no state."""
