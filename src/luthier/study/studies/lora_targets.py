"""Where LoRA goes: one kind of matrix, pairs, all of attention, the feed-forward, everything, at equal trained numbers.

The rank of each placement is chosen so that all of them train as many numbers as nearly as ranks allow; the table shows
how nearly. One learning rate and alpha = 2r for all. Scored by the loss on the test rows, in pairs.

Example: luthier study lora-targets mine.jsonl --budget 5m --set placements=wq,wv,wq+wv,attention,ffn,all
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase, both
from luthier.study.compared import COST_HEADS, Compared, cost_cells, verdict
from luthier.study.finding import Claim, Finding, Verdict
from luthier.study.study import Arm, OnModel, Study

if TYPE_CHECKING:
    from luthier.models.base import TrainableLM

SINGLE = {"wq": "query", "wk": "key", "wv": "value", "wo": "attention_out", "wqkv": "fused"}
PLACEMENTS = ("wq", "wk", "wv", "wo", "wqkv", "wq+wk", "wq+wv", "wk+wv", "wv+wo", "attention", "ffn", "all")
NEAR = 0.02  # how far from equal the counts may be before a larger rank is tried
TRIES = 4  # the largest rank that is tried on everything, in units of `rank`

Shapes = Mapping[str, tuple[int, int]]  # path -> outputs, inputs


def shapes_of(lm: TrainableLM) -> Shapes:
    """Outputs and inputs of every linear layer of the blocks, by path."""
    from luthier.models.layers.surgery import linear_paths, matrix_shape

    return {p: matrix_shape(lm.model.get_submodule(p)) for p in linear_paths(lm.model, lm.stacks, "all")}


def places(lm: TrainableLM, shapes: Shapes) -> dict[str, list[str]]:
    """The paths of each placement by name; those that the model does not have are empty."""
    from luthier.models.layers.sites import sites

    roles = sites(lm, "query", "key", "value", "attention_out", "fused")
    single = {name: [p for p in shapes if roles.get(p) == role] for name, role in SINGLE.items()}
    attention = [p for p in shapes if p in roles]
    whole = {"attention": attention, "ffn": [p for p in shapes if p not in roles], "all": list(shapes)}
    pairs = {f"{a}+{b}": single[a] + single[b] if single[a] and single[b] else [] for a, b in combinations(SINGLE, 2)}
    return {**single, **pairs, **whole}


def trained(paths: Sequence[str], shapes: Shapes, rank: int) -> int:
    """Numbers in A and B over these layers."""
    return rank * sum(sum(shapes[p]) for p in paths)


def equal_ranks(chosen: Mapping[str, Sequence[str]], shapes: Shapes, rank: int) -> tuple[dict[str, int], float]:
    """The rank of each placement at which all train about as many numbers, and the largest deviation as a share.

    rank: of LoRA on every layer. The next rank up to four times as large at which the counts are near enough is taken;
    where there is none, or a matrix is too small for it, the one of all up to there at which they are nearest.
    """
    fitting = []
    for r in (*range(rank, rank * TRIES + 1), *range(1, rank)):
        goal = trained(list(shapes), shapes, r)
        ranks = {n: max(1, round(goal / trained(paths, shapes, 1))) for n, paths in chosen.items()}
        off = max(abs(trained(paths, shapes, ranks[n]) / goal - 1) for n, paths in chosen.items())
        if any(ranks[n] > min(min(shapes[p]) for p in paths) for n, paths in chosen.items()):
            continue
        if off <= NEAR and r >= rank:
            return ranks, off
        fitting.append((off, r, ranks))
    if not fitting:
        raise LuthierError(
            "at as many trained numbers as on all layers a single kind of matrix would need a rank above its size: "
            "leave it out of --set placements"
        )
    off, _, ranks = min(fitting, key=lambda t: t[:2])
    return ranks, off


@dataclass(frozen=True)
class LoraTargets(Study):
    """placements: names by +. rank: on all layers, at least. rate: of learning, LoRA's own middle unless given."""

    placements: tuple[str, ...] = PLACEMENTS
    rank: int = 2
    rate: float | None = None

    title: ClassVar[Phrase] = both("Where LoRA goes", "LoRA 放在哪里")
    budget: ClassVar[str] = "5m"

    def arms(self, lm: TrainableLM) -> tuple[list[Arm], list[Phrase]]:
        shapes = shapes_of(lm)
        known = places(lm, shapes)
        if wrong := [n for n in self.placements if n not in known]:
            raise LuthierError(f"--set placements: there is no {wrong[0]!r}; known: {', '.join(known)}")
        chosen = {n: known[n] for n in self.placements if known[n]}
        missing = [n for n in self.placements if not known[n] and (n != "wqkv" or self.placements != PLACEMENTS)]
        ranks, off = equal_ranks(chosen, shapes, self.rank)
        arms = [
            Arm(
                n,
                {"rank": ranks[n], "targets": "|".join(re.escape(p) for p in paths)},
                rate=self.rate,
                facts={"rank": ranks[n], "trained": trained(paths, shapes, ranks[n]), "layers": len(paths)},
            )
            for n, paths in chosen.items()
        ]
        notes = [
            both(
                f"Trained numbers differ by at most {100 * off:.1f} % from those of rank-equal LoRA on all layers.",
                f"训练参数量与放在全部层上的 LoRA 最多相差 {100 * off:.1f} %。",
            )
        ]
        if missing:
            notes.append(
                both(
                    f"Not on this model, which has no such matrix by itself: {', '.join(missing)}.",
                    f"此模型没有单独的这类矩阵：{'、'.join(missing)}。",
                )
            )
        return arms, notes

    def finding(self, models: Sequence[OnModel]) -> Finding:
        on = models[0]
        found = Compared.of(on)
        costs = cost_cells(on)
        more = {n: [str(on.arm(n).facts["rank"]), str(on.arm(n).facts["layers"]), *costs[n]] for n in on.runs}
        table = found.table(
            both("Placements at equal trained numbers", "训练参数量相等的各种位置"),
            more,
            (both("Rank", "秩"), both("Layers", "层数"), *COST_HEADS),
        )
        chart = found.forest(both("Loss by placement", "各位置的损失"))
        rule = both(
            "One learning rate for all placements, alpha = 2r. Another rate could favour another placement.",
            "所有位置使用同一学习率，alpha = 2r。换一个学习率可能会偏向别的位置。",
        )
        return Finding(found.sentence(), _claims(on, found), [table], [chart], [*on.notes, rule])


def _claims(on: OnModel, found: Compared) -> list[Claim]:
    out = []
    pairs = [n for n in found.order if "+" in n]
    if "wq+wv" in pairs and len(pairs) > 1:
        others = [n for n in pairs if n != "wq+wv"]
        gaps = [found.boot.difference(n, "wq+wv") for n in others]
        beaten = any(g.high < 0 for g in gaps)
        best: Verdict = "differs" if beaten else "agrees" if all(g.low > 0 for g in gaps) else "open"
        says = both("wq+wv is the best of the pairs.", "wq+wv 是最好的一对。")
        out.append(Claim(says, "Hu et al. 2021", best))
    if {"all", "attention"} <= on.runs.keys():
        gap = found.boot.difference("attention", "all")
        says = both(
            "All linear layers beat attention alone at equal trained numbers.",
            "训练参数量相等时，全部线性层优于只放在注意力上。",
        )
        out.append(Claim(says, "Dettmers et al. 2023", verdict(gap)))
    return out


STUDY = LoraTargets
