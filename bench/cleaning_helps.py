"""Does cleaning help? Models of random weights trained on a crawl as it is and on what a recipe makes of it.

    python bench/cleaning_helps.py --pages FOLDER
    python bench/cleaning_helps.py --pages FOLDER --seeds 1 --tokens 20000      (a try, nothing is written)

FOLDER holds web pages (*.html), such as trafilatura's evaluation pages (github.com/adbar/trafilatura, tests/eval): real
ones with menus and all. Raw: all visible text of the English pages. Clean: the main text of the same pages, judged by
the rules of FineWeb, repeated documents, passages and sentences taken out. Same tokenizer, same number of tokens, three
seeds; judged by bits a byte on other clean text, the beginnings of the articles in ../shared/data/wiki_30.txt. A small
model on clean text stands against a larger one on raw text. The last line is the larger model's bits a byte on raw text
by those on clean text: above 1 where cleaning helps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import corpus_texts
import measure
import peer

TOKENS, VOCABULARY = 400_000, 4096
SIZES = {"small": (96, 3), "large": (192, 6)}  # width, blocks
HELD = 4000  # characters of each held-out text
RUNS = (("large", "raw"), ("large", "clean"), ("small", "raw"), ("small", "clean"))
CLEAN = [
    {"language": {"keep": ["en"]}}, {"filter": {"rules": "fineweb"}}, "exact", "near", "substrings", "sentences"
]  # fmt: skip


def main() -> None:
    """Clean, train, judge, print and write the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pages", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    given = corpus_texts.asked(parser)
    if not any(given.pages.rglob("*.html")):
        raise SystemExit(f"{given.pages} holds no *.html: name a folder of web pages")
    with tempfile.TemporaryDirectory(prefix="cleaning-") as name:
        work = Path(name)
        texts = {"raw": raw(given.pages), "clean": clean(given.pages, work)}
        about = {kind: {"documents": len(found), "bytes": sum(len(t.encode()) for t in found)}
                 for kind, found in texts.items()}  # fmt: skip
        held = [line[:HELD] for line in (given.data / "wiki_30.txt").read_text("utf-8").splitlines() if line.strip()]
        write(work / "held.jsonl", held)
        for kind, found in texts.items():
            write(work / f"{kind}.jsonl", found)
        for size, shape in SIZES.items():
            for seed in range(given.seeds):
                model(work / f"{size}-{seed}", *shape, [*texts["raw"], *texts["clean"]], seed)
        for kind, found in texts.items():
            about[kind]["tokens"] = counted(work / "small-0", found)
        print(about, flush=True)
        scores: dict[str, list[float]] = {}
        for size, kind in RUNS:
            for seed in range(given.seeds):
                bits = trained(work, size, kind, seed, given.tokens)
                scores.setdefault(f"{size} on {kind}", []).append(bits)
                print(f"  {size} on {kind}, seed {seed}: {bits:.4f} bits a byte", flush=True)
    report(scores, about, given.tokens, written=given.seeds == 3 and given.tokens == TOKENS)


def raw(pages: Path) -> list[str]:
    """All visible text of each English page."""
    import pyarrow as pa
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    from luthier.corpus.stages.language import told

    found = []
    for path in sorted(pages.rglob("*.html")):
        data = path.read_bytes()
        text = extract_plain_text(
            bytes_to_str(data, detect_encoding(data) or "utf-8"), main_content=False, alt_texts=False
        )
        found.append(text.strip())
    names, sure = told(pa.chunked_array([pa.array(found, pa.large_string())]))
    return [text for text, name, score in zip(found, names, sure, strict=True) if name == "en" and score >= 0.65]


def clean(pages: Path, work: Path) -> list[str]:
    """What the recipe leaves of the same pages."""
    from luthier.corpus import documents
    from luthier.corpus.pool import Here
    from luthier.corpus.recipe import Pipeline, run_pipeline, stage_of
    from ours_corpus import bar

    run_pipeline(Pipeline((pages,), tuple(map(stage_of, CLEAN))), work / "corpus", Here(1), bar)
    paths = sorted((work / "corpus" / "kept").glob("*.parquet"))
    return [text for path in paths for text in documents.read(path, ["text"])["text"].to_pylist()]


def write(path: Path, texts: list[str]) -> None:
    """JSON Lines of texts."""
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8")


def model(folder: Path, width: int, blocks: int, texts: list[str], seed: int) -> None:
    """A Llama of random weights, with a byte-level tokenizer learned from raw and clean text together."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    if (folder / "config.json").exists():
        return
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    words.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<|end|>", pad_token="<|end|>").save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=words.get_vocab_size(), hidden_size=width, intermediate_size=8 * width // 3,
        num_hidden_layers=blocks,
        num_attention_heads=width // 32, num_key_value_heads=width // 32, max_position_embeddings=1024,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


def counted(folder: Path, texts: list[str]) -> int:
    """Tokens of all texts, each with an end."""
    from tokenizers import Tokenizer

    words = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return sum(len(one.ids) + 1 for one in words.encode_batch(texts))


def trained(work: Path, size: str, kind: str, seed: int, tokens: int) -> float:
    """Bits a byte of the held-out text after so many tokens."""
    folder = work / f"{size}-{kind}-{seed}-{tokens}"
    luthier = [sys.executable, "-m", "luthier"]
    done = folder / "evaluations" / "held.json"
    if not done.exists():
        settings = [
            f"model={work / size}-{seed}", f"data.path={work / kind}.jsonl", "method=full", "objective.name=lm",
            f"seed={seed}",
            "objective.max_length=512", f"training.tokens={tokens}", "training.batch=4", "training.learning_rate=2e-3",
            "dtype=float32",
        ]  # fmt: skip
        subprocess.run([*luthier, "train", *settings, "--out", folder], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*luthier, "eval", folder, work / "held.jsonl", "--name", "held"], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    found: dict[str, Any] = json.loads(done.read_text("utf-8"))
    return float(found["secondary"]["bits_per_byte"]["value"])


def report(scores: dict[str, list[float]], about: dict[str, Any], tokens: int, written: bool) -> None:
    """Print means with their spread, and write the file."""
    for name, found in scores.items():
        spread = f" ± {stdev(found):.4f}" if len(found) > 1 else ""
        print(f"{name}: {mean(found):.4f}{spread} bits a byte")
    middle = {name: mean(found) for name, found in scores.items()}
    result = {
        "texts": about, "tokens": tokens, "sizes": {k: {"width": w, "blocks": b} for k, (w, b) in SIZES.items()},
        "epochs": {kind: tokens / found["tokens"] for kind, found in about.items()}, "stages": CLEAN,
        "bits per byte": scores, "versions": measure.versions("torch", "transformers", "resiliparse"),
    }  # fmt: skip
    if written:
        peer.save("cleaning_helps", result)
    print(f"ratio {middle['large on raw'] / middle['large on clean']:.3f}")


if __name__ == "__main__":
    main()
