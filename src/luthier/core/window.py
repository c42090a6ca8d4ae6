"""How far a token looks back: over the whole text, a window of it, or a window and the text's first tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from luthier.core.errors import LuthierError

FULL = "full"  # how "no window" is spelled where a window would else be taken over
_FORM = re.compile(r"(\d{1,9})\+(\d{1,9})")


@dataclass(frozen=True)
class Window:
    """A token sees the `size` tokens that end with itself, and the first `sinks` of its text wherever it stands.

    Spelled `4+1020`, `0+1024` without sinks. Source: Xiao et al. 2023, "Efficient Streaming Language Models with
    Attention Sinks".
    """

    sinks: int
    size: int

    @property
    def reach(self) -> int:
        """Tokens of the longest text of which nothing is hidden."""
        return self.sinks + self.size

    def __str__(self) -> str:
        return f"{self.sinks}+{self.size}"


def window_of(text: str, where: str) -> Window | None:
    """What is spelled so; None for "" and `full`. where: the key or option, for the error. Raises LuthierError."""
    if text in ("", FULL):
        return None
    found = _FORM.fullmatch(text)
    if not found or not int(found[2]):
        raise LuthierError(
            f"{where}: {text!r}: write the number of first tokens that stay in sight and that of the last ones, such "
            f"as 4+1020 (0+1024 without first ones), or {FULL}"
        )
    return Window(int(found[1]), int(found[2]))
