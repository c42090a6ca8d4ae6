"""What runs the passes of training on one device; see `luthier.training.steps`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from luthier.core import plugins
from luthier.core.batch import Batch
from luthier.core.errors import LuthierError
from luthier.core.example import Example
from luthier.core.methods import Objective, ParamGroup, Patch
from luthier.data.pack import micro_batches, pack
from luthier.models.inference.feature_cache import FeatureCache, make_trunk
from luthier.models.kernels.vocabulary_head import wide
from luthier.models.outputs import Outputs
from luthier.training.scaling import Plain, scaling_of
from luthier.training.steps import Executor as Executor
from luthier.training.steps import Losses

if TYPE_CHECKING:
    from luthier.io.config import TrainingConfig
    from luthier.models.base import TrainableLM


class Single:
    """One device. Parameters in 16 bits have float32 masters, where small gradients are not rounded away.

    Losses, sums of gradients, their norm and the optimiser's state are float32 in every format but float64.
    """

    def __init__(
        self, lm: TrainableLM, patch: Patch, groups: Sequence[ParamGroup], training: TrainingConfig,
        examples: Sequence[Example] = (), epsilon: float = 1e-8,
    ) -> None:  # fmt: skip
        self.lm, self.patch, self.training, self.epsilon = lm, patch, training, epsilon
        self.params: dict[str, nn.Parameter] = {}
        self.masters: dict[str, Tensor] = {}  # the parameters themselves, or copies of those in 16 bits
        self.optimizer, self.scaling = self._optimizer(groups), scaling_of(lm.model)
        self.trunk: FeatureCache | None = make_trunk(lm, patch.cut(lm), examples)

    def _optimizer(self, groups: Sequence[ParamGroup]) -> Any:
        """See `luthier.training.optimizers`."""
        settings: list[dict[str, Any]] = []
        named = dict(self.lm.model.named_parameters())
        for group in groups:
            if not group.names:
                continue
            for name in group.names:
                p = named[name]
                p.requires_grad_(True)
                self.params[name] = p
                held = self._held(p)
                self.masters[name] = held if wide(held) is held else wide(held.detach())
            masters = [self.masters[name] for name in group.names]
            settings.append({"params": masters, "scale": group.lr_scale, "weight_decay": group.weight_decay})
        if not settings:
            raise LuthierError("nothing to train: the patch and the objective name no parameter")
        matrices = {id(p) for blocks in self.lm.stacks for p in blocks.parameters() if p.ndim == 2}
        hidden = {id(self.masters[name]) for name, p in self.params.items() if id(p) in matrices}
        make = plugins.members("optimizers")[self.training.optimizer or "adamw"].load("make")
        return make(settings, hidden, self.training.learning_rate or 0.0, self.epsilon, self)

    def _held(self, tensor: Tensor) -> Tensor:
        """What of a parameter, or of its gradient, is kept and moved here: all of it."""
        return tensor

    def _all(self, true: bool) -> bool:
        """Whether it is true of all that is trained."""
        return true

    def _passes(self, examples: Sequence[Example]) -> list[list[Example]]:
        """The passes that these examples are made in, micro-batch by micro-batch."""
        return micro_batches(examples, self.training.micro_tokens)

    def _pass(
        self, part: Sequence[Example], divisors: Mapping[str, float], objective: Objective, trunk: FeatureCache | None
    ) -> dict[str, Tensor]:
        """The named sums of a pass."""
        batch = pack(part, divisors, self.lm.device, share=self.lm.shares and not trunk)
        return objective.loss(self._outputs(self._hidden(batch, part, trunk), batch), batch)

    def _outputs(self, hidden: Tensor, batch: Batch) -> Outputs:
        return Outputs(hidden, self.lm, batch.targets)

    def _hidden(self, batch: Batch, part: Sequence[Example], trunk: FeatureCache | None) -> Tensor:
        return trunk.hidden(batch, part) if trunk else self.lm.read(batch)

    def forward_backward(self, examples: Sequence[Example], objective: Objective) -> Losses:
        """Pass by pass; each named sum is divided once, by a divisor of the whole step."""
        divisors, found = objective.divisors(examples), Losses()
        for part in self._passes(examples):
            self._back(self._told(self._pass(part, divisors, objective, self.trunk), divisors, found))
        penalty = self.patch.penalty(self.lm)
        if penalty is not None:
            self._back(penalty)
            found.total += float(penalty.detach())
        return found

    def _told(self, named: Mapping[str, Tensor], divisors: Mapping[str, float], found: Losses) -> Tensor:
        """The loss of a pass, by its named sums; what is to be told is added to what was found so far."""
        loss = torch.stack([value / divisors[name] for name, value in named.items() if not name.startswith("_")]).sum()
        found.total += float(loss.detach())
        for name, value in named.items():
            if name.startswith("_"):
                told = float(value.detach()) / divisors.get(name, 1.0)
                found.metrics[name[1:]] = found.metrics.get(name[1:], 0.0) + told
        return loss

    def _back(self, loss: Tensor) -> None:
        """Take the scaled loss's gradients."""
        (loss * self.scaling.factor).backward()
        self._collect()

    def _collect(self) -> None:
        """Add gradients of 16-bit parameters to those of their float32 masters."""
        for name, p in self.params.items():
            master = self.masters[name]
            if master is not p and p.grad is not None:
                grad, p.grad = self._held(p.grad), None
                master.grad = wide(grad) if master.grad is None else master.grad.add_(grad)

    def clip_and_step(self, rate: float, progress: float) -> float | None:
        if self.scaling.overflowed(self.masters.values(), self._all):
            self.forget()
            return None
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        norm = self._clip(self.training.clip or math.inf)
        if not math.isfinite(norm):
            return norm
        self.patch.before_step(self.lm, progress)
        self.optimizer.step()
        self.forget()
        self.publish()
        self.patch.after_step(self.lm)
        return norm

    def _clip(self, most: float) -> float:
        """Scale the gradients so that their norm is at most this; gives the norm before."""
        return float(nn.utils.clip_grad_norm_(self.masters.values(), most))

    def forget(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()
    def publish(self) -> None:
        """Round the masters into the model's 16-bit parameters."""
        for name, p in self.params.items():
            if self.masters[name] is not p:
                self._held(p).copy_(self.masters[name])

    @torch.no_grad()
    def evaluate(self, examples: Sequence[Example], objective: Objective) -> float:
        divisors, total = objective.divisors(examples), 0.0
        for part in self._passes(examples):
            named = self._pass(part, divisors, objective, None)
            total += sum(float(v) / divisors[n] for n, v in named.items() if not n.startswith("_"))
        return total

    @torch.no_grad()
    def states(self, examples: Sequence[Example]) -> Tensor:
        parts = micro_batches(examples, self.training.micro_tokens)
        return torch.cat([self._hidden(pack(part, {}, self.lm.device), part, self.trunk) for part in parts])

    def reading(self) -> AbstractContextManager[None]:
        return nullcontext()

    def told(self) -> Mapping[str, float]:
        return self.scaling.told()

    def breaks(self, examples: Sequence[Example], objective: Objective) -> bool:
        scaling, self.scaling = self.scaling, Plain()  # the scale of a whole step may be too high for a few examples
        value = self.forward_backward(examples, objective).total
        self.scaling = scaling
        grads = [p.grad for p in self.masters.values() if p.grad is not None]
        sound = math.isfinite(value) and all(bool(torch.isfinite(g).all()) for g in grads)
        self.forget()
        return not self._all(sound)

    def sound(self) -> bool:
        """Whether every trained weight is finite."""
        return self._all(all(bool(torch.isfinite(p).all()) for p in self.masters.values()))

    def tensors(self) -> dict[str, Tensor]:
        found = {f"param.{n}": p for n, p in self.weights().items()} | self.scaling.tensors()
        for name, p in self.masters.items():
            for key, value in self.optimizer.state.get(p, {}).items():
                found[f"adam.{key}.{name}"] = self._whole(name, value)
        return found

    def _same(self, own: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
        """Whether a checkpoint is of the parameters that are trained here."""
        return own == kept

    def weights(self) -> dict[str, Tensor]:
        return {name: self._whole(name, p) for name, p in self.masters.items()}

    @torch.no_grad()
    def restore(self, weights: Mapping[str, Tensor]) -> None:
        for name, p in self.masters.items():
            p.data.copy_(self._part(name, weights[name]))

    def gathered(self, p: Tensor, part: Tensor) -> Tensor:
        """See `optimizers.Parts`."""
        return part

    def parted(self, p: Tensor, whole: Tensor) -> Tensor:
        """The inverse of `gathered`."""
        return whole

    def release(self) -> None:
        pass

    def _whole(self, name: str, held: Tensor) -> Tensor:
        """What is kept here of a parameter's numbers, or of others of its shape, as a part of all of them."""
        return held

    def _part(self, name: str, whole: Tensor) -> Tensor:
        """The inverse of `_whole`, or what is kept here of numbers that are all here."""
        return whole

    def load(self, tensors: Mapping[str, Tensor]) -> bool:
        shapes = {f"param.{n}": p.shape for n, p in self.weights().items()}
        if not self._all(self._same(shapes, {n: t.shape for n, t in tensors.items() if n.startswith("param.")})):
            return False
        self.restore({name: tensors[f"param.{name}"] for name in self.masters})
        self.publish()
        self.scaling.load(tensors)
        for key in [k for k in tensors if k.startswith("adam.")]:
            _, slot, name = key.split(".", 2)
            if name not in self.masters:  # another rank's
                continue
            self.optimizer.state[self.masters[name]][slot] = self._part(name, tensors[key]).to(self.lm.device)
        return True
