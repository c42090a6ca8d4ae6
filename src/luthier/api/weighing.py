"""Shares of a mix learned by training small models on many mixes (`corpus.mixing.regression`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from luthier.core.errors import LuthierError
from luthier.corpus import documents
from luthier.corpus.keys import digest
from luthier.corpus.mixing.mix import Mix, source_key
from luthier.corpus.mixing.order import drawn, places, together
from luthier.corpus.mixing.regression import Learned, check, learned
from luthier.corpus.mixing.regression import drawn as drawn_shares
from luthier.corpus.mixing.sources import Encoder, Source, encode, rows
from luthier.corpus.mixing.weights import allotted, natural
from luthier.corpus.pool import Here
from luthier.corpus.read import files
from luthier.corpus.recipe import Bar
from luthier.corpus.stage import shards_in
from luthier.data.split import WITHOUT_TEST
from luthier.io.files import LOCK, alone, is_taken, read_json, write_json, write_text

GIVEN, RESULT = "given.json", "weights.json"


@dataclass(frozen=True)
class Weighing:
    """mix: sources and their tokenizer. target: text whose loss is to be low. model: a folder of a small model, which

    each proxy trains in full. proxies: how many; tokens: of each. rate: of learning.
    """

    mix: Mix
    target: Path
    model: Path
    proxies: int = 16
    tokens: int = 60_000
    rate: float = 2e-3
    seed: int = 1


def weigh(given: Weighing, folder: Path, bar: Bar) -> Learned:
    """Train the proxies that are left, fit, and write weights.json. Raises LuthierError."""
    is_taken(folder, GIVEN, "weighing")
    for place in (given.target, given.model):
        if not place.exists():
            raise LuthierError(f"{place}: no such file or folder")
    check(given.proxies, len(given.mix.sources))
    encoder = Encoder(given.mix.tokenizer, given.mix.end)
    about = {
        "tokens": given.tokens, "rate": given.rate, "seed": given.seed, "repeats": given.mix.repeats,
        "sources": {name: source_key(path, encoder, None) for name, path in given.mix.sources.items()},
        "files": [digest(path) for place in (given.model, given.target) for path in files(str(place))],
    }  # fmt: skip
    if (folder / GIVEN).exists() and read_json(folder / GIVEN) != about:
        raise LuthierError(f"{folder}: holds proxies of other sources, files or options: choose another --out")
    write_json(folder / GIVEN, about)
    with alone(folder / LOCK, f"{folder}: another command is at work there"):
        texts = MixedTexts(given.mix, folder, bar)
        shares = drawn_shares(natural(texts.sizes), given.proxies, given.seed)
        losses = []
        with bar("proxies") as say:
            for number, one in enumerate(shares):
                say(number, len(shares))
                losses.append(trained(given, texts, one, folder / "proxies" / f"{number:03d}", given.seed + number))
        found = learned(shares, losses)
        write_json(folder / RESULT, {
            "weights": found.shares, "predicted": found.predicted, "order": found.order,
            "proxies": [{"shares": one, "bits_per_byte": loss} for one, loss in zip(shares, losses, strict=True)],
        })  # fmt: skip
    return found


class MixedTexts:
    """Documents of all sources, their tokens counted once."""

    def __init__(self, mix: Mix, folder: Path, bar: Bar) -> None:
        self.mix, encoder = mix, Encoder(mix.tokenizer, mix.end)
        self.sources = []
        for name, path in mix.sources.items():
            with bar(f"tokens of {name}") as say:
                encode(path, folder / "sources" / name, encoder, None, Here(), say)
            self.sources.append(Source.read(name, folder / "sources" / name, False))
        self.sizes = rows(self.sources)
        self._read: dict[str, list[str]] = {}

    def of(self, name: str) -> list[str]:
        """The documents of a source."""
        if name not in self._read:
            self._read[name] = [
                text or "" for path in shards_in(self.mix.sources[name])
                for text in documents.read(path, ["text"])["text"].to_pylist()
            ]  # fmt: skip
        return self._read[name]

    def mixed(self, shares: Mapping[str, float], tokens: int, seed: int) -> Iterator[str]:
        """Documents that hold so many tokens, in these shares."""
        found = allotted(shares, self.sizes, max(self.mix.repeats, tokens / max(min(self.sizes.values()), 1)), tokens)
        each = {}
        for source in self.sources:
            own = drawn(source.lengths, found.tokens[source.name], seed, source.name)
            each[source.name] = own, places(source.lengths[own])
        order, names = together(each), list(each)
        for source_at, document in zip(order.source.tolist(), order.document.tolist(), strict=True):
            yield self.of(names[source_at])[document]


def trained(given: Weighing, texts: MixedTexts, shares: Mapping[str, float], folder: Path, seed: int) -> float:
    """Bits a byte of the target after training on a mix; a proxy that is done is not trained again."""
    from luthier import api

    done = folder / "loss.json"
    if done.exists():
        return float(read_json(done))
    whole = round(given.tokens / WITHOUT_TEST["train"])  # training holds rows out: so it passes once over the others
    lines = (json.dumps({"text": text}, ensure_ascii=False) for text in texts.mixed(shares, whole, seed))
    write_text(folder / "mixed.jsonl", "\n".join(lines) + "\n")
    api.train(settings(given, folder / "mixed.jsonl", seed), folder / "run")
    loss = bits_per_byte(folder / "run", given.target)
    if not np.isfinite(loss):
        raise LuthierError(
            f"{folder}: the loss is no number: the learning rate {given.rate:g} is too large for this model"
        )
    write_json(done, loss)
    return loss


def settings(given: Weighing, data: Path, seed: int) -> dict[str, Any]:
    """Of a proxy's run."""
    return {
        "model": str(given.model), "method": "full", "objective": {"name": "lm"},
        "data": {"path": str(data)}, "seed": seed, "dtype": "float32",
        "training": {"tokens": given.tokens, "batch": 4, "learning_rate": given.rate},
    }  # fmt: skip


def bits_per_byte(run: Path, target: Path) -> float:
    """Of a file's texts under a run's model."""
    from luthier.core.records import Text
    from luthier.core.split import Split
    from luthier.corpus import read
    from luthier.evals.metrics.token_probability import METRIC
    from luthier.runs.loaded import load_run

    held = tuple(Text(text) for text in read.texts([target]))
    if not held:
        raise LuthierError(f"{target}: no text that could be read")
    return METRIC.scores(load_run(run), Split("text", held, ()), held).secondary["bits_per_byte"]


def as_yaml(shares: Mapping[str, float]) -> str:
    """Shares as a line of a recipe; rounded so that they add up."""
    names = list(shares)
    parts = np.round([shares[name] for name in names], 3)
    parts[int(np.argmax(parts))] += 1 - parts.sum()
    return "weights: {" + ", ".join(f"{name}: {part:.3f}" for name, part in zip(names, parts, strict=True)) + "}"
