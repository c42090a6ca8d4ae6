"""What Luthier adds to the `tokenizers` library beneath it: learning a tokenizer, encoding, shards of tokens.

    make bench NAME=tokenizer_vs_tokenizers
    python bench/tokenizer_vs_tokenizers.py --rounds 1 --megabytes 4      (a try, nothing is written)

Text: two thirds English (`corpus_texts`), one third Chinese (reviews and answers of ../shared/data), shuffled, as
documents in Parquet. A run is a process of its own, bound to so many cores, of which the library has a thread each.
Importing is in no time, nor is loading a tokenizer. Both sides must make the same: tokenizer, ids, number of tokens.

training   files to tokenizer.json: `training.train` and `save` against the library with the same settings, fed lists
           of texts that pyarrow reads, as its documentation has it
encoding   one file to ids: `mixing.sources.one`, which writes them to disk, against pyarrow, `encode_batch_fast` and
           `.ids`, which stay in memory
shards     files to files: `mixing.sources.encode`, a worker a core, against `encode_batch_fast` alone over texts in
           memory. Starting the workers (imports, tokenizer) is told apart: a run over a document each

Asked are 1 / 1.05 of the library's speed, 0.9 for shards. The last line is the smallest ratio by what is asked of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import corpus_texts
import measure
import peer
from luthier.corpus import documents
from luthier.corpus.keys import digest
from luthier.corpus.mixing import sources
from luthier.corpus.pool import Here
from luthier.corpus.tokenizers import training
from luthier.corpus.tokenizers.kinds.bpe import CUT
from luthier.data import token_files as files

PARTS = {"training": (1 / 1.05, [2]), "encoding": (1 / 1.05, [1, 2]), "shards": (0.9, [1, 2])}  # asked, cores
ROUNDS, MEGABYTES, FILES, SIZE = 5, 24.0, 2, 32_000
CHUNK = {1: 256, 2: 1000}  # texts that the library gets at a time, by cores: the fastest of those tried from 32 to 4000
REVIEWS = ("hotel_zh_train.jsonl", "hotel_zh_test.jsonl", "shopping_zh_train.jsonl", "shopping_zh_test.jsonl")
WHO = ("library", "luthier")


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--megabytes", type=float, default=MEGABYTES)
    given, found = corpus_texts.asked(parser), {}
    with tempfile.TemporaryDirectory(prefix="tokens-") as name:
        sizes = written(given.data, Path(name), given.megabytes)
        for part, (_, numbers) in PARTS.items():
            for cores in numbers:
                own = sizes[0] if part == "encoding" else sum(sizes)
                found[f"{part}, cores: {cores}"] = compared(part, cores, Path(name), given.rounds, own)
    for what, one in found.items():
        print(f"{what}: {one['MB/s']['luthier']:.2f} MB/s, {one['ratio']:.3f} of the library's (asked "
              f"{one['asked']:.3f}), by CPU seconds {one['by CPU']:.3f}; start-up {one['start']:.2f} s")  # fmt: skip
    ratio = min(one["ratio"] / one["asked"] for one in found.values())
    if (given.rounds, given.megabytes) == (ROUNDS, MEGABYTES):
        peer.save("tokenizer_vs_tokenizers", {
            "megabytes": sum(sizes), "files": FILES, "vocabulary": SIZE, "ratio": ratio, "parts": found,
            "versions": measure.versions("tokenizers", "pyarrow", "numpy")})  # fmt: skip
    print(f"ratio {ratio:.3f}")


def written(data: Path, work: Path, megabytes: float) -> list[float]:
    """Write WORK/input, and WORK/few with a document a file; gives MB of text of each file of the first."""
    texts = [text for _, text in corpus_texts.documents(data, round(megabytes * 2e6 / 3))]
    chinese = [json.loads(row)["text"] for name in REVIEWS for row in (data / "regret" / name).open(encoding="utf-8")]
    chinese += [row["output"] for row in json.loads((data / "alpaca_zh_1k.json").read_text("utf-8"))]
    random.Random(0).shuffle(chinese)
    wanted = round(megabytes / 3 / size(chinese) * len(chinese))
    texts += (chinese * (wanted // len(chinese) + 1))[:wanted]
    random.Random(0).shuffle(texts)
    for folder, some in (("input", texts), ("few", texts[:FILES])):
        for at in range(FILES):
            rows = ({"id": f"{at}-{number}", "text": text} for number, text in enumerate(some[at::FILES]))
            documents.write(documents.table_of(rows), work / folder / f"{at:05d}.parquet")
    return [size(texts[at::FILES]) for at in range(FILES)]


def size(texts: Iterable[str]) -> float:
    """MB of texts."""
    return sum(len(text.encode()) for text in texts) / 1e6


def compared(part: str, cores: int, work: Path, rounds: int, megabytes: float) -> dict[str, Any]:
    """Both sides in turn: medians, and our speed by the library's."""
    print(f"{part}, {megabytes:.1f} MB, cores: {cores}", flush=True)
    command: list[str | Path] = [sys.executable, __file__, "side", part, str(cores), work]
    sides = {"library": lambda: peer.side([*command, "library"], cores),
             "luthier": lambda: peer.side([*command, "luthier"], cores)}  # fmt: skip
    runs = peer.rounds(sides, rounds, lambda f: f"{f['seconds']:.2f} s, of CPU {f['CPU']:.2f} s")
    if len({str(figures.pop("made")) for own in runs.values() for figures in own}) > 1:
        sys.exit(f"{part}: the sides made different things")
    seconds, spent = ({who: peer.middle(runs[who], key) for who in WHO} for key in ("seconds", "CPU"))
    return {
        "ratio": seconds["library"] / seconds["luthier"], "asked": PARTS[part][0],
        "by CPU": spent["library"] / spent["luthier"], "start": peer.middle(runs["luthier"], "start"),
        "MB/s": {name: megabytes / own for name, own in seconds.items()}, "runs": runs,
    }  # fmt: skip


def side(part: str, number: str, folder: str, who: str) -> dict[str, Any]:
    """A side's figures. number: of cores. made: what must be the same on both."""
    cores, work = int(number), Path(folder)
    os.environ.pop("TOKENIZERS_PARALLELISM", None)  # as people have it: a thread a core
    os.sched_setaffinity(0, sorted(measure.cores())[:cores])
    learned, start, watch = work / "luthier" / "training", measure.Watch(), measure.Watch()
    for source, name, its in (("few", "warm", start), ("few", "warm", start), ("input", part, watch)):
        shutil.rmtree(out := work / who / name, ignore_errors=True)  # the first time imports, the second starts workers
        out.mkdir(parents=True)
        steps = WAYS[part, who](sorted((work / source).glob("*.parquet")), out, learned, cores)
        next(steps)
        its.start()
        next(steps)
        its.stop()
    apart = start if (part, who, cores) == ("shards", "luthier", 2) else measure.Watch()
    return {"seconds": watch.seconds - apart.seconds, "CPU": watch.own - apart.own, "start": apart.seconds,
            "others": watch.others, "made": next(steps)}  # fmt: skip


def read(paths: Iterable[Path], cores: int) -> Iterator[list[str]]:
    """Texts as pyarrow alone reads them."""
    batches = (batch for path in paths for batch in pq.ParquetFile(path).iter_batches(CHUNK[cores], columns=["text"]))
    return (batch["text"].to_pylist() for batch in batches)


def encoded(texts: Iterable[list[str]], tokenizer: Any) -> Iterator[Any]:
    """The library's fastest way."""
    return (one for some in texts for one in tokenizer.encode_batch_fast(some, add_special_tokens=False))


# Each way prepares up to its first `yield`, is measured up to its second, and gives by a third what it made.


def library_training(paths: list[Path], out: Path, learned: Path, cores: int) -> Iterator[Any]:
    """As the library's page on training from memory has it, with the settings of `kinds.bpe`."""
    yield
    made, ends, alphabet = Tokenizer(models.BPE()), [*training.SPECIAL], pre_tokenizers.ByteLevel.alphabet()
    cut, as_bytes = pre_tokenizers.Split(Regex(CUT), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)
    made.pre_tokenizer, made.decoder = pre_tokenizers.Sequence([cut, as_bytes]), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=SIZE, special_tokens=ends, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(read(paths, cores), trainer)
    made.save(str(out / training.FILE))
    yield
    yield digest(out / training.FILE)


def luthier_training(paths: list[Path], out: Path, learned: Path, cores: int) -> Iterator[Any]:
    yield
    training.save(training.train("bpe", [paths[0].parent], SIZE), out)
    yield
    yield digest(out / training.FILE)


def library_encoding(paths: list[Path], out: Path, learned: Path, cores: int) -> Iterator[Any]:
    yield (tokenizer := Tokenizer.from_file(str(learned / training.FILE)))
    yield (ids := [one.ids for one in encoded(read(paths[:1], cores), tokenizer)])
    np.concatenate(ids).astype("<u2").tofile(out / "ids")
    yield digest(out / "ids")


def luthier_encoding(paths: list[Path], out: Path, learned: Path, cores: int) -> Iterator[Any]:
    yield (encoder := sources.Encoder(str(learned)))
    sources.one(0, paths[0], out, encoder, None)
    yield (ids := np.fromfile(out / f"00000.{files.TOKENS}", "<u2"))
    ids[ids != encoder.check()[1]].tofile(out / "ids")
    yield digest(out / "ids")


def library_shards(paths: list[Path], out: Path, learned: Path, cores: int) -> Iterator[Any]:
    tokenizer = Tokenizer.from_file(str(learned / training.FILE))
    yield (texts := list(read(paths, cores)))
    yield (tokens := sum(map(len, encoded(texts, tokenizer))))
    yield tokens


def luthier_shards(paths: list[Path], out: Path, learned: Path, cores: int) -> Iterator[Any]:
    yield (encoder := sources.Encoder(str(learned)))
    sources.encode(paths[0].parent, out, encoder, None, Here(cores), lambda done, of: None)
    yield (made := files.Tokens(out))
    yield len(made) - int(made.documents.sum())


WAYS = {(part, who): globals()[f"{who}_{part}"] for part in PARTS for who in WHO}
if __name__ == "__main__":
    measure.give(**side(*sys.argv[2:])) if sys.argv[1:2] == ["side"] else main()
