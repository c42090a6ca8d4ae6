"""What a comparison will do, decided once and kept in `plan.json`, so that a resumed one is the same comparison."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge

from luthier.comparison.budget import parse_budget, parse_total
from luthier.comparison.specs import MethodSpec, check_grid, spec
from luthier.comparison.trial_list import begun, plan_folder, scaled
from luthier.core import catalog
from luthier.core.errors import LuthierError
from luthier.data import embedded
from luthier.io.config import DataConfig, EndpointConfig, Recipe, Threads, TrainingConfig, build, lean
from luthier.io.files import is_taken, read_json, write_json
from luthier.runs.inputs import AGAIN

VERSION = 1
STOPPED = ".stopped"  # the worker's last words, for its parent
SHORT_RUNS = 4  # of most searches: three rates, and one that may be looked at beyond them
# of a request: without them a folder of before keeps its name
LATER = ("others", "curve", "endpoint", "usual", "total", "max_length", "held", "grid", "judge", "reward")
Prefer = Literal["quality", "cost", "size", "latency"]
TOTAL = "10m"  # of a comparison that names neither a budget nor a total
SEARCH_SHARE = 1.0  # of one final run's budget, over all learning rates together


@dataclass(frozen=True)
class Request:
    """What the user asked for. budget: "3m" of training per method and seed, or "20k-tokens"; "" where `total` says how
    long the whole comparison may take.

    others: further base models that every method is tried on. curve: numbers of training rows to try besides all.
    track: who is told of the final runs, which changes no result.
    usual: methods that nobody named: those that are for other data are left out. max_length: tokens of a prompt with
    its answer, in training, scoring and generation; None: as objectives and models have it. held: the batch is the
    user's own, which a small budget makes no smaller. grid: entries of a file of methods (`comparison.specs`) by their
    names, which stand among the methods; methods_file: where they came from. prefer: what decides among rows that
    cannot be told apart; like `track` it changes no result, so that a finished comparison is asked again with another.
    judge: who compares written answers with those of the untuned model (`luthier.runs.judges.comparer`).
    reward: what gives answers a number, for the methods that need one (`luthier.runs.rewards`).
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: str = "embedded"
    methods: tuple[str, ...] = ()
    budget: str = ""
    seeds: Annotated[int, Ge(1)] = 1
    batch: Annotated[int, Ge(1)] = 8
    threads: Threads | None = None
    others: tuple[str, ...] = ()
    curve: tuple[int, ...] = ()
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    track: tuple[str, ...] = field(default=(), compare=False)
    usual: tuple[str, ...] = ()
    total: str = ""
    max_length: Annotated[int, Ge(2)] | None = None
    held: bool = False
    grid: dict[str, dict[str, Any]] = field(default_factory=dict)
    methods_file: str = field(default="", compare=False)
    prefer: Prefer = field(default="quality", compare=False)
    judge: str = ""
    reward: str = ""

    def spec(self, name: str) -> MethodSpec:
        """What a method's name stands for here."""
        return spec(name, self.grid)

    @property
    def models(self) -> tuple[str, ...]:
        """Every base model."""
        return (self.model, *self.others)

    @property
    def limits(self) -> EndpointConfig:
        """Those of a model behind a URL, whose context is no longer than `max_length`."""
        most = min(self.endpoint.context, self.max_length or self.endpoint.context)
        return replace(self.endpoint, context=most)

    @property
    def here(self) -> int:
        """How many of the models are computed on this machine, and share its time."""
        from luthier.models.endpoint.remote import is_endpoint

        return max(1, sum(not is_endpoint(model) for model in self.models))

    def on(self, model: str) -> Request:
        """The same request for one of its base models."""
        return replace(self, model=model, others=())

    @property
    def key(self) -> str:
        """A short hash: the same request gives the same folder."""
        values = dataclasses.asdict(self)
        values["data"] = lean(values["data"])
        del values["track"], values["methods_file"], values["prefer"], values["data"]["train_rows"]
        if not self.data.encoding:
            del values["data"]["encoding"]
        for name in LATER:
            if getattr(self, name) == getattr(Request(), name):
                del values[name]
        text = json.dumps(values, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def folder(self) -> Path:
        """Where the results go unless told otherwise."""
        return Path("runs") / f"compare-{Path(self.data.path).stem}-{self.key}"


@dataclass(frozen=True)
class Plan:
    """The request with everything that was measured or read once at the start.

    data_key: fingerprint of the rows; parts: of the model's files, none of an endpoint's; judging: of reward and judge.
    threads: of each of the workers. base_loss: of the untouched base on general text, where it predicts text.
    row_tokens: of a training row, 0 where not known. estimate, answering: seconds that all trials will take, measured
    before the first one, and those of them that go into answers (of all workers together).
    """

    request: Request
    tokens: int
    seconds: float | None
    rate: float | None
    dtype: str
    threads: int
    model_key: str
    data_key: str
    version: int = VERSION
    workers: int = 1
    base_loss: float | None = None
    parts: dict[str, str] = field(default_factory=dict)
    judging: dict[str, str] = field(default_factory=dict)
    row_tokens: float = 0.0
    estimate: float | None = None
    answering: float = 0.0

    def short_steps(self, rates: int, cost: float | None = None) -> float | None:
        """Steps of a short run of a search among so many rates, and one beyond; None: unknown. cost: of a step."""
        step = cost or self.row_tokens * self.request.batch
        return self.search_tokens / (rates + 1) / step if step else None

    def recipe(self, method: str, seed: int, tokens: int, learning_rate: float | None) -> Recipe:
        """The recipe of one trial."""
        request = self.request
        # a model behind an address trains nothing and has no tokens to spend
        training = TrainingConfig(tokens=max(tokens, 1), batch=request.batch, learning_rate=learning_rate)
        spec = request.spec(method)
        sections = spec.sections
        limit = {"max_length": request.max_length} if request.max_length else {}
        objective = {**sections.pop("objective", {}), **limit}
        return Recipe(
            **sections, model=request.model, data=request.data, training=training, seed=seed, objective=objective,
            dtype=self.dtype, threads=self.threads, endpoint=request.limits, track=request.track,
            reward=request.reward if "reward" in spec.needs else "",
        )  # fmt: skip

    def on_rows(self, rows: int, all_rows: int) -> Plan:
        """The plan of a point of the curve: the first `rows` training rows and the budget that goes with them."""
        data = replace(self.request.data, train_rows=rows)
        return replace(self, request=replace(self.request, data=data), tokens=scaled(self.tokens, rows, all_rows))

    @property
    def search_tokens(self) -> int:
        """Tokens of all learning-rate trials of a method together."""
        return int(self.tokens * SEARCH_SHARE)


def check_methods(
    names: Sequence[str], data: DataConfig, grid: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> tuple[str, ...]:
    """The named specs and families, or the default ones; of those, all whose needs are met here.

    An unknown name suggests another.
    """
    found = embedded.find(data.path)
    more = [catalog.WITH_DOCUMENTS] if data.docs or (found and found.documents) else []
    usual = [entry for entry in catalog.methods().values() if not catalog.lacking(entry)]
    chosen: list[str] = []
    if not names:
        return (*(e.name for e in usual if e.name in catalog.DEFAULT), *more)
    for name in names:
        rooms = catalog.FAMILIES.get(name, ())
        family = [e.name for e in usual if e.kind in rooms]
        chosen += [*family, *(more if "patches" in rooms else [])] if family else [spec(name, grid).name]
    return tuple(dict.fromkeys(chosen))


def check_curve(sizes: Sequence[int]) -> tuple[int, ...]:
    """The sizes of a curve in rising order, each once; none may be under 2."""
    if wrong := [n for n in sizes if n < 2]:
        raise LuthierError(f"--curve {wrong[0]}: numbers of training rows of at least 2, such as 32,64,128,256")
    return tuple(sorted(set(sizes)))


def make_request(
    data: Mapping[str, Any], *, models: Sequence[str] = (), methods: Sequence[str] = (), budget: str = "",
    seeds: int = 1, threads: int | None = None, curve: Sequence[int] = (), endpoint: Mapping[str, Any] | None = None,
    track: Sequence[str] = (), total: str = "", max_length: int | None = None, batch: int | None = None,
    prefer: str = "quality", grid: Mapping[str, Any] | None = None, methods_file: str = "", judge: str = "",
    reward: str = "",
) -> Request:  # fmt: skip
    """A checked request; grid: entries of a file of methods, tried besides those named. Raises LuthierError."""
    from luthier.core.catalog import suggest
    from luthier.core.metric import find
    from luthier.training import trackers

    if data.get("metric"):
        find(data["metric"])
    if budget and total:
        raise LuthierError(
            f"--budget {budget} and --total {total}: give one: --budget is the training of each method and seed, "
            "--total the time of the whole comparison"
        )
    total = total or ("" if budget else TOTAL)
    if total:
        parse_total(total)
    else:
        parse_budget(budget)
    if prefer not in get_args(Prefer):
        known = get_args(Prefer)
        raise LuthierError(f"--prefer {prefer}: one of {', '.join(known)}{suggest(prefer, known)}")
    first, *others = tuple(dict.fromkeys(models)) or ("embedded",)
    entries = {} if grid is None else check_grid(grid, methods_file or "methods")
    section, limits = build(DataConfig, data, "data"), build(EndpointConfig, endpoint or {}, "endpoint")
    asked = {
        "data": section,
        "model": first,
        "methods": (chosen := check_methods([*methods, *entries], section, entries)),
        "grid": entries,
        "methods_file": methods_file,
        "judge": judge,
        "reward": reward,
        "usual": tuple(name for name in chosen if name not in (*methods, *entries)),
        "budget": budget,
        "total": total,
        "seeds": seeds,
    }
    asked |= {"threads": threads, "others": tuple(others), "curve": check_curve(curve), "endpoint": limits}
    asked |= {"max_length": max_length} | ({} if batch is None else {"batch": batch, "held": True})
    return build(Request, {**asked, "track": trackers.check(track), "prefer": prefer}, "")


def read_request(folder: Path) -> Request:
    """What was asked for in this folder."""
    path = folder / "request.json"
    return build(Request, read_json(path), str(path))


def check_folder(request: Request, folder: Path) -> None:
    """Refuse a folder that holds another comparison or something else; one that never came to a plan is free."""
    if not is_taken(folder, "request.json", "comparison"):
        return
    try:
        same = read_request(folder) == request
    except LuthierError:
        same = False
    if not same and begun(folder):
        raise LuthierError(f"{folder} holds another comparison: give its own command, or {AGAIN}")


def begin(request: Request, folder: Path) -> None:
    """Write request.json into a folder that is free or holds this comparison."""
    check_folder(request, folder)
    write_json(folder / "request.json", dataclasses.asdict(request))


def save_plan(plan: Plan, folder: Path) -> None:
    """Write plan.json."""
    write_json(folder / "plan.json", dataclasses.asdict(plan))


def read_plans(request: Request, folder: Path) -> dict[str, Plan]:
    """The plan for every base that could be used; an error where there is none."""
    found = {model: read_plan(plan_folder(folder, request, model)) for model in request.models}
    if not any(found.values()):
        raise LuthierError(f"{folder}: no comparison was begun here")
    return {model: plan for model, plan in found.items() if plan}


def read_plan(folder: Path) -> Plan | None:
    """The plan of a comparison that was begun here, or None."""
    if not (path := folder / "plan.json").exists():
        return None
    try:
        plan = build(Plan, read_json(path), "plan")
    except LuthierError as error:
        raise LuthierError(f"{path}: cannot go on without its plan ({error}): choose another --out") from None
    if plan.version != VERSION:
        raise LuthierError(f"{path}: written by another version; choose another --out")
    return plan
