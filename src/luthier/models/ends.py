"""What ends an answer: single tokens, or a text that takes several; and a saved model that stops at the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.io.files import read_record
from luthier.models.attention.kept import kept_in
from luthier.models.loading.quiet import quiet

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM


@dataclass(frozen=True)
class Ends:
    """tokens: each ends an answer, the one that is learned first. text: ends one too, in several tokens; or ""."""

    tokens: tuple[int, ...]
    text: str = ""

    def reached(self, tokenizer: Any, answer: list[int]) -> bool:
        """Whether an answer's last token completed the text."""
        if not self.text:
            return False
        # a token is a byte at least; four more, for what the first of them begins in the middle of
        return self.text in tokenizer.decode(answer[-len(self.text.encode()) - 4 :])

    def cut(self, text: str) -> str:
        """An answer without the text that ended it."""
        return text.split(self.text, 1)[0] if self.text else text


def ends(model: Any, tokenizer: Any, written: str = "") -> Ends:
    """What ends a model's answers; written: what is learned as the end of one, where that is not the end token.

    The end tokens of tokenizer and generation config end an answer whatever is learned: an untuned model says them.
    """
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    known = [tokenizer.eos_token_id, *(named if isinstance(named, list | tuple) else [named])]
    ids = tokenizer(written, add_special_tokens=False)["input_ids"] if written else []
    added = tokenizer.added_tokens_decoder
    # One that is never part of a longer token ends an answer by itself, whatever white space is written before it.
    own = next((i for i in ids if i == tokenizer.eos_token_id or (i in added and added[i].content.strip())), None)
    tokens = dict.fromkeys(int(i) for i in (own, *known) if i is not None)
    return Ends(tuple(tokens), written if own is None else "")


def save_model(lm: TrainableLM, folder: Path) -> None:
    """Write the weights and the tokenizer; what loads them stops where an answer was learned to end."""
    own = getattr(lm.model, "mask_head", None)
    aside = {n: getattr(lm.model, n) for n in ("more_heads", "mask_head") if hasattr(lm.model, n)}
    for name in aside:
        delattr(lm.model, name)
    try:
        with quiet(), kept_in(lm):
            (own.whole if own is not None else lm.model).save_pretrained(folder)
    finally:
        for name, head in aside.items():
            setattr(lm.model, name, head)
    save_tokenizer(lm, folder)


def save_tokenizer(lm: TrainableLM, folder: Path) -> None:
    """Write the tokenizer and, for a model that writes, its generation config, both with what ends an answer."""
    config: Any = deepcopy(lm.model.generation_config) if "generate" in lm.can else None
    with quiet():
        if config is None:
            lm.tokenizer.save_pretrained(folder)
            return
        config.eos_token_id = _listed(lm.ends)
        config.save_pretrained(folder)
        with naming_the_end(lm.tokenizer, lm.ends):
            lm.tokenizer.save_pretrained(folder)


def saved_ends(folder: Path) -> list[int]:
    """Tokens that end an answer, from a folder's generation config."""
    named = read_record(folder / "generation_config.json").get("eos_token_id")
    return named if isinstance(named, list) else [n for n in (named,) if n is not None]


@contextmanager
def naming_the_end(tokenizer: Any, found: Ends) -> Iterator[None]:
    """The tokenizer's end token is the one that ends an answer, unless its template writes the one it has now."""
    kept, template = tokenizer.eos_token, str(tokenizer.chat_template or "eos_token")
    if "eos_token" not in template and found.tokens:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(found.tokens[0])
    try:
        yield
    finally:
        tokenizer.eos_token = kept


def _listed(found: Ends) -> int | list[int] | None:
    """As a generation config has it."""
    return list(found.tokens) if len(found.tokens) > 1 else next(iter(found.tokens), None)
