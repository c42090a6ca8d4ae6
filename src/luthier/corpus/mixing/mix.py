"""Sources mixed to one stream of tokens, by a recipe.

tokenizer: tokenizer/                  # a folder, embedded, gpt2
sources:
  web: clean/kept
  wiki: {path: wiki/kept, kind: Wikipedia}
weights: natural                       # equal, {temperature: 0.5}, {like: LLaMA}, {web: 0.7, wiki: 0.3}
tokens: 100_000_000                    # 0: the most that has these shares
repeats: 4                             # of a source, at most
curriculum: {by: perplexity, reference: good/, stages: 4, ramp: 0.1}
seed: 1

DIR/sources/NAME-HASH/   tokens of each source (`data.token_files`), used again by another mix
DIR/tokens/              the mix: 00000.tokens, 00000.ends, tokens.json
DIR/mix.json             of each source tokens there, in the mix, share, rounds; written last
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from luthier.core.errors import LuthierError
from luthier.corpus.keys import digest
from luthier.corpus.mixing.order import Curriculum, Order, by_difficulty, drawn, places, together
from luthier.corpus.mixing.sources import Encoder, Source, encode, key_of, rows
from luthier.corpus.mixing.weights import Shares, allotted, asked, like, natural
from luthier.corpus.pool import Pool
from luthier.corpus.read import files as files_of
from luthier.corpus.recipe import Bar
from luthier.corpus.stage import as_text, done_in, shards_in
from luthier.data import token_files as files
from luthier.io.config import build
from luthier.io.files import LOCK, alone, is_taken, read_json, read_yaml, write_json
from luthier.io.places import place as located
from luthier.io.places import remove

GIVEN, RESULT = "given.json", "mix.json"
SHARD = 1 << 25  # tokens of a shard of the mix, about


@dataclass(frozen=True)
class Mix:
    """sources: folders of documents by name. kinds: what a make-up calls them. weights: a rule or shares by source."""

    sources: Mapping[str, Path]
    tokenizer: str
    weights: str | Mapping[str, Any] = "natural"
    kinds: Mapping[str, str] = field(default_factory=dict)
    tokens: int = 0
    repeats: float = 4.0
    curriculum: Curriculum | None = None
    end: str = "<|endoftext|>"
    seed: int = 1


_NAME = re.compile(r"\w[\w.-]*")
KEYS = {"sources", "tokenizer", "weights", "tokens", "repeats", "curriculum", "end", "seed"}


def read_mix(path: Path) -> Mix:
    """A recipe's file; what it names is relative to it. Raises LuthierError with the place of what is wrong."""
    found = read_yaml(path)
    if not isinstance(found, Mapping) or not {"sources", "tokenizer"} <= set(found) <= KEYS:
        raise LuthierError(f"{path}: a table with `sources` and `tokenizer`, perhaps {', '.join(sorted(KEYS))}")
    try:
        return _mix(dict(found), path.parent)
    except LuthierError as error:
        raise LuthierError(f"{path}: {error}") from None


def _mix(found: dict[str, Any], base: Path) -> Mix:
    given = found.pop("sources")
    if not isinstance(given, Mapping) or not given:
        raise LuthierError("sources: a name and a folder of documents each, such as `web: clean/kept`")
    sources, kinds = {}, {}
    for name, value in given.items():
        about = value if isinstance(value, Mapping) else {"path": value}
        if not {"path"} <= set(about) <= {"path", "kind"}:
            raise LuthierError(f"sources: {name}: a folder, or {{path: folder, kind: what a make-up calls it}}")
        if not _NAME.fullmatch(str(name)):
            raise LuthierError(f"sources: {name}: a name has letters, digits, . _ and -, and begins with none of these")
        sources[str(name)], kinds[str(name)] = located(str(about["path"]), base), str(about.get("kind", name))
    _check(found)
    if (curriculum := found.get("curriculum")) is not None:
        if not isinstance(curriculum, Mapping):
            raise LuthierError("curriculum: a table, such as {by: length, stages: 4}")
        for key in ("reference", "model", "good", "bad"):
            if (place := base / str(curriculum.get(key, ""))) != base and place.exists():
                curriculum = {**curriculum, key: str(place)}
        found["curriculum"] = build(Curriculum, curriculum, "curriculum")
    tokenizer = str(found.pop("tokenizer"))
    tokenizer = str(base / tokenizer) if (base / tokenizer).exists() else tokenizer
    return Mix(sources, tokenizer, kinds=kinds, **found)


def _check(found: Mapping[str, Any]) -> None:
    """Raise LuthierError for a value of another kind."""
    for name, least, kinds in (("tokens", 0, int), ("seed", 0, int), ("repeats", 0.01, (int, float))):
        value = found.get(name, least)
        if isinstance(value, bool) or not isinstance(value, kinds) or value < least:
            raise LuthierError(f"{name}: {value}: a number from {least} on")
    if not isinstance(found.get("end", ""), str):
        raise LuthierError(f"end: {found['end']}: the text of a token")
    weights = found.get("weights", "")
    values = [v for k, v in weights.items() if k != "like"] if isinstance(weights, Mapping) else []
    if not isinstance(weights, str | Mapping) or any(
        isinstance(v, bool) or not isinstance(v, int | float) for v in values
    ):
        raise LuthierError("weights: natural, equal, {temperature: 0.5}, {like: LLaMA}, or a number for each source")


def shares_of(mix: Mix, sizes: Mapping[str, int]) -> tuple[Shares, list[str]]:
    """Shares of a mix by its rule, and what people are told. Raises LuthierError."""
    rule = mix.weights
    if isinstance(rule, str):
        if rule not in ("natural", "equal"):
            raise LuthierError(
                f"weights: {rule}: natural, equal, {{temperature: 0.5}}, {{like: LLaMA}}, or a share a source"
            )
        return natural(sizes, 1.0 if rule == "natural" else 0.0), []
    if set(rule) == {"temperature"}:
        return natural(sizes, float(rule["temperature"])), []
    if set(rule) == {"like"}:
        shares, missing = like(str(rule["like"]), mix.kinds, sizes)
        return shares, [f"like {rule['like']}: nothing here is {', '.join(missing)}"] if missing else []
    return asked({str(name): float(share) for name, share in rule.items()}, sizes), []


def run(mix: Mix, folder: Path, pool: Pool, bar: Bar) -> dict[str, Any]:
    """Do what is left and give what mix.json holds. Raises LuthierError."""
    is_taken(folder, GIVEN, "mix")
    encoder = Encoder(mix.tokenizer, mix.end)
    vocabulary, end = encoder.check()
    with alone(folder / LOCK, f"{folder}: another command is at work there"):
        write_json(folder / GIVEN, {"sources": {name: str(path) for name, path in mix.sources.items()}})
        pool.check(folder, list(mix.sources.values()))
        read = []
        for name, path in mix.sources.items():
            place = folder / "sources" / f"{name}-{source_key(path, encoder, _difficulty(mix.curriculum))}"
            with bar(f"tokens of {name}") as say:
                encode(path, place, encoder, _difficulty(mix.curriculum), pool, say)
            read.append(Source.read(name, place, _difficulty(mix.curriculum) is not None))
        sizes = rows(read)
        shares, notes = shares_of(mix, sizes)
        found = allotted(shares, sizes, mix.repeats, mix.tokens)
        about = {"sizes": sizes, "tokens": found.tokens, "seed": mix.seed, "order": mix.curriculum,
                 "places": [source.tokens.folder.name for source in read]}  # fmt: skip
        key = hashlib.blake2b(as_text(about).encode(), digest_size=8).hexdigest()
        with bar("mix") as say:
            order = _order(read, found.tokens, mix)
            _write(order, read, folder / files.TOKENS, key, say,
                   vocabulary=vocabulary, end=end, tokenizer=mix.tokenizer, seed=mix.seed,
                   vocabulary_key=key_of(mix.tokenizer))  # fmt: skip
        mixed = {source.name: int(source.lengths[order.document[order.source == at]].sum())
                 for at, source in enumerate(read)}  # fmt: skip
        for name, size in mixed.items():
            if abs(size - found.tokens[name]) > 0.01 * max(found.tokens[name], 1):
                notes.append(f"{name}: {size:,} tokens where {found.tokens[name]:,} were asked: its documents are long")
        result = {
            "key": key, "notes": notes, "short": list(found.short), "vocabulary": vocabulary,
            "tokens": len(files.Tokens(folder / files.TOKENS)),
            "sources": {name: {"there": sizes[name], "mixed": mixed[name], "share": shares[name],
                               "rounds": mixed[name] / max(sizes[name], 1)} for name in sizes},
        }  # fmt: skip
        write_json(folder / RESULT, result)
    return result


def _difficulty(given: Curriculum | None) -> Curriculum | None:
    return given if given is not None and isinstance(given.by, str) else None


def source_key(path: Path, encoder: Encoder, curriculum: Curriculum | None) -> str:
    """Of all that a source's tokens and difficulties hang on: documents, tokenizer, what a curriculum looks at."""
    whole = hashlib.blake2b(digest_size=6)
    for shard in shards_in(path):
        whole.update(digest(shard).encode())
    place = Path(encoder.tokenizer)
    marks = [digest(p) for p in ([place] if place.is_file() else sorted(place.glob("tokenizer.json")))]
    looked = [] if curriculum is None else [curriculum.by, *(
        str(digest(path)) for name in (curriculum.reference, curriculum.model, curriculum.good, curriculum.bad)
        if name and located(name).exists() for path in files_of(name)
    )]  # fmt: skip
    whole.update(f"{as_text(encoder.__dict__)} {marks} {looked}".encode())
    return whole.hexdigest()


def _order(read: Sequence[Source], tokens: Mapping[str, int], mix: Mix) -> Order:
    given = mix.curriculum
    each = {}
    for source in read:
        own = drawn(source.lengths, tokens[source.name], mix.seed, source.name)
        if given is not None and isinstance(given.by, str):
            own = by_difficulty(own, source.difficulty, given, mix.seed, source.name)
        where = places(source.lengths[own])
        if given is not None and not isinstance(given.by, str):
            where = _after(source.name, given, tokens, where, mix.seed)
        each[source.name] = own, where
    return together(each)


def _after(name: str, given: Curriculum, tokens: Mapping[str, int], where: Any, seed: int) -> Any:
    """Places of a source that comes behind others."""
    if set(given.by) != set(tokens):
        raise LuthierError(f"curriculum: by: each source once: {', '.join(tokens)}")
    before = sum(tokens[other] for other in given.by[: list(given.by).index(name)])
    whole = max(sum(tokens.values()), 1)
    noise = np.random.default_rng([seed, len(name), before]).uniform(-0.5, 0.5, len(where))
    return (before + where * tokens[name]) / whole + given.ramp * noise


def _write(order: Order, read: Sequence[Source], folder: Path, key: str, say: Any, **about: Any) -> None:
    """The mix's shards. Those of another mix go first."""
    kept = folder / "key.json"
    if not kept.exists() or read_json(kept) != key:
        remove(folder)
        write_json(kept, key)
    if files.whole(folder):
        return
    lengths = np.zeros(len(order.source), np.int64)
    for at, source in enumerate(read):
        mine = order.source == at
        lengths[mine] = source.lengths[order.document[mine]]
    ends = np.cumsum(lengths)
    cuts = np.searchsorted(ends, np.arange(SHARD, int(ends[-1]) if len(ends) else 0, SHARD))
    bounds = [0, *(int(cut) + 1 for cut in cuts), len(lengths)]
    dtype = files.dtype_of(about["vocabulary"])
    for at, (low, high) in enumerate(pairwise(dict.fromkeys(bounds))):
        say(at, len(bounds) - 1)
        if (folder / f"{at:05d}.{files.ENDS}").exists():
            continue
        out, place = np.empty(int(lengths[low:high].sum()), files.TYPES[dtype]), 0
        for number, document, size in zip(
            order.source[low:high].tolist(), order.document[low:high].tolist(), lengths[low:high].tolist(), strict=True
        ):
            out[place : place + size] = read[number].tokens.read(int(read[number].where[document]), size)
            place += size
        files.write_shard(folder, at, out, np.cumsum(lengths[low:high]), dtype)
    files.finish(folder, len(done_in(folder, files.ENDS)), dtype, **about)
