"""Frozen hidden states as features: pooled per text at several depths, cached on disk by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from luthier.data.pack import KEPT_TAIL
from luthier.data.shorten import known_as
from luthier.io.files import write_tensors
from luthier.models.inference.scoring import TOKENS

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

POOL: dict[str, Callable[[Tensor], Tensor]] = {  # (n, d) -> (d,)
    "mean": lambda states: states.mean(0),
    "first": lambda states: states[0].clone(),
    "last": lambda states: states[-1].clone(),
}
MAX_TOKENS = 512  # of one text
CUT = "cut"  # in the file: how many tokens each text lost, (N,)


def depths(count: int) -> list[int]:
    """Blocks after which features are read: a third, a half, two thirds, five sixths and the whole of the model."""
    return sorted({max(1, round(count * share)) for share in (1 / 3, 1 / 2, 2 / 3, 5 / 6, 1)})


def features(lm: TrainableLM, texts: Sequence[str], cache: Path) -> dict[str, Tensor]:
    """Tensors "depth.pooling" of shape (N, d); a second call with the same texts does no forward pass.

    Texts that were too long are counted, see `luthier.data.shorten`.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not texts:
        return {name: torch.empty(0, lm.width) for name in _names(lm)}
    way = [lm.key, depths(len(lm.feature_blocks)), _limit(lm), KEPT_TAIL]
    wanted = json.dumps([*way, list(texts)], ensure_ascii=False)
    path = cache / "features" / (hashlib.sha256(wanted.encode()).hexdigest()[:32] + ".safetensors")
    found: dict[str, Tensor] = {}
    if path.exists():
        try:
            found = load_file(path)
        except SafetensorError:
            path.unlink()  # cut short by something other than us: compute it again
    if not found:
        write_tensors(path, _compute(lm, texts))
        found = load_file(path)  # as every later call gets them: places in memory move the last bits of products
    for row in found.pop(CUT).nonzero().flatten().tolist():
        lm.counted.shortened[known_as(texts[row])] = min(_limit(lm), lm.context)
    return found


def _limit(lm: TrainableLM) -> int:
    """Tokens of one text: as the user wants it, else MAX_TOKENS."""
    return MAX_TOKENS if lm.longest is None else lm.longest


def _names(lm: TrainableLM) -> list[str]:
    return [f"{d}.{p}" for d in depths(len(lm.feature_blocks)) for p in lm.poolings]


@torch.no_grad()
def _compute(lm: TrainableLM, texts: Sequence[str]) -> dict[str, Tensor]:
    read = [lm.read_text(t, _limit(lm)) for t in texts]
    encoded = [found.ids for found in read]
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
    out: dict[str, list[Tensor]] = {name: [] for name in _names(lm)}
    at = 0
    while at < len(order):
        rows: list[int] = []
        total = 0
        while at < len(order) and (not rows or total + len(encoded[order[at]]) <= TOKENS):
            rows.append(order[at])
            total += len(encoded[order[at]])
            at += 1
        sizes = [len(encoded[i]) for i in rows]
        ids = torch.tensor([t for i in rows for t in encoded[i]], device=lm.device)
        positions = torch.tensor([p for n in sizes for p in range(n)], device=lm.device)
        for depth, states in lm.depth_states(ids, positions, sizes, depths(len(lm.feature_blocks))).items():
            for part in states.float().cpu().split(sizes):
                for pooling in lm.poolings:
                    out[f"{depth}.{pooling}"].append(POOL[pooling](part))
        if lm.progress:
            lm.progress(at, len(order))
    back = torch.tensor(order).argsort()
    return {name: torch.stack(rows)[back] for name, rows in out.items()} | {CUT: torch.tensor([f.cut for f in read])}
