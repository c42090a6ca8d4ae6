"""What is planned: a model by its configuration, a method, and the rows or the text that it learns from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from luthier.core.errors import LuthierError
from luthier.core.split import Split
from luthier.data.load import load_split
from luthier.io import config
from luthier.io.config import Recipe
from luthier.models.endpoint.remote import is_endpoint
from luthier.models.loading import load
from luthier.models.loading.empty import stand_in
from luthier.models.loading.explained import explained
from luthier.models.loading.quiet import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

    from luthier.data.stream import Stream

DOCUMENTS = 4096  # of a text that is not here yet


@dataclass(frozen=True)
class Job:
    """recipe: of the run; its number format is settled. config, tokenizer: of the model. data: without test rows.

    looked_at: tokens of a look at validation rows. held: bytes that the process comes to hold before it trains.
    assumed: what was not here to be read, in a sentence; "" where all was.
    """

    recipe: Recipe
    config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerBase
    data: Split
    looked_at: int = 0
    held: int = 0
    assumed: str = ""


def job_of(recipe: Recipe, split: Split | None = None) -> Job:
    """Of a recipe of `luthier train`. split: its data, where it has been read.

    Raises LuthierError for options that are wrong, a model that is not here, data that cannot be read.
    """
    config.options(recipe)
    if is_endpoint(recipe.model):
        raise LuthierError(f"{recipe.model}: a model behind an address is not trained here: there is nothing to plan")
    given, tokenizer = described(recipe.model)
    if tokenizer is None:
        length = int(recipe.objective.get("max_length", 1024))
        told = f"{recipe.model} has no tokenizer: rows of {length:,} tokens, all of them learned"
        recipe = replace(recipe, objective={"name": "lm", "max_length": length})
        return Job(recipe, given, stand_in(), text_of(vocabulary_of(given), length), assumed=told)
    return Job(recipe, given, tokenizer, replace(split or load_split(recipe.data)[0], test=()))


def described(model: str) -> tuple[PreTrainedConfig, PreTrainedTokenizerBase | None]:
    """Configuration and tokenizer of a model whose weights need not be here; None: it has no tokenizer.

    Raises LuthierError where the model is not here and no hub has it.
    """
    from transformers import AutoConfig

    folder = Path(model).expanduser()
    if not (folder / "config.json").is_file():
        place = load.resolve(model)
        folder = place if isinstance(place, Path) else load.snapshot(place) or folder
    if not folder.is_dir():
        load.check_hub(model)
        return load.described(model)
    with explained(model), quiet():
        if any(folder.glob("tokenizer*")) or any(folder.glob("vocab*")):
            return load.described_folder(folder)
        return AutoConfig.from_pretrained(folder, trust_remote_code=False), None


def vocabulary_of(given: Any) -> int:
    """How many tokens a configuration's model knows."""
    return int(given.get_text_config().vocab_size)


def text_of(vocabulary: int, length: int) -> Split:
    """Text that is not here yet, as documents that fill the model's context."""
    return Split("text", (), (), stream=cast("Stream", Imagined(vocabulary, length)))


class _Zeros:
    """Tokens that nobody has read."""

    about: dict[str, Any] = {}  # noqa: RUF012

    def read(self, start: int, count: int) -> NDArray[np.int64]:
        """So many of them."""
        return np.zeros(count, np.int64)


@dataclass(frozen=True)
class Imagined:
    """Stands for `data.stream.Stream`: documents of `length` tokens."""

    vocabulary: int
    length: int
    tokens: _Zeros = field(default_factory=_Zeros)
    folder: Path = Path("text")
    key: str = "imagined"

    def bounds(self) -> NDArray[np.int64]:
        """Where each document begins, and the end of the last."""
        return np.arange(DOCUMENTS + 1, dtype=np.int64) * self.length
