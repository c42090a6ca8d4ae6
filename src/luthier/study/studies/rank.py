"""Effective rank: singular values of the weight matrices, and of the update that full tuning makes.

The effective rank is how many singular values hold 90 % of the energy (the sum of their squares), as a share of how
many there are. Shown by layer and by role, for the weights, for the update after full tuning under the budget, and for
a random matrix of the same shape, which is what "low" is held against.

Example: luthier study rank mine.jsonl --budget 5m --seeds 2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from luthier.core.phrases import Phrase, both
from luthier.evals.bootstrap import Bootstrap
from luthier.study import charts
from luthier.study.compared import plus_minus
from luthier.study.finding import Claim, Finding, Table, Verdict, joined
from luthier.study.study import Arm, Measured, OnModel, Study

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.study.bench import Bench

KINDS = {
    "weights": both("weights", "权重"),
    "update": both("update of full tuning", "全参数微调的更新"),
    "random": both("random matrix", "随机矩阵"),
}
POINTS = 20  # of an energy curve
LOW = 0.5  # of what a random matrix needs: what counts as low rank here


def energies(matrix: Tensor) -> Tensor:
    """Squares of the singular values of (out, in), the largest first; from the Gram matrix of the shorter side."""
    import torch

    wide = matrix.detach().double()
    wide = wide if wide.shape[0] <= wide.shape[1] else wide.T
    values: Tensor = torch.linalg.eigvalsh(wide @ wide.T)
    return values.clamp(min=0).flip(0)


def effective_rank(energy: Tensor, share: float) -> int:
    """How many of the largest singular values hold that share of the energy; 0 for a matrix of zeros."""
    total = energy.cumsum(0)
    return int((total < share * total[-1]).sum()) + 1 if float(total[-1]) > 0 else 0


def _curve(energy: Tensor) -> list[float]:
    """Percent of the energy that the largest 5 %, 10 %, … of the singular values hold."""
    total = energy.cumsum(0)
    at = [max(1, round(len(energy) * (i + 1) / POINTS)) for i in range(POINTS)]
    return [100 * float(total[k - 1] / total[-1].clamp(min=1e-300)) for k in at]


def matrices(lm: TrainableLM) -> dict[str, tuple[int, str]]:
    """Layer (counted through all stacks) and role of every linear layer of the blocks, by path."""
    from luthier.models.layers.sites import sites
    from luthier.models.layers.surgery import linear_paths, path_of

    roles = sites(lm, "query", "key", "value", "fused", "attention_out", "ffn_in", "ffn_out")
    blocks = [f"{path_of(lm.model, stack)}.{i}." for stack in lm.stacks for i in range(len(stack))]
    out = {}
    for path in linear_paths(lm.model, lm.stacks, "all"):
        layer = next(i for i, block in enumerate(blocks) if path.startswith(block))
        out[path] = (layer, path.rsplit(".", 1)[1] if roles.get(path) in (None, "ffn_in") else roles[path])
    return out


@dataclass(frozen=True)
class Rank(Study):
    """energy: share that the effective rank holds. rate: of learning, full tuning's own middle unless given."""

    energy: float = 0.9
    rate: float | None = None

    title: ClassVar[Phrase] = both(
        "Effective rank of weights and of full tuning's update", "权重与全参数微调更新的有效秩"
    )
    budget: ClassVar[str] = "3m"
    least: ClassVar[int] = 3

    def arms(self, lm: TrainableLM) -> tuple[list[Arm], list[Phrase]]:
        return [Arm("full", method="full", rate=self.rate)], []

    def measure(self, bench: Bench, arm: Arm, seed: int) -> Measured:
        with bench.session(arm, seed) as session:
            session.train()
            spent = session.loop.done
            session.loop.executor.optimizer.state.clear()  # as large as the model, twice
            found = [self._matrix(session, path, at, seed) for path, at in matrices(session.work).items()]
            curves = {kind: np.mean([m.pop(f"{kind}_curve") for m in found], axis=0).tolist() for kind in KINDS}
            return {
                "matrices": found,
                "curves": curves,
                "steps": spent.steps,
                "tokens": spent.tokens,
                **session.scored(),
            }

    def _matrix(self, session: Any, path: str, at: tuple[int, str], seed: int) -> dict[str, Any]:
        import torch

        from luthier.models.layers.surgery import matrix_of, transposed

        module = session.work.model.get_submodule(path)
        with session.patch.off(session.work):
            before = matrix_of(module).detach().float().clone()
        # the float32 master: what 16 bits would round away belongs to the update
        after = session.loop.executor.masters[f"{path}.weight"].detach()
        after = after.T if transposed(module) else after
        noise = torch.randn(before.shape, generator=torch.Generator().manual_seed(seed))
        out: dict[str, Any] = {"path": path, "layer": at[0], "role": at[1], "size": min(before.shape)}
        for kind, matrix in (("weights", before), ("update", after - before), ("random", noise)):
            energy = energies(matrix)
            out[kind] = effective_rank(energy, self.energy)
            out[f"{kind}_curve"] = _curve(energy)
        return out

    def finding(self, models: Sequence[OnModel]) -> Finding:
        on = models[0]
        runs = on.runs["full"]
        boot = Bootstrap({kind: [[m[kind] / m["size"] * 100 for m in r["matrices"]] for r in runs] for kind in KINDS})
        shares = {kind: plus_minus(boot.score(kind), 1) for kind in KINDS}
        text = both(
            f"{100 * self.energy:g} % of the energy lies in {shares['weights']} % of the singular values of the "
            f"weights, in {shares['update']} % of those of full tuning's update, and in {shares['random']} % of those "
            "of a random matrix.",
            f"{100 * self.energy:g} % 的能量：权重集中在 {shares['weights']} % 的奇异值上，全参数微调的更新集中在 "
            f"{shares['update']} % 上，随机矩阵在 {shares['random']} % 上。",
        )
        steps = runs[0]["steps"]
        note = both(
            f"The update is that of {steps} steps of full tuning; a longer training may use more directions.",
            f"这里的更新来自 {steps} 步全参数微调；训练更久可能会用到更多方向。",
        )
        tables = [_table(runs, "role", both("By role", "按角色")), _table(runs, "layer", both("By layer", "按层"))]
        return Finding(text, _claims(boot), tables, [_energy_chart(runs, text), _layer_chart(runs)], [note])


def _claims(boot: Bootstrap) -> list[Claim]:
    out = []
    wanted: dict[str, tuple[Phrase, str | Phrase]] = {
        "weights": (
            both("Weight matrices have low rank.", "权重矩阵是低秩的。"),
            both("often said of large models", "关于大模型的常见说法"),
        ),
        "update": (
            both("The update that full tuning makes has low rank.", "全参数微调的更新是低秩的。"),
            "Aghajanyan et al. 2020; Hu et al. 2021",
        ),
    }
    for kind, (says, source) in wanted.items():
        gap = boot.means[kind] - LOW * boot.means["random"]
        low, high = np.percentile(gap, [2.5, 97.5])
        rule = both("Low: fewer than half of what a random matrix needs.", "低：少于随机矩阵所需的一半。")
        verdict: Verdict = "agrees" if high < 0 else "differs" if low > 0 else "open"
        out.append(Claim(joined([says, rule]), source, verdict))
    return out


def _groups(runs: Sequence[Measured], key: str) -> dict[Any, Mapping[str, float]]:
    """Mean percentage of each kind by layer or role, over matrices and seeds; and how many matrices."""
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for run in runs:
        for m in run["matrices"]:
            groups.setdefault(m[key], []).append(m)
    out: dict[Any, Mapping[str, float]] = {}
    for name, found in groups.items():
        shares = {kind: float(np.mean([100 * m[kind] / m["size"] for m in found])) for kind in KINDS}
        ranks = {f"{kind}_rank": float(np.mean([m[kind] for m in found])) for kind in KINDS}
        out[name] = {
            **shares,
            **ranks,
            "count": len(found) / len(runs),
            "size": float(np.mean([m["size"] for m in found])),
        }
    return out


def _table(runs: Sequence[Measured], key: str, title: Phrase) -> Table:
    columns = [
        both("Role", "角色") if key == "role" else both("Layer", "层"),
        both("Matrices", "矩阵数"),
        both("Singular values", "奇异值个数"),
        *(_percent(kind) for kind in KINDS),
    ]
    rows = []
    for name, found in _groups(runs, key).items():
        cells = [f"{found[kind]:.1f} % ({found[f'{kind}_rank']:.0f})" for kind in KINDS]
        label = str(name + 1) if isinstance(name, int) else str(name).replace("_", " ")
        rows.append([label, f"{found['count']:.0f}", f"{found['size']:.0f}", *cells])
    return Table(title, columns, rows)


def _percent(kind: str) -> Phrase:
    english = KINDS[kind].text("en")
    return both(english[:1].upper() + english[1:], KINDS[kind].text("zh"))


def _energy_chart(runs: Sequence[Measured], text: Phrase) -> dict[str, Any]:
    x = [100 * (i + 1) / POINTS for i in range(POINTS)]
    drawn = []
    for kind, title in KINDS.items():
        y = np.mean([run["curves"][kind] for run in runs], axis=0).tolist()
        drawn.append(charts.line(title, x, y, [f"{a:.0f} %: {b:.1f} %" for a, b in zip(x, y, strict=True)]))
    return charts.lines(
        both("Energy in the largest singular values", "最大奇异值所含的能量"),
        drawn,
        both("Share of the singular values, %", "奇异值的比例（%）"),
        both("Energy, %", "能量（%）"),
        [text],
    )


def _layer_chart(runs: Sequence[Measured]) -> dict[str, Any]:
    groups = _groups(runs, "layer")
    x = [layer + 1 for layer in groups]
    drawn = [
        charts.line(title, x, [g[kind] for g in groups.values()], [f"{g[kind]:.1f} %" for g in groups.values()])
        for kind, title in KINDS.items()
    ]
    most, least = (f(groups, key=lambda k: groups[k]["update"]) + 1 for f in (max, min))
    summary = both(
        f"The update uses most directions in layer {most} and fewest in layer {least}.",
        f"更新在第 {most} 层用到的方向最多，在第 {least} 层最少。",
    )
    return charts.lines(
        both("Effective rank by layer", "各层的有效秩"),
        drawn,
        both("Layer", "层"),
        both("Effective rank, % of the singular values", "有效秩（占奇异值的 %）"),
        [summary],
    )


STUDY = Rank
