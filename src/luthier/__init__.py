"""Luthier: adapt a pretrained language model in every way the field knows, and see which is worth it.

luthier.compare("mine.jsonl", budget="3m").recommendation
luthier.load("RUN").predict("a text")
luthier.open("runs/demo").to_frame()
"""

from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.version import __version__ as __version__

if TYPE_CHECKING:
    from luthier.api import Board, Model, Row, compare, load, train
    from luthier.api import open as open  # not in __all__: `import *` must not hide Python's own

__all__ = ["Board", "LuthierError", "Model", "Row", "compare", "load", "train"]


def __getattr__(name: str) -> Any:
    """What is public, imported when it is asked for: the command line need not wait for it."""
    if name != "open" and name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from luthier import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "open"})
