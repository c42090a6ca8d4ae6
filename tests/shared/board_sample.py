"""A realistic leaderboard with its curves and details, for the tests of the report and of the terminal table."""

from __future__ import annotations

import math
import random
from typing import Any

MODEL = "SmolLM2-135M-Instruct"
NASTY = '<script>alert(1)</script> \x1b[31mCUDA out of memory</td></table>${style} & "quotes"'


def row(method: str, score: float | None, half: float, **values: Any) -> dict[str, Any]:
    interval = None if score is None else [round(score - half, 4), round(min(1.0, score + half * 0.94), 4)]
    defaults = {"status": "ok", "reason": None, "score": score, "ci95": interval, "seeds": 3, "mergeable": None,
                "learning_rate": None}  # fmt: skip
    return {"name": method, "method": method, "model": MODEL, **defaults, **values}


def costs(trainable: int, seconds: float, memory: int, size: int, latency: float, forgetting: float) -> dict[str, Any]:
    return {"trainable": trainable, "trainable_share": trainable / 134_515_008, "train_seconds": seconds,
            "peak_memory_bytes": memory, "artifact_bytes": size, "latency_ms": latency,
            "forgetting": forgetting}  # fmt: skip


def left_out(method: str, status: str, reason: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("score", "ci95", "trainable", "trainable_share", "train_seconds", "peak_memory_bytes",
                             "artifact_bytes", "latency_ms", "forgetting", "mergeable", "learning_rate"))  # fmt: skip
    return {"name": method, "method": method, "model": MODEL, "status": status, "reason": reason, "seeds": 0, **nothing}


def sample_board() -> dict[str, Any]:
    """Ten methods on a classification task: eight finished, one failed, one skipped."""
    mb = 1_000_000
    rows = [
        row("zero_shot", 0.423, 0.061, **costs(0, 0.0, 780 * mb, 412, 96.2, 0.0)),
        row("lora", 0.871, 0.042, **costs(2_442_240, 402.0, 1490 * mb, int(9.8 * mb), 98.4, 0.064),
            **{"mergeable": True, "learning_rate": 1e-3}),
        row("full", 0.862, 0.043, **costs(134_515_008, 531.0, 3120 * mb, 538 * mb, 95.9, 0.391),
            **{"mergeable": True, "learning_rate": 5e-5}),
        row("layers", 0.838, 0.046, **costs(28_323_072, 288.0, 1710 * mb, 113 * mb, 96.0, 0.147),
            **{"mergeable": True, "learning_rate": 2.5e-4}),
        row("features", 0.792, 0.051, **costs(6_924, 21.4, 812 * mb, 61_440, 31.7, 0.0)),
        row("head", 0.761, 0.053, **costs(6_924, 44.8, 840 * mb, 30_208, 32.0, 0.0),
            **{"mergeable": False, "learning_rate": 1e-2}),
        row("soft_prompt", 0.604, 0.060, **costs(11_520, 377.0, 1380 * mb, 46_592, 103.5, 0.0),
            **{"mergeable": False, "learning_rate": 0.3}),
        row("few_shot", 0.518, 0.062, **{**costs(0, 3.8, 900 * mb, 5_140, 412.0, 0.0), "forgetting": None}),
        left_out("prefix", "failed", NASTY),
        left_out("distill", "skipped", "It needs a teacher model: name one with --teacher."),
    ]  # fmt: skip
    return {"task": "classification", "metric": "accuracy", "model": MODEL,
            "budget": {"tokens": 20_000, "seconds": 180.0}, "rows": rows, "best": "lora",
            "schema": 2, "constant": None,
            "recommendation": {"kind": "use", "name": "lora", "other": "", "score": 0.871, "interval": [0.829, 0.91],
                               "seconds": None, "command": "luthier predict runs/x new.csv"},
            "verdicts": [verdict("better", "lora", "zero_shot", "untuned", 0.448, 0.382, 0.513),
                         verdict("better", "few_shot", "zero_shot", "untuned", 0.095, 0.027, 0.164),
                         verdict("worse", "features", "lora", "best", -0.079, -0.128, -0.031),
                         verdict("tied", "full", "lora", "best", -0.01, -0.04, 0.02),
                         verdict("tied", "layers", "lora", "best", -0.02, -0.06, 0.01)]}  # fmt: skip


def verdict(kind: str, a: str, b: str, against: str, value: float, low: float, high: float) -> dict[str, Any]:
    return {"kind": kind, "a": a, "b": b, "interval": [low, high], "difference": value, "against": against,
            "steps": None}  # fmt: skip


def sample_curves() -> dict[str, list[dict[str, Any]]]:
    """Noisy falling losses of three seeds for every trained method."""
    rng = random.Random(7)
    shapes = {"lora": (2.4, 0.31, 4200), "full": (2.4, 0.24, 3000), "layers": (2.4, 0.46, 4600),
              "head": (2.48, 0.86, 7000), "soft_prompt": (2.9, 1.34, 9000)}  # fmt: skip
    return {
        name: [{"seed": seed, "tokens": step * 160,
                "loss": end + (start - end) * math.exp(-step * 160 / pace) + rng.gauss(0, 0.07 * (start - end) / 2)}
               for seed in range(3) for step in range(1, 126)]
        for name, (start, end, pace) in shapes.items()
    }  # fmt: skip


def sample_details() -> dict[str, Any]:
    """What the page says besides, with Chinese and with markup in it."""
    recipe = (
        "model: SmolLM2-135M-Instruct\ndata: tickets.jsonl\nobjective:\n  name: sft\npatch:\n  name: lora\n"
        "  rank: 16\n  targets: all-linear\n  alpha: 32\nlearning_rate: 1.0e-3\ntokens: 20000\nseed: 0\n"
        "labels: [退款, 物流, refund, delivery]\n"
    )
    return {
        "title": "客服工单分类 · customer tickets", "created": "2026-03-12T14:05:00+00:00", "quick_look": False,
        "tied": ["full", "layers"], "resolution": 0.06,
        "rows_train": 384, "rows_validation": 128, "rows_test": 240,
        "labels": ["refund", "delivery", "login problem", "发票", "账户安全", "换货", "<b>weird</b>", "cancel order",
                   "price question", "投诉", "praise", "other"],
        "secondary": {"lora": {"macro_f1": 0.861}, "full": {"macro_f1": 0.855}, "layers": {"macro_f1": 0.829},
                      "features": {"macro_f1": 0.781}, "head": {"macro_f1": 0.744}, "few_shot": {"macro_f1": 0.487},
                      "soft_prompt": {"macro_f1": 0.577}, "zero_shot": {"macro_f1": None}},
        "command": "luthier compare tickets.jsonl --budget 20k-tokens --seeds 3 --out tickets-report",
        "recipe": recipe,
        "environment": {"luthier": "0.1.0", "torch": "2.9.1", "transformers": "5.0.0", "python": "3.11.7",
                        "machine": "2 cores, 8 GB, no GPU", "commit": "3f9c2e1"},
        "notes": ["Three labels have fewer than 10 test rows: their share of macro-F1 is noisy."],
        "summaries": {"zero_shot": "The untuned model with the best of three prompts",
                      "few_shot": "Labelled examples in the prompt, nothing trained",
                      "features": "Logistic regression on frozen hidden states",
                      "head": "A new output layer on the frozen model",
                      "lora": "Low-rank updates beside every linear layer", "layers": "The last blocks only",
                      "soft_prompt": "Trained vectors in front of the input", "full": "Every weight"},
    }  # fmt: skip
