"""The version, stated here and nowhere else: packaging, `luthier --version` and what a run records read it."""

__version__ = "0.1.0"
