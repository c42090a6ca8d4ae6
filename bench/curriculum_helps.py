"""Does a curriculum help? Small models trained on the same documents in the orders that `luthier corpus mix` writes.

    python bench/curriculum_helps.py
    python bench/curriculum_helps.py --seeds 1 --tokens 20000      (a try, nothing is written)

Sources: web pages (../shared/data/c4_300.jsonl) and questions with their answers (alpaca_en_1k.json), without a tenth
that is held out and another tenth that is the bad examples of `quality`. Its good ones, and the reference of
`perplexity`, are passages of the articles of wiki_30.txt. Orders: shuffled, and from easy to hard by each of these with
the stages and the ramp that `mix` has by itself. One pass over the stream as it is written, so that documents, tokens,
steps and learning rates are the same; a seed draws documents, their order and the model's first weights. `train`
shuffles its rows, so that an objective of our own reads the stream. All of it at two learning rates. Told: bits a byte
of what is held out, and of each order the difference to shuffled with its interval of 95 % (Student's t over the seeds'
pairs), not corrected for being several. The last line is shuffled by `length`, chosen beforehand, at the first rate:
above 1 where the curriculum helps.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

import cleaning_helps
import corpus_texts
import measure
import paired
import peer
from luthier.core.cursor import Cursor
from luthier.core.example import Example, renumbered
from luthier.core.records import Text
from luthier.core.split import Split
from luthier.corpus import documents
from luthier.corpus.mixing import mix
from luthier.corpus.mixing.order import Curriculum
from luthier.corpus.pool import Here
from luthier.data import token_files as tokens
from luthier.evals.metrics.token_probability import METRIC
from luthier.io.config import options, recipe_from
from luthier.models.loading.of_recipe import load_base, trainable
from luthier.objectives.lm import Lm
from luthier.training.attach import prepared
from luthier.training.context import Context

TOKENS, SEEDS = 200_000, 3
SIZE, LENGTH, BATCH, RATES = "small", 512, 2, (2e-3, 4e-3)  # tokens of a row, rows of a step
PART, HELD, LONG = 10, 1000, 2000  # one of so many is held out; characters of a held-out text, of a passage
ORDERS = ("shuffled", "length", "perplexity", "quality")


@dataclass(frozen=True)
class Written(Lm):
    """The stream of a mix as one long text, its stretches in the order in which they are written.

    stream: folder of the mix's tokens.
    """

    stream: str = ""

    def dataset(self, ctx: Context, data: Split) -> Sequence[Example]:
        ids, room = tokens.Tokens(Path(self.stream))[:].tolist(), self.room_of(ctx.policy)
        parts = (ids[at : at + room] for at in range(0, len(ids) - 1, room - 1))
        return renumbered([self.stretch(ctx.policy, 0, part) for part in parts])

    def batches(self, ctx: Context, dataset: Sequence[Example], size: int, cursor: Cursor) -> Iterator[list[Example]]:
        while True:
            while cursor.at < len(dataset):
                chosen = list(dataset[cursor.at : cursor.at + size])
                cursor.at += len(chosen)
                yield chosen
            cursor.next_epoch()


def main() -> None:
    """Mix, train, judge, print and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    given = corpus_texts.asked(parser)
    scores: dict[float, dict[str, list[float]]] = {rate: {} for rate in RATES}
    about: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="curriculum-") as name:
        work = Path(name)
        texts, held = sources(given.data, work)
        for seed in range(given.seeds):
            cleaning_helps.model(work / f"model-{seed}", *cleaning_helps.SIZES[SIZE], texts, seed)
        for seed in range(given.seeds):
            same = list[bytes]()
            for order in ORDERS:
                found, stream = mixed(work, order, given.tokens, seed)
                same = same or stream
                if stream != same:
                    raise SystemExit(f"{order}, seed {seed}: other documents than {ORDERS[0]}")
                about.setdefault(order, []).append(found)
                print(f"  {order}, seed {seed}: {found}", flush=True)
                for rate in RATES:
                    bits, steps = trained(work, seed, held, rate)
                    scores[rate].setdefault(order, []).append(bits)
                    print(f"    {bits:.4f} bits a byte at {rate:g}, {steps} steps", flush=True)
    report(scores, about, given)


def sources(data: Path, work: Path) -> tuple[list[str], tuple[Text, ...]]:
    """Write the folders that mixes read; texts to train on, and those that are held out."""
    web = [json.loads(line)["text"] for line in (data / "c4_300.jsonl").open(encoding="utf-8")]
    rows = json.loads((data / "alpaca_en_1k.json").read_text("utf-8"))
    asked = ["\n".join(filter(None, (row["instruction"], row["input"], row["output"]))) for row in rows]
    kept, held, bad = list[str](), list[str](), list[str]()
    for source, own in (("web", web), ("answers", asked)):
        held += [text[:HELD] for text in own[::PART]]
        bad += own[PART // 2 :: PART]
        left = [text for at, text in enumerate(own) if at % PART not in (0, PART // 2)]
        (work / source).mkdir()
        table = documents.table_of({"id": str(number), "text": text} for number, text in enumerate(left))
        documents.write(table, work / source / "00000.parquet")
        kept += left
    articles = (data / "wiki_30.txt").read_text("utf-8").splitlines()
    good = [line[at : at + LONG] for line in articles if line.strip() for at in range(0, len(line), LONG)]
    cleaning_helps.write(work / "good.jsonl", good)
    cleaning_helps.write(work / "bad.jsonl", bad)
    return kept, tuple(map(Text, held))


def mixed(work: Path, order: str, size: int, seed: int) -> tuple[dict[str, Any], list[bytes]]:
    """Mix in an order; tokens in all and a document in each quarter, and all documents, sorted."""
    good, bad = str(work / "good.jsonl"), str(work / "bad.jsonl")
    curriculum = None if order == "shuffled" else Curriculum(order, reference=good, good=good, bad=bad)
    asked = mix.Mix(
        {name: work / name for name in ("web", "answers")}, str(work / "model-0"), tokens=size, repeats=1.0,
        curriculum=curriculum, end="<|end|>", seed=seed,
    )  # fmt: skip
    mix.run(asked, work / "mix", Here(1), lambda title: nullcontext(lambda done, of: None))
    read = tokens.Tokens(work / "mix" / tokens.TOKENS)
    ends = np.concatenate([first + read.ends(at) for at, first in enumerate(read.first[:-1])])
    quarter = [round(float(mean(part))) for part in np.array_split(np.diff(ends, prepend=0), 4)]
    found = {"tokens": len(read), "documents": len(ends), "tokens of a document by quarter": quarter}
    return found, sorted(part.tobytes() for part in np.split(read[:], ends[:-1]))


def trained(work: Path, seed: int, held: tuple[Text, ...], rate: float) -> tuple[float, int]:
    """Bits a byte of the held-out texts after one pass over the stream, and its steps."""
    training = {"tokens": 10**9, "epochs": 1.0, "batch": BATCH, "learning_rate": rate}
    recipe = recipe_from(
        {"method": "full", "model": str(work / f"model-{seed}"), "dtype": "float32", "threads": 1,
         "training": training}
    )  # fmt: skip
    objective = Written(LENGTH, str(work / "mix" / tokens.TOKENS))
    ctx = Context(trainable(load_base(recipe)), seed=seed)
    with prepared(ctx, options(recipe), objective, recipe.training) as ready:
        steps = ready.loop.run().steps
        found = METRIC.scores(ready.ctx.policy, Split("text", held, ()), held)
    return found.secondary["bits_per_byte"], steps


def report(scores: dict[float, dict[str, list[float]]], about: dict[str, Any], given: argparse.Namespace) -> None:
    """Print means and differences, and write the file."""
    told = {rate: paired.against(own, "shuffled") for rate, own in scores.items()}
    for rate, own in scores.items():
        print(f"learning rate {rate:g}")
        for name, bits in own.items():
            print(f"  {name}: {mean(bits):.4f} bits a byte{paired.said(told[rate].get(name), 'shuffled')}")
    result = {
        "tokens": given.tokens, "width and blocks": cleaning_helps.SIZES[SIZE], "row": LENGTH, "batch": BATCH,
        "curriculum": {"stages": Curriculum.stages, "ramp": Curriculum.ramp}, "streams": about,
        "bits per byte": scores, "more than shuffled": told,
        "versions": measure.versions("torch", "transformers", "scikit-learn"),
    }  # fmt: skip
    if (given.seeds, given.tokens) == (SEEDS, TOKENS):
        peer.save("curriculum_helps", result)
    print(f"ratio {mean(scores[RATES[0]]['shuffled']) / mean(scores[RATES[0]]['length']):.3f}")


if __name__ == "__main__":
    main()
