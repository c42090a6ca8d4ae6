"""Base models: finding, importing and loading them."""
