"""Several adapters on one base: put on and taken off, or mixed by weight, without loading the base again.

    adapters = Adapters(lm)
    adapters.add("support", Path("runs/support"))       # a run folder, or a folder in PEFT's layout
    adapters.use("support").generate(["Where is my parcel?"], Sampling())
    adapters.mix({"support": 0.7, "chat": 0.3})

A mix is the weighted sum of the updates, W + Σ w_i s_i B_i A_i, kept exactly: the A_i below each other, the B_i side by
side, as PEFT's combination "cat" does. What is no such sum (other kinds of adapters, DoRA's lengths) is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.core.methods import Direct, Patch
from luthier.io import config
from luthier.io.files import read_record, write_json, write_text
from luthier.io.kept import files_of
from luthier.models.loading import bases
from luthier.runs.adapters import CONFIG, open_adapter

if TYPE_CHECKING:
    from torch import Tensor

    from luthier.models.base import TrainableLM
    from luthier.patches.lora import Lora

MIXED = "mix.json"  # beside a mix's recipe: what it is made of


@dataclass(frozen=True)
class Held:
    """An adapter that is not on the base now. files: the folder that has its wording (luthier.json), if any."""

    patch: Patch
    tensors: Mapping[str, Tensor]
    files: Path


class Adapters:
    """Adapters by name on one base; `lm` is the model to ask, with the one in use or the base itself."""

    def __init__(self, base: TrainableLM) -> None:
        self.base, self.lm = base, base
        self.held: dict[str, Held] = {}
        self._on: tuple[str, Patch] | None = None

    def add(self, name: str, folder: Path) -> None:
        """Read the adapter of a run folder, or of a folder in PEFT's layout. Raises LuthierError where it is none."""
        if name in self.held:
            raise LuthierError(f"there is an adapter {name!r} already: give this one another name")
        if (folder / CONFIG).is_file() and not (folder / "recipe.yaml").is_file():
            patch, tensors = open_adapter(self.base.model, folder)
            self.held[name] = Held(patch, tensors, folder)
            return
        from luthier.models.loading.of_recipe import attending
        from luthier.runs.adapters import read_all

        recipe = config.run_recipe(folder)
        method = config.options(recipe)
        if isinstance(method, Direct):
            raise LuthierError(f"{folder}: {recipe.method} changes no weights: there is no adapter to put on a base")
        if recipe.model != self.base.name:
            raise LuthierError(f"{folder}: it was trained on {recipe.model}, and the base here is {self.base.name}")
        if attending(self.base, recipe) is not self.base:
            raise LuthierError(f"{folder}: it was trained with another attention than the base here has")
        files = files_of(folder) or folder
        self.held[name] = Held(method, read_all(files), files)

    def use(self, name: str | None) -> TrainableLM:
        """Put that adapter on, and what was on before off (None: the base alone); gives the model to ask."""
        from luthier.runs.adapters import load_patch

        if name is not None:
            self._known(name)
        if self._on:
            self._on[1].detach(self.lm)
            if self.lm.label_head is not None:
                del self.lm.model.label_head
            self._on, self.lm = None, self.base
        if name is not None:
            held = self.held[name]
            try:
                self.lm = load_patch(self.base, held.patch, held.files, held.tensors)
            except LuthierError as error:
                raise LuthierError(f"{name}: {error}") from None
            self._on = name, held.patch
        return self.lm

    def mix(self, weights: Mapping[str, float], name: str = "mix") -> TrainableLM:
        """Make the weighted sum of LoRA-kind adapters an adapter of its own, and use it; gives the model to ask.

        Its wording is that of the first. Raises LuthierError naming what cannot be mixed.
        """
        if not weights or not all(map(math.isfinite, weights.values())):
            raise LuthierError("a mix needs one adapter at least, and finite weights")
        if name in self.held and name in weights:
            raise LuthierError(f"the mix {name!r} has the name of one of its parts: give it another")
        for part in weights:
            self._known(part)
        before = self._on[0] if self._on else None
        try:
            patch, tensors = self._sum(weights)
        except LuthierError:
            self.use(before)
            raise
        self.held[name] = Held(patch, tensors, self.held[next(iter(weights))].files)
        if self._on and self._on[0] == name:
            self.use(None)
        return self.use(name)

    def _known(self, name: str) -> None:
        if name not in self.held:
            raise LuthierError(
                f"there is no adapter {name!r} (there is {', '.join(self.held) or 'none'}): add it first"
            )

    def _sum(self, weights: Mapping[str, float]) -> tuple[Lora, dict[str, Tensor]]:
        """The patch and the tensors of the mix: in every layer that a part changes, all ranks one after another."""
        import torch

        from luthier.models.layers.surgery import linear_paths
        from luthier.patches.lora import Lora

        updates: list[tuple[float, dict[str, tuple[Tensor, Tensor]]]] = []
        rounds = {part: self.held[part].patch.unrounded() is not None for part in weights}
        if len(set(rounds.values())) > 1:
            on = next(part for part, found in rounds.items() if found)
            raise LuthierError(f"{on} was trained on a base with rounded weights and others not: they do not mix")
        for part, weight in weights.items():
            self.use(part)
            updates.append((weight, self._updates(part)))
        self.use(None)
        paths = [p for p in linear_paths(self.base.model, self.base.stacks, "all") if any(p in u for _, u in updates)]
        ranks = [max((len(a) for a, _ in update.values()), default=0) for _, update in updates]
        tensors = {}
        for path in paths:
            sizes = next((b.shape[0], a.shape[1]) for _, u in updates for p, (a, b) in u.items() if p == path)
            below, beside = torch.zeros(sum(ranks), sizes[1]), torch.zeros(sizes[0], sum(ranks))
            at = 0
            for (weight, update), rank in zip(updates, ranks, strict=True):
                if path in update:
                    a, b = update[path]
                    below[at : at + len(a)], beside[:, at : at + len(a)] = a, weight * b
                at += rank
            tensors[f"base_model.model.{path}.lora_A.weight"] = below
            tensors[f"base_model.model.{path}.lora_B.weight"] = beside
        cls = type(self.held[next(iter(weights))].patch) if any(rounds.values()) else Lora
        made: Any = cls
        return made(rank=sum(ranks), alpha=float(sum(ranks)), targets=self._targets(paths)), tensors

    def _updates(self, part: str) -> dict[str, tuple[Tensor, Tensor]]:
        """By path, A (r, in) and s·B (out, r) of the adapter that is on. Raises LuthierError for another kind."""
        import torch

        from luthier.models.layers.lowrank import DoraLinear, LoraLinear

        if self.lm.label_head is not None:
            raise LuthierError(f"{part} was trained with a label head of its own, and heads do not mix")
        layers = {p: m for p, m in self.lm.model.named_modules() if isinstance(m, LoraLinear)}
        if not layers:
            kind = type(self.held[part].patch).__name__
            raise LuthierError(f"{part} is no low-rank update ({kind}): only LoRA and its relatives mix by weight")
        if any(isinstance(m, DoraLinear) for m in layers.values()):
            raise LuthierError(f"{part} trains the lengths of rows apart (DoRA): that is no sum, and it does not mix")
        found = {}
        with torch.no_grad():
            for path, layer in layers.items():
                a, b = layer.factors(torch.float32)
                found[path] = a.cpu().clone(), layer.scale * b.cpu()
        return found

    def _targets(self, paths: list[str]) -> str:
        """The shortest expression that finds exactly these layers."""
        import re

        from luthier.models.layers.surgery import linear_paths

        names = "|".join(sorted({re.escape(path.rsplit(".", 1)[1]) for path in paths}))
        model, stacks = self.base.model, self.base.stacks
        for targets in ("all", names):
            if linear_paths(model, stacks, targets) == paths:
                return targets
        return "|".join(map(re.escape, paths))


def mix_folders(weights: Mapping[Path, float], out: Path) -> None:
    """Write the mix of adapter folders as a run folder that every command takes. Raises LuthierError."""
    from luthier.models.loading.of_recipe import load_base, trainable
    from luthier.runs.run import Outcome, check_folder, save_adapted

    recipe = _recipe(list(weights))
    if out.exists():
        raise LuthierError(f"{out} exists already: choose another --out")
    adapters = Adapters(trainable(load_base(recipe)))
    names = {f"{folder}": weight for folder, weight in weights.items()}
    for folder in weights:
        adapters.add(f"{folder}", folder)
    lm = adapters.mix(names)
    made: Any = adapters.held["mix"].patch
    recipe = replace(
        recipe,
        method="qlora" if made.unrounded() is not None else "lora",
        patch={"rank": made.rank, "alpha": made.alpha, "targets": made.targets},
        objective={},
        training=config.TrainingConfig(),
    )
    check_folder(out, config.to_yaml(recipe))
    save_adapted(Outcome(lm), out)
    write_json(out / MIXED, [{"adapter": str(folder), "weight": weight} for folder, weight in weights.items()])
    write_text(out / "recipe.yaml", config.to_yaml(recipe))


def _recipe(folders: list[Path]) -> config.Recipe:
    """The first run's recipe; for adapters in PEFT's layout alone, one on the base that they name."""
    for folder in folders:
        if not (folder / CONFIG).is_file() or (folder / "recipe.yaml").is_file():
            return config.run_recipe(folder)
    found = {_base(folder) for folder in folders}
    if len(found) > 1:
        raise LuthierError(f"the adapters were trained on different bases: {', '.join(sorted(found))}")
    return config.Recipe(model=found.pop())


def _base(folder: Path) -> str:
    """The base that an adapter's folder names; of one that was exported here, where this machine has it."""
    wording = folder / "luthier.json"
    if wording.is_file() and (said := read_record(wording).get("base")):
        return bases.find(said, folder)
    return str(read_record(folder / CONFIG, "base_model_name_or_path")["base_model_name_or_path"])
