"""Base models: found, imported from other formats, probed, loaded."""
