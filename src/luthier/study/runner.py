"""Runs a study: every arm, every seed, on every base model, under one budget that all runs share equally.

    OUT/request.json  plan-0.json  runs/0/ARM/seed-0.json …  report.html

A finished run is a file, written whole; a study that was killed goes on with the runs that are not there. A run that
was interrupted begins anew, since what is measured in its first steps is not in a checkpoint.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase, both
from luthier.io.config import DataConfig, build, lean
from luthier.io.files import LOCK, alone, is_taken, read_record, write_json
from luthier.runs.inputs import (
    AGAIN,
    EARLIER,
    changed,
    model_parts,
    of_model,
    refuse_changed,
    set_aside,
    tell,
)
from luthier.study import catalog
from luthier.study.experiment import Arm, Experiment, Material, OnModel, Texts

Say = Callable[[str, float], None]  # what is done now; the share of the whole that is done


@dataclass(frozen=True)
class Request:
    """What the user asked for. options: of the study. budget: of all training together; "" is the study's own."""

    study: str
    options: dict[str, Any] = field(default_factory=dict)
    data: DataConfig = field(default_factory=DataConfig)
    models: tuple[str, ...] = ("embedded",)
    budget: str = ""
    seeds: int = 2
    batch: int = 4
    threads: int | None = None

    @property
    def folder(self) -> Path:
        """Where the results go unless told otherwise: the same request gives the same folder."""
        text = json.dumps(self.plain(), sort_keys=True, ensure_ascii=False)
        key = hashlib.sha256(text.encode()).hexdigest()[:8]
        return Path("runs") / f"study-{self.study}-{Path(self.data.path).stem}-{key}"

    def plain(self) -> dict[str, Any]:
        """The request as plain values."""
        return {**dataclasses.asdict(self), "data": lean(dataclasses.asdict(self.data))}

    def made(self) -> Experiment:
        """The study with its options. Raises LuthierError that names a wrong one."""
        return build(catalog.load(self.study), self.options, "--set")


@dataclass(frozen=True)
class Result:
    """Everything that a report is made from."""

    request: Request
    models: Sequence[OnModel]
    material: Material
    environment: Mapping[str, str]


def of_file(name: str) -> list[tuple[str, str]]:
    """The one document of a file of plain text. Raises LuthierError."""
    try:
        return [(Path(name).name, Path(name).read_text(encoding="utf-8-sig"))]
    except (OSError, ValueError) as error:
        raise LuthierError(f"{name}: cannot be read as text: {error}") from None


def run(request: Request, folder: Path, say: Say, again: bool = False, texts: Texts = of_file) -> Result:
    """Do every run that is not there yet and gather all; again: what stands there is set aside first.

    texts: gives documents by name, for studies of text. Raises LuthierError when it cannot go on.
    """
    from luthier.comparison.budget import parse_budget
    from luthier.models.machine import environment

    study = request.made()
    if budget := request.budget or study.budget:
        parse_budget(budget)
    if again and (folder / "plan-0.json").exists():
        set_aside(folder, "request.json")
    _check_folder(request, folder)
    material = study.load(request.data, texts)
    for note in material.notes:
        print(note)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / LOCK, f"{folder}: another study is running there"):
        write_json(folder / "request.json", request.plain())
        models = [_on_model(study, request, folder, material, number, say) for number in range(len(request.models))]
    if empty := [m for m in models if not m.runs]:
        reasons = "; ".join(f"{name}: {why}" for name, why in empty[0].failed.items())
        raise LuthierError(f"{empty[0].name}: no run of the study succeeded ({reasons})")
    formats = {read_record(folder / f"plan-{n}.json", "dtype")["dtype"] for n in range(len(models))}
    return Result(request, models, material, {**environment(), "number format": ", ".join(sorted(formats))})


def _check_folder(request: Request, folder: Path) -> None:
    """Refuse a folder that holds another study or something else."""
    if not is_taken(folder, "request.json", "study"):
        return
    if read_record(folder / "request.json") != json.loads(json.dumps(request.plain())) and (folder / "runs").exists():
        raise LuthierError(f"{folder} holds another study: give its own command, or {AGAIN}")


def _on_model(study: Experiment, request: Request, folder: Path, material: Material, number: int, say: Say) -> OnModel:
    import torch

    from luthier.models.endpoint.remote import is_endpoint
    from luthier.models.machine import pick_dtype

    name = request.models[number]
    if is_endpoint(name):
        raise LuthierError(f"{name}: the model is an endpoint: its weights are not here")
    share = 1 / len(request.models)
    say(f"{name}: loading", number * share)
    path = folder / f"plan-{number}.json"
    plan = read_record(path, "dtype", "threads", "tokens", "model_key", "data_key") if path.exists() else {}
    dtype = plan.get("dtype") or pick_dtype()
    lm = study.base(name, dtype, plan.get("threads") or request.threads, material)
    arms, notes = study.arms(lm)
    if not plan:
        plan = {
            **study.plan(request, lm, material, arms), "dtype": dtype, "threads": torch.get_num_threads(),
            "model_key": lm.key, "data_key": material.key, "parts": model_parts(lm.name) if lm.key else {},
        }  # fmt: skip
        write_json(path, plan)
    _same(folder, plan, name, material)
    bench = study.bench(lm, material, plan, request)
    runs, failed = _runs(
        study,
        request,
        folder / "runs" / str(number),
        bench,
        arms,
        lambda title, done: say(f"{lm.name}, {title}", (number + done) * share),
    )
    return OnModel(Path(name).name, lm.width, arms, runs, failed, plan["tokens"], notes)


def _same(folder: Path, plan: Mapping[str, Any], model: str, material: Material) -> None:
    if "parts" not in plan:
        tell(folder, EARLIER)
    now = of_model(model, model_parts(model)) if plan.get("parts") else {}
    what = ["data"] if plan["data_key"] != material.key else []
    refuse_changed(folder, [*what, *changed(of_model(model, plan.get("parts", {})), now)])


def _runs(
    study: Experiment, request: Request, place: Path, bench: Any, arms: Sequence[Arm], say: Say
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Every seed of every arm, seeds outermost: a study that is watched has a little of everything early."""
    todo = [(arm, seed) for seed in range(request.seeds) for arm in arms]
    found: dict[str, list[dict[str, Any]]] = {}
    failed: dict[str, str] = {}
    for at, (arm, seed) in enumerate(todo):
        path = place / arm.name / f"seed-{seed}.json"
        title = f"{arm.name}, seed {seed}"
        say(title, at / len(todo))
        if not path.exists():
            bench.say = _teller(say, title, at, len(todo))
            write_json(path, _measured(study, bench, arm, seed))
        run = read_record(path)
        if reason := run.get("failed"):
            failed.setdefault(arm.name, reason)
        else:
            found.setdefault(arm.name, []).append(run)
    # an arm of which one seed failed has no mean over seeds that could be held against the others'
    return {a.name: found[a.name] for a in arms if a.name in found and a.name not in failed}, failed


def _teller(say: Say, title: str, at: int, count: int) -> Say:
    return lambda what, share: say(f"{title}: {what}", (at + min(share, 1.0)) / count)


def _measured(study: Experiment, bench: Any, arm: Arm, seed: int) -> dict[str, Any]:
    try:
        return study.measure(bench, arm, seed)
    except LuthierError as error:
        return {"failed": str(error)}


def failures(models: Sequence[OnModel]) -> list[Phrase]:
    """Arms without a result, with the reason."""
    return [
        both(f"{name} has no result: {why}", f"{name} 没有结果：{why}")
        for m in models
        for name, why in m.failed.items()
    ]
