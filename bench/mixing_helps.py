"""Do learned shares help? Small models trained on mixes of three sources, judged on other text.

    python bench/mixing_helps.py
    python bench/mixing_helps.py --seeds 1 --tokens 20000 --proxies 8 --proxy-tokens 5000  (a try, nothing is written)

Sources: web pages (../shared/data/c4_300.jsonl), articles (the beginnings of those of wiki_30.txt but for five),
questions with their answers (alpaca_en_1k.json). Target: the beginnings of the five articles that are left. Shares by
`luthier corpus weigh` against natural and equal ones, three seeds each, all on the same number of tokens. Told: bits a
byte of the target, the difference to learned shares with its interval of 95 % (Student's t over the seeds' pairs), and
what the regression had predicted beside what is measured on as few tokens as it has seen. The last line is natural by
learned: above 1 where learning the shares helps.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import nullcontext
from pathlib import Path
from statistics import mean
from typing import Any

import cleaning_helps
import corpus_texts
import measure
import paired
import peer
from luthier.api.weighing import MixedTexts, Weighing, trained, weigh
from luthier.corpus import documents
from luthier.corpus.mixing.mix import Mix

TOKENS, PROXIES, PROXY_TOKENS, SEEDS = 200_000, 16, 60_000, 3
HELD, LONG = 5, 4000  # articles of the target; characters of a document


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser()
    for name, value in (("seeds", SEEDS), ("tokens", TOKENS), ("proxies", PROXIES), ("proxy-tokens", PROXY_TOKENS)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = corpus_texts.asked(parser)
    with tempfile.TemporaryDirectory(prefix="mixing-") as name:
        work = Path(name)
        texts, target = sources(given.data)
        for source, own in texts.items():
            (work / source).mkdir()
            rows = ({"id": str(number), "text": text} for number, text in enumerate(own))
            documents.write(documents.table_of(rows), work / source / "00000.parquet")
        (work / "target.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in target), "utf-8")
        cleaning_helps.model(
            work / "model", *cleaning_helps.SIZES["small"], [t for own in texts.values() for t in own], 0
        )
        mix = Mix({source: work / source for source in texts}, str(work / "model"), end="<|end|>", repeats=100)
        asked = Weighing(mix, work / "target.jsonl", work / "model", given.proxies, given.proxy_tokens)
        bar = lambda title: nullcontext(lambda done, of: None)  # noqa: E731
        found = weigh(asked, work / "weighed", bar)
        print(f"learned {found.shares}, predicted {found.predicted:.4f}, order {found.order:.2f}", flush=True)
        read = MixedTexts(mix, work / "weighed", bar)
        whole = sum(read.sizes.values())
        shares = {
            "natural": {name: size / whole for name, size in read.sizes.items()},
            "equal": dict.fromkeys(read.sizes, 1 / len(read.sizes)), "learned": found.shares,
        }  # fmt: skip
        scores: dict[int, dict[str, list[float]]] = {}
        for tokens in (given.proxy_tokens, given.tokens):
            for kind, one in shares.items():
                for seed in range(given.seeds):
                    run = Weighing(mix, asked.target, asked.model, tokens=tokens)
                    bits = trained(run, read, one, work / f"{kind}-{tokens}-{seed}", 100 + seed)
                    scores.setdefault(tokens, {}).setdefault(kind, []).append(bits)
                    print(f"  {tokens} tokens, {kind}, seed {seed}: {bits:.4f} bits a byte", flush=True)
    report(scores, found, shares, given)


def sources(data: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Documents by source, and those of the target."""
    web = [json.loads(line)["text"][:LONG] for line in (data / "c4_300.jsonl").open(encoding="utf-8")]
    articles = [line[:LONG] for line in (data / "wiki_30.txt").read_text("utf-8").splitlines() if line.strip()]
    rows = json.loads((data / "alpaca_en_1k.json").read_text("utf-8"))
    asked = ["\n".join(filter(None, (row["instruction"], row["input"], row["output"]))) for row in rows]
    return {"web": web, "articles": articles[HELD:], "answers": asked}, articles[:HELD]


def report(scores: dict[int, dict[str, list[float]]], found: Any, shares: dict[str, Any], given: Any) -> None:
    """Print means and differences, and write the file."""
    learned = {tokens: paired.against(own, "learned") for tokens, own in scores.items()}
    for tokens, own in scores.items():
        print(f"{tokens} tokens" + (f", predicted {found.predicted:.4f}" if tokens == given.proxy_tokens else ""))
        for name, bits in own.items():
            print(f"  {name}: {mean(bits):.4f} bits a byte{paired.said(learned[tokens].get(name), 'learned')}")
    result = {
        "tokens": given.tokens, "proxies": given.proxies, "tokens of a proxy": given.proxy_tokens, "shares": shares,
        "predicted": found.predicted, "order": found.order, "bits per byte": scores, "more than learned": learned,
        "versions": measure.versions("torch", "transformers", "scikit-learn"),
    }  # fmt: skip
    if (given.seeds, given.tokens, given.proxies, given.proxy_tokens) == (SEEDS, TOKENS, PROXIES, PROXY_TOKENS):
        peer.save("mixing_helps", result)
    print(f"ratio {mean(scores[given.tokens]['natural']) / mean(scores[given.tokens]['learned']):.3f}")


if __name__ == "__main__":
    main()
