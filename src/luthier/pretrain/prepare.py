"""What training begins with, each made once: text, tokenizer, stream, a model of random weights.

    DIR/text/train.txt, heldout.txt      the bytes that are trained on, and those that are scored
    DIR/text/heldout.jsonl, validation.jsonl   the documents that are held out, and passages of theirs
    DIR/documents/                       what is trained on, as the corpus has documents; of a mix there is none
    DIR/tokenizer/                       learned from it, unless one is named
    DIR/mix/                             the stream of tokens (`corpus.mixing`)
    DIR/start/                           the model before its first step

A killed command goes on behind what is whole.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.corpus import documents, read
from luthier.corpus.mixing import mix
from luthier.corpus.mixing.sources import key_of
from luthier.corpus.pool import Here
from luthier.corpus.recipe import Bar
from luthier.corpus.tokenizers import training as tokenizers
from luthier.corpus.tokenizers.known import GPT2, known
from luthier.data.stream import Stream
from luthier.io.files import replacing, write_text
from luthier.io.places import place
from luthier.models.loading.bundled import embedded_model
from luthier.pretrain.fetching import fetched
from luthier.pretrain.recipe import Pretraining, Tokens

END = "<|endoftext|>"
SENTINELS = 100  # where an objective asks for them that the shape is not made for
FEW = 10  # documents: of fewer, the end of each is held out
PASSAGE, PASSAGES = 2000, 64  # characters of a passage; how many are looked at during training
SHARD, ROW = 500, 1 << 20  # documents of a file; characters of a row, which are bounded
Documents = list[tuple[str, str]]  # names, and texts that end with a new line


@dataclass(frozen=True)
class Prepared:
    """Where everything lies."""

    train: Path
    heldout: Path
    documents: Path
    held_rows: Path
    validation: Path


def named(names: Sequence[str]) -> Documents:
    """The documents of texts by name, files, folders and addresses. Raises LuthierError where they hold none."""
    found: Documents = []
    for name in names:
        if member := plugins.members("texts").get(name):
            about = member.constants
            archive = fetched(about["FILE"], about["SHA256"], about.get("PACKAGE", ""), about.get("ADDRESSES", ()))
            found += member.load("read")(archive)
        else:
            found += _read(name)
    found = [(name, written(text.strip()) + "\n") for name, text in found if text.strip()]
    if not found:
        raise LuthierError(f"text: {', '.join(names)}: holds no text that could be read")
    return found


def texts(recipe: Pretraining) -> tuple[Documents, Documents]:
    """Documents to train on and those that are held out. Raises LuthierError."""
    return held_out(named(recipe.text), recipe.hold)


def streamed(recipe: Pretraining) -> tuple[Iterator[str], Documents]:
    """The documents of a stream, as text again, one after the other, and those held out. Raises LuthierError."""
    stream = Stream(Path(recipe.stream))
    words, end = known(of_stream(recipe)), stream.tokens.about.get("end")
    parts = (stream.tokens[low:high].tolist() for low, high in pairwise(stream.bounds().tolist()))
    train = (words.decode([i for i in ids if i != end], skip_special_tokens=False) for ids in parts)
    held = [(name, written(text.strip()) + "\n") for name, text in _read(recipe.heldout) if text.strip()]
    if not held:
        raise LuthierError(f"heldout: {recipe.heldout}: holds no text that could be read")
    return train, held


def _read(name: str) -> Documents:
    return [(source.name, row.text) for source, row in read.each([place(name)])]


def written(text: str) -> str:
    """A text that files of rows can hold: NUL and half of a pair of UTF-16, which JSON may name, become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def of_stream(recipe: Pretraining) -> str:
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
        if not 0 < (at := _cut(text, int(len(text) * (1 - share)))) < len(text):
            why = f"no line or sentence ends within its {len(text):,} characters: nothing can be held out of it"
            raise LuthierError(f"text: {name}: {why}; break it into lines, or leave it out")
        parts[0].append((name, text[:at]))
        parts[1].append((name, text[at:]))
    return parts


def _cut(text: str, at: int) -> int:
    """Where a line ends behind this place, or before it, or else a sentence; 0 where there is none."""
    last = len(text.rstrip())
    behind, before = text.find("\n", at, last) + 1, text.rfind("\n", 0, at) + 1
    if behind or before:
        return behind or before
    ends = [found.end() for found in re.finditer(r"[。！？]|[.!?]\s", text[:last])]
    return min((end for end in ends if end < last), key=lambda end: abs(end - at), default=0)


def prepare(recipe: Pretraining, folder: Path) -> Prepared:
    """Write the texts, unless they are there."""
    made = Prepared(
        folder / "text" / "train.txt", folder / "text" / "heldout.txt", folder / "documents",
        folder / "text" / "heldout.jsonl", folder / "text" / "validation.jsonl",
    )  # fmt: skip
    if made.validation.exists():  # written last
        return made
    if recipe.stream:
        parts, held = streamed(recipe)
    else:
        train, held = texts(recipe)
        _write_documents(made.documents, train)
        parts = (text for _, text in train)
    with replacing(made.train) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(parts)
    write_text(made.heldout, "".join(text for _, text in held))
    _write_rows(made.held_rows, [row for _, text in held for row in _rows(text)])
    _write_rows(made.validation, _passages([text for _, text in held]))
    return made


def _write_documents(folder: Path, train: Documents) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # of a command that was killed here
    for at in range(0, len(train), SHARD):
        rows = ({"id": name, "text": text, "path": name} for name, text in train[at : at + SHARD])
        documents.write(documents.table_of(rows), folder / f"{at // SHARD:05d}.parquet")


def _rows(text: str) -> list[str]:
    """A text in rows, all together the text; what is blank stands with the row before it."""
    rows: list[str] = []
    for at in range(0, len(text), ROW):
        part = text[at : at + ROW]
        rows[-1:] = [rows[-1] + part] if rows and not part.strip() else [*rows[-1:], part]
    return rows


def _passages(held: Sequence[str]) -> list[str]:
    """Beginnings of evenly spread stretches of text."""
    parts = (text[at : at + PASSAGE] for text in held for at in range(0, len(text), PASSAGE))
    whole = [part for part in parts if part.strip()]
    return whole[:: max(len(whole) // PASSAGES, 1)][:PASSAGES]


def _write_rows(path: Path, rows: Sequence[str]) -> None:
    write_text(path, "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in rows))


def tokenizer_of(recipe: Pretraining, made: Prepared, folder: Path) -> str:
    """The name of the tokenizer, learned where the recipe asks for it."""
    if recipe.stream:
        return of_stream(recipe)
    if not isinstance(recipe.tokenizer, Tokens):
        return recipe.tokenizer
    target = folder / "tokenizer"
    if not (target / tokenizers.CONFIG).exists():
        special = special_of(recipe)
        learned = tokenizers.train(recipe.tokenizer.kind, [made.documents], recipe.tokenizer.size, special)
        tokenizers.save(learned, target, special)
    return str(target)


def special_of(recipe: Pretraining) -> tuple[str, ...]:
    """What a tokenizer has besides words: the end of a text, and sentinels or a mask where shape or objective ask."""
    asked, name = plugins.members("shapes")[recipe.shape.kind].constants, recipe.objective.get("name")
    count = int(asked.get("SENTINELS", 0)) or (SENTINELS if name == "denoise" else 0)
    gaps = tuple(f"<extra_id_{at}>" for at in range(count))
    return (END, *gaps, *((tokenizers.MASK,) if asked.get("MASK") or name == "mlm" else ()))


def end_of(recipe: Pretraining, tokenizer: str) -> str:
    """The token that ends a document: `END` where the tokenizer has it; where a model is gone on with, its own.

    Raises LuthierError where there is none.
    """
    if not recipe.model and known(tokenizer).token_to_id(END) is not None:
        return END
    if (end := _words(tokenizer).eos_token) is None:
        raise LuthierError(f"tokenizer: {tokenizer}: names no token that ends a text (eos_token), and has no {END}")
    return str(end)


def _words(name: str) -> Any:
    """A tokenizer as transformers has it. Raises LuthierError."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    found = known(name)
    if name == GPT2 or Path(name).is_file():
        return PreTrainedTokenizerFast(tokenizer_object=found)
    return AutoTokenizer.from_pretrained(embedded_model() if name == "embedded" else name)


def stream_of(recipe: Pretraining, made: Prepared, tokenizer: str, folder: Path, bar: Bar) -> Path:
    """The folder of the stream of tokens."""
    if recipe.stream:
        return Path(recipe.stream)
    end = end_of(recipe, tokenizer)
    asked = mix.Mix({"text": made.documents}, tokenizer, repeats=1.0, end=end, seed=recipe.seed)
    mix.run(asked, folder / "mix", Here(1), bar)
    return folder / "mix"


def start_of(recipe: Pretraining, tokenizer: str, stream: Path, folder: Path) -> str:
    """The name of the model before its first step: the recipe's own, or one of random weights."""
    if recipe.model:
        return recipe.model
    target = folder / "start"
    if target.exists():
        return str(target)
    import torch

    from luthier.models.loading.load import auto_class

    words = _words(tokenizer)
    end = Stream(stream).tokens.about.get("end")  # as what it is trained on ends
    if end is not None and words.eos_token is None:
        words.eos_token = words.convert_ids_to_tokens(end)
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
