"""Luthier: adapt a pretrained language model in every way the field knows, and see which is worth it.

luthier.compare("mine.jsonl", budget="3m")["recommendation"]
luthier.load("RUN").predict(["a text", "another"])
"""

import luthier.compare  # noqa: F401  first: imported later it would take the place of the function of that name
from luthier.api import Model, compare, load, train
from luthier.errors import LuthierError

__all__ = ["LuthierError", "Model", "compare", "load", "train"]
__version__ = "0.1.0"
