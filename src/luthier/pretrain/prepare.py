"""What training begins with, each made once: text, tokenizer, stream, a model of random weights.

    DIR/text/train.txt, heldout.txt      the bytes that are trained on, and those that are scored
    DIR/text/heldout.jsonl, validation.jsonl   the documents that are held out, and passages of theirs
    DIR/documents/                       what is trained on, as the corpus has documents
    DIR/tokenizer/                       learned from it, unless one is named
    DIR/mix/                             the stream of tokens (`corpus.mixing`)
    DIR/start/                           the model before its first step

A killed command goes on behind what is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.corpus import documents, read
from luthier.corpus.mixing import mix
from luthier.corpus.mixing.sources import key_of
from luthier.corpus.pool import Here
from luthier.corpus.recipe import Bar
from luthier.corpus.tokenizers import training as tokenizers
from luthier.corpus.tokenizers.known import known
from luthier.data.stream import Stream
from luthier.io.files import write_text
from luthier.io.places import place
from luthier.pretrain.fetching import fetched
from luthier.pretrain.recipe import Pretraining, Tokens

END = "<|endoftext|>"
FEW = 10  # documents: of fewer, the end of each is held out
PASSAGE, PASSAGES = 2000, 64  # characters of a passage; how many are looked at during training
SHARD = 500  # documents of a file
Documents = list[tuple[str, str]]  # names, and texts that end with a new line


@dataclass(frozen=True)
class Prepared:
    """Where everything lies."""

    train: Path
    heldout: Path
    documents: Path
    held_rows: Path
    validation: Path


def texts(recipe: Pretraining) -> tuple[Documents, Documents]:
    """Documents to train on and those that are held out. Raises LuthierError."""
    found: Documents = []
    for name in recipe.text:
        if member := plugins.members("texts").get(name):
            about = member.constants
            archive = fetched(about["FILE"], about["SHA256"], about.get("PACKAGE", ""), about.get("ADDRESS", ""))
            found += member.load("read")(archive)
        else:
            found += [(source.name, row.text) for source, row in read.each([place(name)])]
    found = [(name, text.strip() + "\n") for name, text in found if text.strip()]
    if not found:
        raise LuthierError(f"text: {', '.join(recipe.text)}: holds no text that could be read")
    return held_out(found, recipe.hold)


def streamed(recipe: Pretraining) -> tuple[Documents, Documents]:
    """The documents of a stream, as text again, and those that are held out. Raises LuthierError."""
    stream = Stream(Path(recipe.stream))
    words, end = known(_of_stream(recipe)), stream.tokens.about.get("end")
    bounds = stream.bounds().tolist()
    parts = (stream.tokens[low:high].tolist() for low, high in pairwise(bounds))
    train = [(str(at), words.decode([i for i in ids if i != end], skip_special_tokens=False))
             for at, ids in enumerate(parts)]  # fmt: skip
    held = [(source.name, row.text.strip() + "\n") for source, row in read.each([place(recipe.heldout)])]
    if not held:
        raise LuthierError(f"heldout: {recipe.heldout}: holds no text that could be read")
    return train, held


def _of_stream(recipe: Pretraining) -> str:
    """The name of a stream's tokenizer. Raises LuthierError where the recipe names another."""
    about = Stream(Path(recipe.stream)).tokens.about
    told = str(about.get("tokenizer", ""))
    given = recipe.tokenizer if isinstance(recipe.tokenizer, str) and recipe.tokenizer else told
    if not given:
        raise LuthierError(f"{recipe.stream}: does not say by which tokenizer it was made: name it by `tokenizer`")
    if about.get("vocabulary_key") not in (None, key_of(given)):
        raise LuthierError(f"tokenizer: {given}: the stream {recipe.stream} was made with {told}")
    return given


def held_out(found: Documents, share: float) -> tuple[Documents, Documents]:
    """Documents to train on, and a share that is held out, spread evenly, or the end of each of few, cut where a line
    ends. What is held out and stands there again is left out."""
    if len(found) >= FEW:
        chosen = {at for at in range(len(found)) if int((at + 1) * share) > int(at * share)} or {len(found) - 1}
        held = [found[at] for at in sorted(chosen)]
        seen = {text for _, text in held}  # what stands there twice would be learned by heart
        train = [one for at, one in enumerate(found) if at not in chosen and one[1] not in seen]
        if not train:
            raise LuthierError("text: all documents are the same: nothing is left to train on")
        return train, held
    parts: tuple[Documents, Documents] = [], []
    for name, text in found:
        at = text.find("\n", int(len(text) * (1 - share))) + 1
        if not 0 < at < len(text):
            raise LuthierError(f"text: {name}: too short, or one line alone: nothing can be held out of it")
        parts[0].append((name, text[:at]))
        parts[1].append((name, text[at:]))
    return parts


def prepare(recipe: Pretraining, folder: Path) -> Prepared:
    """Write the texts, unless they are there."""
    made = Prepared(
        folder / "text" / "train.txt", folder / "text" / "heldout.txt", folder / "documents",
        folder / "text" / "heldout.jsonl", folder / "text" / "validation.jsonl",
    )  # fmt: skip
    if made.validation.exists():  # written last
        return made
    train, held = streamed(recipe) if recipe.stream else texts(recipe)
    shutil.rmtree(made.documents, ignore_errors=True)  # of a command that was killed here
    for at in range(0, len(train), SHARD):
        rows = ({"id": name, "text": text, "path": name} for name, text in train[at : at + SHARD])
        documents.write(documents.table_of(rows), made.documents / f"{at // SHARD:05d}.parquet")
    write_text(made.train, "".join(text for _, text in train))
    write_text(made.heldout, "".join(text for _, text in held))
    _write_rows(made.held_rows, [text for _, text in held])
    _write_rows(made.validation, _passages([text for _, text in held]))
    return made


def _passages(held: Sequence[str]) -> list[str]:
    """Beginnings of evenly spread stretches of text."""
    whole = [text[at : at + PASSAGE] for text in held for at in range(0, len(text), PASSAGE)]
    return whole[:: max(len(whole) // PASSAGES, 1)][:PASSAGES]


def _write_rows(path: Path, rows: Sequence[str]) -> None:
    write_text(path, "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in rows))


def tokenizer_of(recipe: Pretraining, made: Prepared, folder: Path) -> str:
    """The name of the tokenizer, learned where the recipe asks for it."""
    if recipe.stream:
        return _of_stream(recipe)
    if not isinstance(recipe.tokenizer, Tokens):
        return recipe.tokenizer
    target = folder / "tokenizer"
    if not (target / tokenizers.CONFIG).exists():
        special = special_of(recipe.shape.kind)
        learned = tokenizers.train(recipe.tokenizer.kind, [made.documents], recipe.tokenizer.size, special)
        tokenizers.save(learned, target, special)
    return str(target)


def special_of(shape: str) -> tuple[str, ...]:
    """What a tokenizer for models of that kind has besides words: the end of a text, sentinels, a mask."""
    asked = plugins.members("shapes")[shape].constants
    gaps = tuple(f"<extra_id_{at}>" for at in range(int(asked.get("SENTINELS", 0))))
    return (END, *gaps, *((tokenizers.MASK,) if asked.get("MASK") else ()))


def stream_of(recipe: Pretraining, made: Prepared, tokenizer: str, folder: Path, bar: Bar) -> Path:
    """The folder of the stream of tokens."""
    if recipe.stream:
        return Path(recipe.stream)
    asked = mix.Mix({"text": made.documents}, tokenizer, repeats=1.0, end=END, seed=recipe.seed)
    mix.run(asked, folder / "mix", Here(1), bar)
    return folder / "mix"


def start_of(recipe: Pretraining, tokenizer: str, folder: Path) -> str:
    """The name of the model before its first step: the recipe's own, or one of random weights."""
    if recipe.model:
        return recipe.model
    target = folder / "start"
    if target.exists():
        return str(target)
    import torch
    from transformers import AutoTokenizer

    from luthier.models.loading.load import auto_class

    words = AutoTokenizer.from_pretrained(tokenizer)
    end = words.convert_tokens_to_ids(END) if recipe.text else words.eos_token_id
    ids = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    config = plugins.members("shapes")[recipe.shape.kind].load("config")(
        recipe.shape.depth, len(words), recipe.shape.context, ids
    )
    torch.manual_seed(recipe.seed)
    model = auto_class(config, str(target)).from_config(config, dtype=torch.float32)
    making = folder / ".start"
    shutil.rmtree(making, ignore_errors=True)
    words.save_pretrained(making)
    model.save_pretrained(making)
    making.rename(target)
    return str(target)
