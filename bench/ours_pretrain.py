"""Our side of bench/pretrain_vs_litgpt.py: the product's loop, `lm` on a stream of tokens, every weight trained.

    ours_pretrain.py prepare WORK       a tokenizer, a stream of one document, a model of random weights
    ours_pretrain.py train WORK         steps of the loop; figures as the last line
    ours_pretrain.py profile WORK       where the time of a few steps goes, by operator

WORK/job.json: depth, vocabulary, length (of a row), batch (rows a step), micro (rows at once), warm and steps, lr,
clip, seed, threads, data (a folder of texts, see `corpus_texts`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import corpus_texts
import measure
import operations
from luthier.core.progress import Report
from luthier.core.split import Split
from luthier.corpus import documents
from luthier.corpus.tokenizers import training
from luthier.data import token_files
from luthier.data.stream import Stream
from luthier.io.config import Recipe, recipe_from
from luthier.models.base import TrainableLM
from luthier.models.kernels.product import has_onednn, product
from luthier.models.layers.surgery import linear_paths, matrix_of
from luthier.models.loading.of_recipe import load_base, trainable
from luthier.models.shapes import decoder
from luthier.runs import run

END = "<|endoftext|>"
LETTERS = 8  # bytes of text prepared for each token asked for: more than any text takes
TOKENS = 4096  # of the tokenizer, whatever rows the model's vocabulary has


def prepare(work: Path, job: dict[str, Any]) -> None:
    """Tokens of real text as one document, so that all sides cut them at the same places; a model to begin with."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    count = (job["warm"] + job["steps"]) * job["batch"] * job["length"] + 1
    texts = [text for _, text in corpus_texts.documents(Path(job["data"]), count * LETTERS)]
    rows = ({"id": str(at), "text": text} for at, text in enumerate(texts[:300]))
    documents.write(documents.table_of(rows), work / "texts" / "0.parquet")
    training.save(
        training.train("bpe", [work / "texts"], min(TOKENS, job["vocabulary"]), (END,)), work / "model", (END,)
    )
    words = AutoTokenizer.from_pretrained(work / "model")
    ids = np.concatenate([np.array(words(text, verbose=False)["input_ids"]) for text in texts])[:count]
    kind = token_files.dtype_of(job["vocabulary"])
    (work / "tokens").mkdir()
    token_files.write_shard(work / "tokens", 0, ids, np.array([len(ids)]), kind)
    token_files.finish(work / "tokens", 1, kind, vocabulary=job["vocabulary"])
    end = words.convert_tokens_to_ids(END)
    named = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    torch.manual_seed(job["seed"])
    config = decoder.config(job["depth"], job["vocabulary"], job["length"] + 1, named)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(work / "model")
    words.save_pretrained(work / "model")
    measure.give(parameters=model.num_parameters(), tokens=len(ids))


def recipe_of(work: Path, job: dict[str, Any]) -> Recipe:
    """One pass over the stream."""
    size = job["length"] + 1  # of a stretch: its last token is learned and begins the next one
    return recipe_from({
        "method": "full", "model": str(work / "model"), "objective": {"name": "lm", "max_length": size},
        "training": {
            "tokens": 10**9, "epochs": 1.0, "batch": job["batch"], "micro_tokens": job["micro"] * size, "warmup": 0.0,
            "learning_rate": job["lr"], "schedule": "constant", "clip": job["clip"],
        },
        "dtype": "float32", "threads": job["threads"], "seed": job["seed"],
    })  # fmt: skip


def trained(work: Path, job: dict[str, Any], say: Callable[[Report], None]) -> None:
    """The loop over the stream."""
    recipe, data = recipe_of(work, job), Split("text", (), (), stream=Stream(work / "tokens"))
    with run.adapted(trainable(load_base(recipe)), recipe, data, say=say):
        pass


def train(work: Path, job: dict[str, Any]) -> None:
    """Time and tokens count from the end of the last warm step to the end of the last one."""
    lm = trainable(load_base(recipe_of(work, job)))
    rate, counted = shaped_rate(lm, job), operations.pretraining_token(lm, job["length"])
    del lm
    reports: list[Report] = []
    watch = measure.Watch()

    def say(report: Report) -> None:
        reports.append(report)
        watch.start() if len(reports) == job["warm"] else watch.stop()

    trained(work, job, say)
    tokens = job["steps"] * job["batch"] * job["length"]
    measure.give(
        tokens=tokens, seconds=watch.seconds, tokens_per_second=tokens / watch.seconds, others=watch.others,
        peak_bytes=measure.peak_bytes(), losses=[r.loss for r in reports], operations_a_token=counted,
        product_rate=rate, share_of_rate=counted * tokens / watch.seconds / rate / 1e9,
        versions=measure.versions("luthier", "torch", "transformers"),
    )  # fmt: skip


def shaped_rate(lm: TrainableLM, job: dict[str, Any], seconds: float = 0.5) -> float:
    """GFLOP/s of matrix products at the model's own shapes: all those of a step, one after another.

    A matrix (out, in) has three for so many rows as are read at once: x wᵀ, g w, gᵀ x. Each is taken by the faster of
    the two libraries that torch has, best of its repetitions, and counts by its share of the operations.
    """
    rows, spent, done = job["micro"] * job["length"], 0.0, 0.0
    shapes = [tuple(matrix_of(lm.model.get_submodule(p)).shape) for p in linear_paths(lm.model, lm.stacks, "all")]
    shapes.append(tuple(lm.head.weight.shape))
    for out, wide in sorted(set(shapes)):
        x, w, g = torch.randn(rows, wide), torch.randn(out, wide), torch.randn(rows, out)
        for left, right in ((x, w), (g, w.T), (g.T, x.T)):
            ways = [lambda a=left, b=right: torch.mm(a, b.T)]
            if has_onednn():
                ways.append(lambda a=left, b=right: product(a, b))
            spent += shapes.count((out, wide)) * min(_quickest(way, seconds) for way in ways)
            done += shapes.count((out, wide)) * 2.0 * rows * out * wide
    return done / spent / 1e9


def _quickest(way: Callable[[], object], seconds: float) -> float:
    """Of the calls that fit in so many seconds, the shortest; three at least."""
    way()
    begin, best, calls = time.perf_counter(), float("inf"), 0
    while calls < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        way()
        best, calls = min(best, time.perf_counter() - start), calls + 1
    return best


def profile(work: Path, job: dict[str, Any]) -> None:
    """Print the operators that take the time of the steps after the warm ones, by their own seconds."""
    from torch.profiler import ProfilerActivity, profile

    watched, steps = profile(activities=[ProfilerActivity.CPU]), 0

    def say(_: Report) -> None:
        nonlocal steps
        steps += 1
        if steps == job["warm"]:
            watched.start()
        elif steps == job["warm"] + job["steps"]:
            watched.stop()

    trained(work, job, say)
    print(watched.key_averages().table(sort_by="self_cpu_time_total", row_limit=40, max_name_column_width=50))


if __name__ == "__main__":
    if given := measure.asked(prepare):
        {"train": train, "profile": profile}[given[0]](*given[1:])
