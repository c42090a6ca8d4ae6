"""Architectures by depth, a file each: `config(depth, vocabulary, context, ids)` gives transformers' configuration.

One number scales the rest: width is 64 a block, a head has 64 numbers, and the learning rate falls with √width
(`RATE`, that of the width `RATED`). ids: of the tokens that begin, end and pad a text, by transformers' names.
OBJECTIVE: what it is trained by unless a recipe says otherwise. SENTINELS: tokens for gaps in a text that its tokenizer
is given. MASK: whether that is given one for masked tokens.
"""

WIDTH, HEAD = 64, 64  # numbers that a block adds to the width; of a head
RATED = 256  # the width whose learning rate a shape names


def inner(width: int) -> int:
    """Numbers within a gated feed-forward layer: as many weights as four times the width without a gate."""
    return 64 * max(round(width * 8 / 3 / 64), 1)
