"""A recipe: everything that decides a run, from defaults, a YAML file and `a.b=c` on the command line.

An unknown key is an error that suggests the right one. What a run writes back as `recipe.yaml` is complete.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from annotated_types import Ge, Le, Lt

from luthier.core import catalog, plugins
from luthier.core.errors import LuthierError
from luthier.core.window import window_of
from luthier.io.files import from_yaml
from luthier.io.kept import files_of
from luthier.io.sections import AlsoConfig as AlsoConfig
from luthier.io.sections import DataConfig as DataConfig
from luthier.io.sections import EndpointConfig as EndpointConfig
from luthier.io.sections import ParallelConfig as ParallelConfig
from luthier.io.sections import TrainingConfig as TrainingConfig

T = TypeVar("T")
Threads = Annotated[int, Ge(1), Le(1024)]
NAMED = ("start", "teacher", "reward", "attention", "parallel")  # of a recipe: came later too
LATER = ("fill", "anyway", "pair", "answer_tokens", "class_weights", "stream")  # of data: not written where unset
LATER_TRAINING = {"optimizer": "", "schedule": "", "decay": 0.2, "keep_checkpoints": 2}  # likewise
_ADAPTERS: dict[type, Any] = {}  # pydantic's checkers, which take a while to make


@dataclass(frozen=True)
class Recipe:
    """One run. patch, direct, objective: the method's own options, checked against its class.

    endpoint: for a model behind a URL. track: trackers that are told of the run besides metrics.jsonl. template: a file
    with the wording to use (`luthier prompt search` writes one) in place of the method's own. start: folder of a run to
    go on from. teacher: a run or model to imitate. reward: what judges answers (`runs.rewards`), or several weighted.
    attention: what a token sees of its text (`core.window`); "" is as the start or the model has it.
    parallel: the processes that train it; what a run keeps does not say, since it is the same by any number of them.
    """

    method: str = "lora"
    model: str = "embedded"
    data: DataConfig = field(default_factory=DataConfig)
    patch: dict[str, Any] = field(default_factory=dict)
    direct: dict[str, Any] = field(default_factory=dict)
    objective: dict[str, Any] = field(default_factory=dict)  # "name" picks it
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: Annotated[int, Ge(0), Lt(2**63)] = 0
    dtype: str = "auto"
    threads: Threads | None = None
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    track: tuple[str, ...] = ()
    template: str = ""
    start: str = ""
    teacher: str = ""
    reward: str | dict[str, float] = ""
    attention: str = ""
    parallel: ParallelConfig | None = None


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """A configuration dataclass from plain values, checked by pydantic; errors name the key as `where.key`."""
    from pydantic import TypeAdapter, ValidationError

    if not isinstance(values, Mapping):
        raise LuthierError(f"{where or 'recipe'}: must be a table of keys, not {values!r}")
    known = [f.name for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            dotted = f"{where}.{key}" if where else str(key)
            raise LuthierError(f"{dotted}: unknown key{catalog.suggest(str(key), known)}")
    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    try:
        return _ADAPTERS[cls].validate_python(dict(values))  # type: ignore[no-any-return]
    except ValidationError as error:
        first = error.errors()[0]
        dotted = ".".join(str(p) for p in ([where] if where else []) + list(first["loc"]))
        raise LuthierError(f"{dotted}: {first['msg']} (got {first['input']!r})") from None


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """A checked recipe from nested plain values; the method's and objective's options are checked too."""
    tables = ("data", "patch", "direct", "objective", "training", "endpoint", "parallel")
    sections = {"data": DataConfig, "training": TrainingConfig, "endpoint": EndpointConfig, "parallel": ParallelConfig}
    values = {k: {} if v is None and k in tables else v for k, v in values.items()}  # `patch:` with nothing under it
    for key, cls in sections.items():
        if key in values:
            values[key] = build(cls, _with_also(values[key]) if key == "data" else values[key], key)
    _check_optimizer(values.get("training"))
    if isinstance(values.get("method"), str) and values["method"] in catalog.ALIASES:  # of an earlier version
        values["method"], name = catalog.ALIASES[values["method"]]
        values["objective"] = {"name": name, **(values.get("objective") or {})}
    recipe = build(Recipe, values, "")
    window_of(recipe.attention, "attention")
    entry = catalog.find(recipe.method, "direct", "patches")
    other = recipe.patch if entry.kind == "direct" else recipe.direct
    if other:
        wrong, right = ("patch", "direct") if entry.kind == "direct" else ("direct", "patch")
        raise LuthierError(f"{wrong}.{next(iter(other))}: {recipe.method} takes its options under {right}")
    return recipe


def _check_optimizer(training: TrainingConfig | None) -> None:
    known = plugins.members("optimizers")
    if training and training.optimizer and training.optimizer not in known:
        raise LuthierError(
            f"training.optimizer: {training.optimizer} is no optimizer{catalog.suggest(training.optimizer, known)}"
        )


def _with_also(data: Any) -> Any:
    """The data section with each of `also` checked; a path alone stands for a table with that path."""
    if not isinstance(data, Mapping) or not (also := data.get("also")):
        return data
    if not isinstance(entries := [also] if isinstance(also, str | Mapping) else also, list | tuple):
        raise LuthierError(f"data.also: must be a list of files, not {also!r}")
    tables = enumerate({"path": e} if isinstance(e, str) else e for e in entries)
    return {**data, "also": tuple(build(AlsoConfig, t, f"data.also.{i}") for i, t in tables)}


def options(recipe: Recipe) -> Any:
    """The method's own configured object: a Patch or a Direct."""
    entry = catalog.find(recipe.method, "direct", "patches")
    room = "direct" if entry.kind == "direct" else "patch"
    return build(catalog.load(entry), getattr(recipe, room), room)


def objective(recipe: Recipe, default: str) -> Any:
    """The configured objective; `default` is the method's own for the task."""
    name, values = recipe.objective.get("name", default), {k: v for k, v in recipe.objective.items() if k != "name"}
    return build(catalog.load(catalog.find(str(name), "objectives")), values, "objective")


def read_recipe(path: Path | None, assignments: Sequence[str] = ()) -> Recipe:
    """A recipe file with `a.b=c` on top."""
    return recipe_from(read_values(path, assignments))


def read_values(path: Path | None, assignments: Sequence[str] = ()) -> dict[str, Any]:
    """The plain values of a recipe file with `a.b=c` on top. Raises LuthierError naming the file."""
    values: Any = {}
    if path is not None:
        if not path.exists():
            raise LuthierError(f"{path}: no such recipe")
        try:
            values = from_yaml(path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise LuthierError(f"{path}: the recipe cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise LuthierError(f"{path}: not a YAML file: {error}") from None
        if not isinstance(values, dict):
            raise LuthierError(f"{path}: a recipe is a table of keys, such as `method: lora`")
    for assignment in assignments:
        _assign(values, assignment)
    return dict(values)


def run_recipe(folder: Path) -> Recipe:
    """The recipe of a run folder. Raises LuthierError where it is none, or its run is not finished."""
    path = folder / "recipe.yaml"
    if not path.exists():
        if not folder.exists():
            raise LuthierError(f"{folder} does not exist: name a run folder, such as runs/demo/trials/lora/seed-0")
        places = ("seed-*", "*/seed-*", "trials/*/seed-*", "trials/*/*/seed-*")
        runs = [p.parent for place in places for p in sorted(folder.glob(f"{place}/recipe.yaml"))]
        hint = f": name one of the runs in it, such as {runs[0]}" if runs else " (it has no recipe.yaml)"
        raise LuthierError(f"{folder} is not a run folder{hint}")
    if files_of(folder) is None:
        raise LuthierError(f"{folder}: the run is not finished: give its command again")
    return read_recipe(path)


def attention_of(recipe: Recipe) -> str:
    """The recipe's `attention`, or that of the run that it goes on from."""
    if recipe.attention or not recipe.start:
        return recipe.attention
    return attention_of(run_recipe(Path(recipe.start)))


def _assign(values: dict[str, Any], assignment: str) -> None:
    key, equals, raw = assignment.partition("=")
    if not equals or not key:
        raise LuthierError(f"{assignment!r}: write a setting as key=value, such as patch.rank=16")
    *parents, last = key.split(".")
    at = values
    for parent in parents:
        if at.get(parent) is None:
            at[parent] = {}
        at = at[parent]
        if not isinstance(at, dict):
            raise LuthierError(f"{key}: {parent} is a single value, it has no {last}")
    try:
        at[last] = from_yaml(raw)
    except ValueError:
        at[last] = raw


def slower(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two recipes (plain values) are one, but for a learning rate that is lower now: a run goes on by it."""
    rates = [float((values.get("training") or {}).get("learning_rate") or inf) for values in (before, now)]
    rest = [{**v, "training": {**(v.get("training") or {}), "learning_rate": None}} for v in (before, now)]
    return rest[0] == rest[1] and rates[1] < rates[0]


def plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values."""
    values = dataclasses.asdict(recipe)
    training = {k: v for k, v in values["training"].items() if v != LATER_TRAINING.get(k, ...)}
    own = {k: v for k, v in values.items() if v or k not in NAMED}
    return own | {"data": lean(values["data"]), "training": training}


def lean(data: Mapping[str, Any]) -> dict[str, Any]:
    """A data section's plain values without what is unset and came later: folders and files of before stay the same."""
    also = tuple({k: v for k, v in entry.items() if v or k not in LATER} for entry in data["also"])
    return {k: v for k, v in {**data, "also": also}.items() if v or k not in LATER}


def to_yaml(recipe: Recipe, complete: bool = True) -> str:
    """YAML of a recipe: all keys, or only the differences from the defaults."""
    values = plain(recipe)
    if not complete:
        values = _differences(values, plain(Recipe())) | {"method": recipe.method}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _differences(values: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict) and base[key]:
            if inner := _differences(value, base[key]):
                out[key] = inner
        elif value != base.get(key):
            out[key] = value
    return out
