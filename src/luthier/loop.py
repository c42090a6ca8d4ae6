"""The only training loop: any patch, any objective.

    rows -> examples -> steps of `batch` rows -> micro-batches packed end to end -> named sums -> one optimiser step

The budget is counted in tokens that go through the model, so methods are compared at equal work. A step that would
exceed the budget is not begun. Everything that decides the next step (weights, optimiser, place in the data, random
state) is in one checkpoint file, so a killed run resumes bit for bit on the same number of CPU threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from luthier.checkpoint import CHECKPOINT, joined, parted, read_checkpoint, write_checkpoint
from luthier.core.phrases import say
from luthier.data.pack import Example, micro_batches, pack
from luthier.early import Watch
from luthier.errors import Diverged, LuthierError
from luthier.metrics import MetricsFile
from luthier.models.fast import fast
from luthier.models.trunk import make_trunk
from luthier.progress import Report
from luthier.protocols import Objective, Outputs, ParamGroup, Patch, Rng

if TYPE_CHECKING:
    from luthier.models.base import BaseLM


@dataclass(frozen=True)
class Training:
    """How long and how fast. tokens: the budget; epochs ends earlier when it is given; micro_tokens bounds memory."""

    tokens: int = 100_000
    epochs: float | None = None
    batch: int = 8
    learning_rate: float = 3e-4
    warmup: float = 0.05
    clip: float = 1.0
    micro_tokens: int = 1024
    checkpoint_seconds: float = 60.0
    early_stop: int | None = None  # these two: `luthier.early`
    evaluate_every: float | None = None


@dataclass
class Trained:
    """What a finished loop gives back."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float = math.nan


class Loop:
    """One training run of a patch that is already attached; `run()` trains to the end, from a checkpoint if any."""

    def __init__(
        self, lm: BaseLM, patch: Patch, objective: Objective, groups: Sequence[ParamGroup],
        examples: Sequence[Example], training: Training, seed: int, folder: Path | None = None,
        say: Callable[[Report], None] | None = None, watch: Watch | None = None,
    ) -> None:  # fmt: skip
        if not examples:
            raise LuthierError("nothing to learn from: no row has a token that carries loss within max_length")
        self.lm, self.patch, self.objective, self.examples = lm, patch, objective, list(examples)
        self.training, self.folder, self.say, self.watch = training, folder, say, watch or Watch()
        self.params: dict[str, nn.Parameter] = {}
        self.masters: dict[str, Tensor] = {}  # float32: the parameters themselves, or copies of those in 16 bits
        self.optimizer = self._optimizer(groups)
        self.rng = Rng(seed)
        self.done = Trained()
        self.finished = False
        self.trunk = make_trunk(lm, patch.cut(lm), self.examples)
        self.limit = self._limit()
        torch.manual_seed(seed)

    def _optimizer(self, groups: Sequence[ParamGroup]) -> torch.optim.AdamW:
        settings: list[dict[str, Any]] = []
        for group, params in _resolve(self.lm.model, groups):
            if not params:
                continue
            for name, p in zip(group.names, params, strict=True):
                p.requires_grad_(True)
                self.params[name] = p
                self.masters[name] = p if p.dtype == torch.float32 else p.detach().float()
            masters = [self.masters[name] for name in group.names]
            settings.append({"params": masters, "scale": group.lr_scale, "weight_decay": group.weight_decay})
        if not settings:
            raise LuthierError("nothing to train: the patch and the objective name no parameter")
        return torch.optim.AdamW(settings, lr=self.training.learning_rate, fused=True)

    def _limit(self) -> int:
        if self.training.epochs is None:
            return self.training.tokens
        return min(self.training.tokens, math.ceil(self.training.epochs * sum(e.tokens for e in self.examples)))

    def run(self) -> Trained:
        """Train until the budget is spent; raises Diverged when the loss is not finite."""
        self._resume()
        metrics = MetricsFile(self.folder / "metrics.jsonl", self.done.steps) if self.folder else None
        saved, cost = time.monotonic(), 0.0
        steps = self._steps()
        begin, seconds_before, tokens_before = time.monotonic(), self.done.seconds, self.done.tokens
        with fast(self.lm.model), closing(metrics) if metrics else nullcontext():
            while not self.finished and (chosen := next(steps, None)) is not None:
                report = self._step(chosen)
                self.watch.after_step(self, report)
                elapsed = time.monotonic() - begin
                self.done.seconds = seconds_before + elapsed
                report.tokens_per_second = (self.done.tokens - tokens_before) / max(elapsed, 1e-9)
                if metrics:
                    metrics.add(report)
                if self.say:
                    self.say(report)
                if self.folder and time.monotonic() - saved > max(self.training.checkpoint_seconds, 20 * cost):
                    start = time.monotonic()
                    self.save()
                    saved, cost = time.monotonic(), time.monotonic() - start
        if not self.done.steps:
            first = sum(e.tokens for e in self.examples[: self.training.batch])
            rows = self.training.batch
            raise LuthierError(say("said_refused_budget", tokens=self.limit, rows=rows, first=first))
        self.watch.finish(self)
        self._publish()
        self.finished = True
        return self.done

    def _steps(self) -> Iterator[list[int]]:
        """Rows of each step while the budget holds them; the generator has advanced `rng` when it yields."""
        for rows in self.objective.batches(self.examples, self.training.batch, self.rng):
            if self.done.tokens + sum(self.examples[i].tokens for i in rows) > self.limit:
                return
            yield rows

    def _rate(self) -> float:
        """Linear warm-up, then cosine to a tenth, by the share of the budget that is spent."""
        share, warm = self.done.tokens / self.limit, self.training.warmup
        if share < warm:
            # half a step in, so that the first step is not wasted at zero
            return self.training.learning_rate * max(share / warm, 0.1)
        turn = (share - warm) / max(1 - warm, 1e-9)
        return self.training.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(turn, 1.0))))

    def backward(self, rows: Sequence[int]) -> float:
        """Gradients of one step over these rows, micro-batch by micro-batch; gives the loss."""
        examples = [self.examples[i] for i in rows]
        weights, total = self.objective.weights(examples), 0.0
        for part in micro_batches(examples, self.training.micro_tokens):
            batch = pack(part, weights, self.lm.device)
            hidden = self.trunk.hidden(batch) if self.trunk else self.lm.read(batch)
            named = self.objective.loss(Outputs(hidden, self.lm), batch)
            loss = torch.stack([value / weights[name] for name, value in named.items()]).sum()
            loss.backward()
            self._collect()
            total += float(loss.detach())
        penalty = self.patch.penalty(self.lm)
        if penalty is not None:
            penalty.backward()
            self._collect()
            total += float(penalty.detach())
        return total

    def _collect(self) -> None:
        """Add gradients of 16-bit parameters to their float32 masters, where small ones are not rounded away."""
        for name, p in self.params.items():
            master = self.masters[name]
            if master is not p and p.grad is not None:
                master.grad = p.grad.float() if master.grad is None else master.grad.add_(p.grad)
                p.grad = None

    def _step(self, rows: Sequence[int]) -> Report:
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        loss = self.backward(rows)
        norm = float(nn.utils.clip_grad_norm_(self.masters.values(), self.training.clip or math.inf))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self._not_finite(rows, loss, norm)
        self.patch.before_step(self.lm, self.done.tokens / self.limit)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._publish()
        self.patch.after_step(self.lm)
        self.done.steps += 1
        self.done.tokens += sum(self.examples[i].tokens for i in rows)
        self.done.loss = loss
        return Report(self.done.steps, self.done.tokens, loss, rate, norm, 0.0, self.done.tokens / self.limit)

    @torch.no_grad()
    def _publish(self) -> None:
        """Round the masters into the model's 16-bit parameters."""
        for name, p in self.params.items():
            if self.masters[name] is not p:
                p.copy_(self.masters[name])

    def _not_finite(self, rows: Sequence[int], loss: float, norm: float) -> None:
        """Stop before the weights are touched, naming the rows; the weights as they are become the checkpoint."""
        self.optimizer.zero_grad(set_to_none=True)
        known: dict[str, object] = {"step": self.done.steps + 1, "loss": loss, "norm": norm}
        if not self._sound():
            raise Diverged(say("said_diverged_weights", **known))
        bad = set()
        for i in rows:
            value = self.backward([i])
            finite = all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in self.masters.values())
            if not (math.isfinite(value) and finite):
                bad.add(self.examples[i].source)
            self.optimizer.zero_grad(set_to_none=True)
        known |= {"rows": ", ".join(map(str, sorted(bad or {self.examples[i].source for i in rows})))}
        if not self.folder:
            raise Diverged(say("said_diverged_rows", **known))
        self.rng.at -= len(rows)
        self.save()
        raise Diverged(say("said_diverged_rows_kept", **known, folder=self.folder / "checkpoint"))

    def _sound(self) -> bool:
        """Whether every trained weight is finite."""
        return all(bool(torch.isfinite(p).all()) for p in self.masters.values())

    def save(self) -> None:
        """One safetensors file with everything that exact resume needs; weights that are broken replace no others."""
        if self.folder is None or not self._sound():
            return
        tensors: dict[str, Tensor] = {f"param.{n}": p for n, p in self.masters.items()}
        for name, p in self.masters.items():
            for key, value in self.optimizer.state.get(p, {}).items():
                tensors[f"adam.{key}.{name}"] = value
        patch, own = parted("patch", self.patch.state(self.lm))
        tensors |= {"random": torch.get_rng_state(), **self.watch.tensors(), **own}
        state = {
            "done": self.done.__dict__,
            "rng": [self.rng.seed, self.rng.epoch, self.rng.at],
            "patch": patch,
            "limit": self.limit,
            "watch": self.watch.state(),
        }
        write_checkpoint(self.folder / CHECKPOINT, state, tensors)

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT if self.folder else None
        if path is None or not path.exists():
            return
        state, tensors = read_checkpoint(path)
        shapes = {f"param.{n}": p.shape for n, p in self.params.items()}
        if state["limit"] != self.limit or shapes != {n: t.shape for n, t in tensors.items() if n.startswith("param.")}:
            raise LuthierError(f"{path} belongs to another recipe: give this run another folder, or remove it")
        for name, p in self.masters.items():
            p.data.copy_(tensors[f"param.{name}"])
        self._publish()
        for key in [k for k in tensors if k.startswith("adam.")]:
            _, slot, name = key.split(".", 2)
            self.optimizer.state[self.masters[name]][slot] = tensors[key].to(self.lm.device)
        torch.set_rng_state(tensors["random"])
        self.watch.load(self, state.get("watch", {}), tensors.__getitem__)
        self.done = Trained(**state["done"])
        self.rng = Rng(*state["rng"])
        self.patch.load_state(self.lm, joined("patch", state["patch"], tensors))

    @torch.no_grad()
    def evaluate(self, examples: Sequence[Example]) -> float:
        """Mean loss over examples that were encoded the same way, in nats per weighted item."""
        weights, total = self.objective.weights(examples), 0.0
        for part in micro_batches(examples, self.training.micro_tokens):
            batch = pack(part, weights, self.lm.device)
            hidden = self.lm.read(batch)
            total += sum(float(v) / weights[n] for n, v in self.objective.loss(Outputs(hidden, self.lm), batch).items())
        return total


def _resolve(model: nn.Module, groups: Sequence[ParamGroup]) -> list[tuple[ParamGroup, list[nn.Parameter]]]:
    """The parameters that the groups name, resolved after any sharding has replaced them."""
    params = dict(model.named_parameters())
    return [(group, [params[name] for name in group.names]) for group in groups]
