"""Whether an exported model says what the run says: logits, next tokens, rendered conversations and their tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.ends import Ends

TEXTS = (
    "My parcel has not arrived yet, and I have been waiting for 12 days.",
    "Could you tell me, briefly, how a rainbow forms?",
    "The film was too long, but I'd watch it again!\nWould you?",
    "我的包裹还没有到,已经等了十二天。",
    "请简单说明彩虹是怎么形成的?",
    "这部电影太长了,不过我还想再看一遍!",
)
CONVERSATIONS: tuple[list[dict[str, str]], ...] = (
    [{"role": "user", "content": TEXTS[1]}],
    [{"role": "user", "content": TEXTS[4]}],
    [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "你好!"},
        {"role": "user", "content": TEXTS[2]},
    ],
)


@dataclass(frozen=True)
class Check:
    """One line of the parity table: what was compared, where, what came out, what is allowed."""

    what: str
    where: str
    found: str
    allowed: str
    ok: bool


@dataclass
class Before:
    """What the run says. ids: per text, without virtual tokens; logits: per text (tokens, V) float32.

    Of an encoder-decoder, logits are the decoder's. answers: what it is given, per text; written: what it writes.
    """

    ids: list[list[int]]
    logits: list[Tensor]
    rendered: list[str]
    tokens: list[list[int]]
    ends: Ends
    answers: list[list[int]] = field(default_factory=list)
    written: list[list[int]] = field(default_factory=list)

    @property
    def spread(self) -> float:
        """The largest logit in size: what differences are measured against."""
        return max(float(logits.abs().max()) for logits in self.logits)


def compare_logits(before: Before, after: Sequence[Tensor], allowed: tuple[float, float], where: str) -> list[Check]:
    """allowed: how far logits may differ, and how far another next token may be behind; of the largest logit."""
    import torch

    limit, behind = (share * before.spread for share in allowed)
    apart = max(
        float((a - b).abs().max()) if a.shape == b.shape else math.inf
        for a, b in zip(before.logits, after, strict=True)
    )
    check = Check("logits", where, f"differ by {apart:.2g}", f"{limit:.2g}", apart <= limit)
    if not math.isfinite(apart):
        return [check]
    chosen = torch.cat(list(after)).argmax(-1)
    return [check, same_choices(torch.cat(before.logits), chosen, behind, where)]


def same_choices(before: Tensor, chosen: Tensor, limit: float, where: str) -> Check:
    """Next tokens `chosen` (N,) against the run's logits (N, V): another one may be at most `limit` behind the best."""
    best, top = before.max(-1)
    behind = best - before.gather(1, chosen[:, None])[:, 0]
    count = int((chosen == top).sum())
    said = f"{count} of {len(top)} the same"
    if count < len(top):
        said += f", others {float(behind.max()):.2g} behind"
    return Check("next tokens", where, said, f"{limit:.2g} behind", bool((behind <= limit).all()))


def compare_written(before: Before, written: Sequence[list[int]], exact: bool, where: str) -> Check:
    """Tokens that an encoder-decoder writes; where numbers are rounded, another choice now and then is told only."""
    check = _equal("written answers", where, before.written, written)
    return check if exact else replace(check, allowed="anything", ok=True)


def how_far(trained: Before, exported: Before) -> Check:
    """What it costs to leave the rounded base: told, not judged."""
    apart = max(float((a - b).abs().max()) for a, b in zip(trained.logits, exported.logits, strict=True))
    said = f"differ by {apart:.2g}, largest {trained.spread:.2g}"
    return Check("logits", "the run on its rounded base", said, "anything", True)


def texts_of(tokenizer: Any) -> tuple[list[str], list[list[int]]]:
    """The conversations as a tokenizer renders them, and its tokens of these and of all texts."""
    return _rendered(tokenizer), _tokens(tokenizer)


def compare_tokenizer(before: Before, tokenizer: Any, where: str) -> list[Check]:
    """The chat template's text, and its tokens."""
    return compare_text(before, _rendered(tokenizer), _tokens(tokenizer), where)


def compare_text(before: Before, rendered: list[str], tokens: list[list[int]], where: str) -> list[Check]:
    """Rendered conversations and tokens of all texts against the run's."""
    return [
        _equal("chat template", where, before.rendered, rendered),
        _equal("tokens", where, before.tokens, tokens),
    ]


def compare_ends(before: Before, found: Iterable[int], where: str) -> Check:
    """Tokens that end an answer where it was written, against the run's; the one that was learned has to be there."""
    wanted, there = before.ends.tokens, set(found)
    said = f"{len(there & set(wanted))} of {len(wanted)} tokens"
    if before.ends.text:
        said += f"; the text {before.ends.text!r} ends one too, which no file can say: give it as a stop where it runs"
    return Check("ends of an answer", where, said, "the learned one", not wanted or wanted[0] in there)


def _equal(what: str, where: str, one: Sequence[Any], two: Sequence[Any]) -> Check:
    count = sum(a == b for a, b in zip(one, two, strict=True))
    return Check(
        what, where, f"{count} of {len(one)} the same" if one else "none on both sides", "all", count == len(one)
    )


def _rendered(tokenizer: Any) -> list[str]:
    """The conversations in the tokenizer's chat template; none where it has no template."""
    if not tokenizer.chat_template:
        return []
    return [tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True) for c in CONVERSATIONS]


def _tokens(tokenizer: Any) -> list[list[int]]:
    texts = [*_rendered(tokenizer), *TEXTS]
    return [list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]


def refuse(checks: Sequence[Check], show: Callable[[Sequence[Check]], None]) -> None:
    """Show the table; raise LuthierError where a line does not hold."""
    show(checks)
    bad = [check for check in checks if not check.ok]
    if bad:
        lines = "".join(f"\n  {c.what} in {c.where}: {c.found} (allowed: {c.allowed})" for c in bad)
        raise LuthierError(f"nothing was written, since the exported model differs from the run:{lines}")
