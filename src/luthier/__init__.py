"""Luthier: adapt a pretrained language model in every way the field knows, and see which is worth it.

luthier.compare("mine.jsonl", budget="3m").recommendation
luthier.load("RUN").predict("a text")
luthier.open("runs/demo").to_frame()
"""

from luthier.api import Board, Model, Row, compare, load, train
from luthier.api import open as open  # not in __all__: `import *` must not hide Python's own
from luthier.core.errors import LuthierError
from luthier.version import __version__ as __version__

__all__ = ["Board", "LuthierError", "Model", "Row", "compare", "load", "train"]
