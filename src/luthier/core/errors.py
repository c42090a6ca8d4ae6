"""The exception that is meant for the person at the keyboard."""


class LuthierError(Exception):
    """Says what is wrong, where (file, line, key), and what to do; the command line prints it without a traceback."""


class Refused(LuthierError):  # noqa: N818
    """The method does not suit this model or task; the message is the reason, a fact, best as a phrase."""


class Unfit(Refused):
    """The method is not for data of this kind: nothing is wrong, and a comparison that nobody asked for it goes on."""


class Diverged(LuthierError):  # noqa: N818
    """Training left the finite numbers: the rate was too high, or rows break the model."""


class Unrendered(LuthierError):  # noqa: N818
    """The tokenizer's chat template cannot write this conversation as the row says it; the message is the reason."""
