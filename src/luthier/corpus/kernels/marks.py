"""Sets of characters as tables by code point, which compiled code looks into."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

# what ends a sentence, in the scripts that Unicode marks Sentence_Terminal
TERMINAL = ".!?。！？｡．﹒﹖﹗︒؟۔।॥։።፧၊။។៕‼⁇⁈⁉՜՞߹᙮᠃᠉᥄᥅꓿꘎꘏꛳꛷꩝꩞꩟"
CLOSING = TERMINAL + "\"'"  # C4: also a quotation mark
CLOSING_ZH = TERMINAL + "…；：”’」』）》\"')"


@cache
def table(wanted: str) -> NDArray[np.bool_]:
    """True at each of the characters."""
    out = np.zeros(0x110000, np.bool_)
    out[[ord(c) for c in wanted]] = True
    return out
