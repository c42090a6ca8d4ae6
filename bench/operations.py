"""How many arithmetic operations a LoRA training step needs, counted from the model's sizes: additions and products.

Only what the method itself asks for counts: what an implementation does again (folding B·A, probabilities of attention)
is its own affair and not work done.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luthier.core.example import Example
    from luthier.models.base import TrainableLM


def lora_step(lm: TrainableLM, rank: int, examples: Iterable[Example]) -> float:
    """Operations of the forward and backward passes over these examples, all linear layers of the blocks adapted.

    A matrix (out, in) costs 2·out·in a token forward and as much back for its input (that of the lowest block needs no
    gradient); its update x Aᵀ, g B and the gradients of A and B, 4·r·(out + in) together; attention 2 products forward
    and 4 back over the half of the scores that is not hidden; the vocabulary head 2 at every place where it is read.
    """
    from luthier.models.layers.sites import sites
    from luthier.models.layers.surgery import linear_paths, matrix_of

    config, blocks = lm.model.config, len(lm.blocks)
    wide = config.num_attention_heads * getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)

    def sizes(paths: Iterable[str]) -> list[tuple[int, int]]:
        return [(w.shape[0], w.shape[1]) for w in (matrix_of(lm.model.get_submodule(path)) for path in paths)]

    token = sum(4.0 * (out * k + rank * (out + k)) for out, k in sizes(linear_paths(lm.model, lm.stacks, "all")))
    token -= sum(2.0 * out * k for out, k in sizes(list(sites(lm, "query", "key", "value"))[:3]))
    total = 0.0
    for e in examples:
        n = len(e.ids)
        total += token * n + 6.0 * wide * n * (n + 1) * blocks + 4.0 * lm.head.weight.numel() * len(e.where)
    return total


def pretraining_token(lm: TrainableLM, length: int) -> float:
    """Operations a token of a row of `length` tokens when every weight trains: 6 a number of a matrix, and attention.

    A matrix costs 2·out·in forward and twice that back, the vocabulary head included, the embedding nothing; attention
    2 products forward and 4 back over the half of the scores that is not hidden.
    """
    from luthier.models.layers.surgery import linear_paths, matrix_of

    config = lm.model.config
    wide = config.num_attention_heads * getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    weights = [matrix_of(lm.model.get_submodule(path)) for path in linear_paths(lm.model, lm.stacks, "all")]
    numbers = sum(w.numel() for w in (*weights, lm.head.weight))
    return 6.0 * numbers + 6.0 * float(wide) * (length + 1) * len(lm.blocks)
