"""What trackers are told, that a broken one stops nothing, and that a missing package says its command."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

import tiny
from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.core.progress import Report
from luthier.io.metrics_file import read_metrics
from luthier.runs import run
from luthier.training import trackers

REPORTS = [Report(step, 100 * step, 2.0 / step, 1e-3, float("nan"), 50.0, step / 4) for step in range(1, 4)]
RESULT = {"score": 0.75, "secondary": {"macro_f1": 0.7}, "train_seconds": 3.0, "answers": ["a"], "forgetting": None}


class Recorder:
    """A tracker that writes down what it is told."""

    made: ClassVar[list[Recorder]] = []

    def __init__(self, run: str, group: str, settings: Any, folder: Path, step: int) -> None:
        self.begun = (run, group, settings, step)
        self.steps: list[tuple[int, dict[str, float]]] = []
        self.scores: dict[str, float] = {}
        Recorder.made.append(self)

    def log(self, values: dict[str, float], step: int) -> None:
        self.steps.append((step, values))

    def finish(self, scores: dict[str, float]) -> None:
        self.scores = scores


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    found = types.SimpleNamespace(constants={"extras": ()}, load=lambda _: Recorder)
    real, names = plugins.members, [*trackers.names(), "recorder"]
    ours = lambda room: dict.fromkeys(names, found) if room == "trackers" else real(room)  # noqa: E731
    monkeypatch.setattr(plugins, "members", ours)
    monkeypatch.setattr(Recorder, "made", [])
    return Recorder


def tell(tracking: trackers.Tracking) -> None:
    for report in REPORTS:
        tracking.log(report)
    tracking.finish(RESULT)


def test_found_by_file_name() -> None:
    assert trackers.names() == ["mlflow", "tensorboard", "trackio", "wandb"]
    assert trackers.check([]) == ()
    with pytest.raises(LuthierError, match=r"no tracker 'tensorbord', did you mean tensorboard\?"):
        trackers.check(["tensorbord"])


@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "trackio", "wandb"])
def test_a_missing_package_says_its_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None)
    with pytest.raises(LuthierError, match=f"tracker {name} needs {name}: pip install {name}"):
        trackers.check([name])


def test_it_gets_what_the_metrics_file_gets(
    recorder: type[Recorder], tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    lm = tiny.fresh(tiny_folder("llama_tied"))
    recipe = tiny.recipe(Path(lm.name), "head")
    tracking = trackers.Tracking(["recorder"], "head/seed-0", {"seed": 0}, tmp_path)
    with run.adapted(lm, recipe, tiny.LABELLED, tmp_path / "run", say=tracking.log):
        pass
    tracking.finish(RESULT)
    (told,) = recorder.made
    assert told.begun == ("head/seed-0", tmp_path.name, {"seed": 0}, 1)
    written = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [dict(values, step=step) for step, values in told.steps] == written
    assert told.scores == {"score": 0.75, "train_seconds": 3.0, "macro_f1": 0.7}


def test_a_resumed_run_says_where_it_goes_on(recorder: type[Recorder], tmp_path: Path) -> None:
    tracking = trackers.Tracking(["recorder"], "x", {}, tmp_path)
    tracking.log(REPORTS[2])
    assert recorder.made[0].begun[3] == 3


def test_a_method_without_steps_gives_its_scores(recorder: type[Recorder], tmp_path: Path) -> None:
    trackers.Tracking(["recorder"], "x", {}, tmp_path).finish(RESULT)
    assert recorder.made[0].steps == [] and recorder.made[0].scores["score"] == 0.75


@pytest.mark.parametrize("when", ["__init__", "log", "finish"])
def test_a_tracker_that_fails_is_named_once_and_left_out(
    when: str, recorder: type[Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Planted bug that it caught: the failed tracker stayed in the list and warned at every step."""

    def broken(*_: Any) -> None:
        raise ConnectionError("the server is gone\nand more")

    monkeypatch.setattr(recorder, when, broken)
    tell(trackers.Tracking(["recorder"], "x", {}, tmp_path))
    heard = capsys.readouterr().err.splitlines()
    assert heard == ["warning: tracker recorder is left out: ConnectionError: the server is gone"]


def test_tensorboard_holds_the_values(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tell(trackers.Tracking(["tensorboard"], "lora/seed-0", {"model": "模型"}, tmp_path))
    found = EventAccumulator(str(tmp_path / "tensorboard" / "lora" / "seed-0")).Reload()
    assert [(e.step, e.value) for e in found.Scalars("train/loss")] == [(1, 2.0), (2, 1.0), (3, pytest.approx(2 / 3))]
    assert found.Scalars("final/score")[0].value == 0.75
    assert "train/grad_norm" not in found.Tags()["scalars"], "what is not finite is not told"


def test_trackio_holds_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    tell(trackers.Tracking(["trackio"], "lora/seed-0", {"seed": 0}, tmp_path))
    from trackio.sqlite_storage import SQLiteStorage

    name = f"{tmp_path.name}-lora-seed-0"
    logs = SQLiteStorage.get_logs("luthier", name)
    assert [e["train/loss"] for e in logs if "train/loss" in e] == [2.0, 1.0, pytest.approx(2 / 3)]
    assert [e["final/score"] for e in logs if "final/score" in e] == [0.75]


class FakeRun:
    """What wandb.init gives, with what it was told."""

    def __init__(self, **given: Any) -> None:
        self.given, self.ended = given, False
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.summary: dict[str, Any] = {}

    def log(self, values: dict[str, float], step: int) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.ended = True


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({}, "offline"),
        ({"WANDB_API_KEY": "k"}, "online"),
        ({"WANDB_API_KEY": "k", "WANDB_MODE": "disabled"}, "disabled"),
    ],
)
def test_wandb_is_offline_unless_asked(
    variables: dict[str, str], mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    runs: list[FakeRun] = []

    def begin(**given: Any) -> FakeRun:
        runs.append(FakeRun(**given))
        return runs[-1]

    fake: Any = types.ModuleType("wandb")
    fake.init, fake.Settings = begin, lambda **given: given
    monkeypatch.setitem(sys.modules, "wandb", fake)
    tell(trackers.Tracking(["wandb"], "lora/seed-0", {"seed": 0}, tmp_path))
    tell(trackers.Tracking(["wandb"], "lora/seed-0", {"seed": 0}, tmp_path))
    first, again = runs
    assert first.given["mode"] == mode and first.given["id"] == again.given["id"] and first.given["resume"] == "allow"
    assert [step for step, _ in first.logged] == [1, 2, 3] and first.logged[0][1]["train/loss"] == 2.0
    assert first.summary["final/score"] == 0.75 and first.ended
    assert first.given["config"] == {"seed": 0} and first.given["dir"] == str(tmp_path)


class FakeClient:
    """MLflow's client as far as it is used."""

    runs: ClassVar[dict[str, dict[str, Any]]] = {}

    def __init__(self, tracking_uri: str) -> None:
        self.place = tracking_uri

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str) -> str:
        return "7"

    def search_runs(self, experiments: list[str], query: str, max_results: int) -> list[Any]:
        found = [i for i, r in self.runs.items() if f"'{r['tags']['luthier']}'" in query]
        return [types.SimpleNamespace(info=types.SimpleNamespace(run_id=i)) for i in found]

    def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        self.runs[run_name] = {"tags": tags, "params": {}, "metrics": [], "place": self.place, "ended": 0}
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=run_name))

    def log_param(self, i: str, key: str, value: str) -> None:
        self.runs[i]["params"][key] = value

    def log_batch(self, i: str, metrics: list[Any]) -> None:
        self.runs[i]["metrics"] += metrics

    def set_terminated(self, i: str) -> None:
        self.runs[i]["ended"] += 1


def test_mlflow_goes_on_in_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(FakeClient, "runs", {})
    fake, entities = types.ModuleType("mlflow"), types.ModuleType("mlflow.entities")
    fake.MlflowClient = FakeClient  # type: ignore[attr-defined]
    entities.Metric = lambda name, value, time, step: (name, value, step)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    for _ in range(2):
        tell(trackers.Tracking(["mlflow"], "lora/seed-0", {"training": {"batch": 8}, "long": "x" * 900}, tmp_path))
    ((name, found),) = FakeClient.runs.items()
    assert name == f"{tmp_path.name}/lora/seed-0" and found["ended"] == 2
    assert found["params"] == {"training.batch": "8", "long": "x" * 500}
    assert found["place"] == f"sqlite:///{tmp_path.resolve() / 'mlflow.db'}"
    assert found["metrics"].count(("train/loss", 2.0, 1)) == 2 and ("final/score", 0.75, 0) in found["metrics"]
