"""What a causal model itself gives for a text alone, and what it does to its logits behind the vocabulary head."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from luthier.core.errors import LuthierError, is_our_fault

if TYPE_CHECKING:
    from luthier.models.causal import CausalLM

TEXTS = (12, 5)  # tokens of the two texts that are tried


@dataclass(frozen=True)
class Plain:
    """What the model itself gives: for each text its ids (n,), last hidden states (n, d) and logits (n, V)."""

    ids: list[Tensor]
    states: list[Tensor]
    logits: list[Tensor]


def plain_pass(lm: CausalLM) -> Plain:
    """Each text by itself. Raises LuthierError where the model does not run on tokens alone, or is not causal."""
    kind = type(lm.model).__name__
    ids, states, logits = tokens(lm), [], []
    for one in ids:
        try:
            states.append(lm.decoder(input_ids=one[None], use_cache=False).last_hidden_state[0])
            logits.append(lm.model(input_ids=one[None], use_cache=False).logits[0])
            before = lm.decoder(input_ids=one[None, :-2], use_cache=False).last_hidden_state[0]
        except Exception as error:  # a model that also wants images, languages, segments...
            if is_our_fault(error):
                raise
            raise LuthierError(f"{lm.name}: a {kind} does not run on a text's tokens alone ({error})") from error
        if not close(before, states[-1][:-2], lm.head.weight.dtype):
            raise LuthierError(f"{lm.name}: in a {kind} a token sees what follows it: it is no causal language model")
    return Plain(ids, states, logits)


def tokens(lm: CausalLM) -> list[Tensor]:
    """Ordinary tokens, spread over the vocabulary, the same every time."""
    from luthier.models.loading.vocabulary import rows_of

    special = {lm.fill, *lm.tokenizer.all_special_ids}
    size = min(rows_of(lm.model), len(lm.tokenizer))
    usable = torch.tensor([i for i in range(size) if i not in special] or list(range(size)), device=lm.device)
    drawn = torch.randperm(len(usable), generator=torch.Generator().manual_seed(0))[: sum(TEXTS)]
    return list(usable[drawn.to(lm.device).repeat(sum(TEXTS))[: sum(TEXTS)]].split(TEXTS))


def head_of(lm: CausalLM, plain: Plain) -> tuple[float, float | None]:
    """Scale and cap that turn the vocabulary head's products into the model's logits, the best of what would do.

    A cap bends small logits by less than 16 bits can tell, so the first that agrees need not be the model's.
    """
    states, logits = torch.cat(plain.states), torch.cat(plain.logits).float()
    head, kind = lm.head, type(lm.model).__name__
    if states.shape[1] == head.weight.shape[1]:
        products = head.logits(states).float()
        config = vars(lm.model.config.get_text_config())
        caps = [float(v) for k, v in config.items() if "cap" in k and isinstance(v, int | float) and v]
        found: list[tuple[float, float, float | None]] = []
        for cap in (None, *caps):
            wanted = logits if cap is None else cap * torch.atanh((logits / cap).clamp(-0.99, 0.99))
            inner = slice(None) if cap is None else logits.abs() < 0.9 * cap
            scale = float((wanted[inner] * products[inner]).sum() / products[inner].square().sum())
            scale = _exact(scale, config, 1e-3 if head.weight.dtype == torch.float32 else 1e-2)
            got = replace(head, scale=scale, softcap=cap).logits(states).float()
            if close(got, logits, head.weight.dtype):
                found.append((float((got - logits).norm()), scale, cap))
        if found:
            _, scale, cap = min(found, key=lambda each: each[0])
            return scale, cap
    raise LuthierError(
        f"{lm.name}: the logits of a {kind} are more than its vocabulary head on its last states, in a way that is not "
        "known here: name another model"
    )


def _exact(scale: float, config: dict[str, Any], rounding: float) -> float:
    """The number that the configuration gives for what was measured: 1, a value of its own, or one divided by it."""
    given = [float(v) for v in config.values() if isinstance(v, int | float) and v and math.isfinite(v)]
    return next((v for v in (1.0, *given, *(1 / v for v in given)) if abs(v / scale - 1) < rounding), scale)


def close(got: Tensor, want: Tensor, dtype: torch.dtype) -> bool:
    """Whether two results are one but for rounding: at the worst place, or on the whole where weights have 16 bits.

    dtype: of the model's weights; results may be in a longer format.
    """
    if got.shape != want.shape or not bool(torch.isfinite(want).all()):
        return False
    off, size = (got.float() - want.float()), want.float()
    if dtype == torch.float32:
        return bool(off.abs().max() <= 1e-3 * size.abs().max())
    return bool(off.norm() <= 5e-2 * size.norm())
