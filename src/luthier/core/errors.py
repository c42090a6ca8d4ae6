"""The exception that is meant for the person at the keyboard, and what tells it from a fault of ours."""

import traceback
from types import ModuleType


class LuthierError(Exception):
    """Says what is wrong, where (file, line, key), and what to do; the command line prints it without a traceback."""


def is_our_fault(error: BaseException) -> bool:
    """Whether what a model raised speaks of this program and not of the model: a name or a module of ours is missing.

    Models are programs of somebody else's, tried with whatever they may raise; our own faults must not pass as facts
    about them.
    """
    if isinstance(error, ImportError):
        return (error.name or "").startswith("luthier")
    if not _raised_in(error).startswith("luthier"):
        return False
    if isinstance(error, AttributeError):
        owner = error.obj if isinstance(error.obj, (type, ModuleType)) else type(error.obj)
        return str(getattr(owner, "__module__", "") or owner.__name__).startswith("luthier")
    return isinstance(error, NameError)


def _raised_in(error: BaseException) -> str:
    """The module whose line raised it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")) if frames else ""


class Refused(LuthierError):  # noqa: N818
    """The method does not suit this model or task; the message is the reason, a fact, best as a phrase."""


class Unfit(Refused):
    """The method is not for data of this kind: nothing is wrong, and a comparison that nobody asked for it goes on."""


class Diverged(LuthierError):  # noqa: N818
    """Training left the finite numbers: the rate was too high, or rows break the model."""


class Unrendered(LuthierError):  # noqa: N818
    """The tokenizer's chat template cannot write this conversation as the row says it; the message is the reason."""
