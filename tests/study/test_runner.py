"""Budget, resume, folders, options, and the list of studies."""

from __future__ import annotations

import dataclasses
import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from luthier.core import plugins
from luthier.core.errors import LuthierError
from luthier.reports.study.page import command
from luthier.study import catalog, runner
from luthier.study.options import read_options
from luthier.study.runner import Request, run


def quiet(what: str, share: float) -> None:
    """Nobody listens."""


def test_every_file_is_a_study() -> None:
    names = [entry.name for entry in catalog.listed()]
    assert names == ["architecture", "lora-init", "lora-plus", "lora-rank", "lora-targets", "rank", "sinks"]
    for entry in catalog.listed():
        assert f"Example: luthier study {entry.name}" in entry.help
        cls = catalog.load(entry.name)
        assert dataclasses.is_dataclass(cls) and len(dataclasses.fields(cls)) <= 12
        assert cls.title.text() and cls.title.text("zh") != cls.title.text()
    with pytest.raises(LuthierError, match="did you mean lora-rank"):
        catalog.load("lora-rnk")


def test_a_killed_study_goes_on_with_what_is_missing(
    studied: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in its second run: the first is not done again and the rest is the same as without the kill.

    Seen failing with the finished runs not read.
    """
    result, _, _ = studied("lora-init")
    done: list[str] = []
    real = runner._measured

    def counted(study: Any, bench: Any, arm: Any, seed: int) -> dict[str, Any]:
        if len(done) == 1 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            raise KeyboardInterrupt
        done.append(f"{arm.name}/seed-{seed}.json")
        return real(study, bench, arm, seed)

    monkeypatch.setattr(runner, "_measured", counted)
    with pytest.raises(KeyboardInterrupt):
        run(result.request, tmp_path / "out", quiet)
    again = run(result.request, tmp_path / "out", quiet)
    assert len(done) == len(set(done)) == 8
    for name, runs in result.models[0].runs.items():
        assert [r["loss"] for r in again.models[0].runs[name]] == [r["loss"] for r in runs]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"request.json", "plan-0.json", "runs", ".lock"}


def test_a_finished_study_trains_nothing(studied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    result, found, folder = studied("lora-init")
    monkeypatch.setattr(runner, "_measured", None)
    again = run(result.request, folder, quiet)
    assert again.request.made().finding(again.models).sentence.text() == found.sentence.text()


def test_other_rows_or_weights_are_noticed(studied: Any, tmp_path: Path) -> None:
    """And --again begins anew. Seen failing with what was measured on the old rows in the new report."""
    result, _, folder = studied("lora-init")
    out = Path(shutil.copytree(folder, tmp_path / "out"))
    rows = Path(result.request.data.path)
    before = rows.read_text()
    try:
        rows.write_text(before.replace("the tea was fine", "the tea was bad", 1))
        with pytest.raises(LuthierError, match=r"out: the data changed after .* --again"):
            run(result.request, out, quiet)
    finally:
        rows.write_text(before)
    plan = json.loads((out / "plan-0.json").read_text())
    plan["parts"]["weights"] = "others"
    (out / "plan-0.json").write_text(json.dumps(plan))
    with pytest.raises(LuthierError, match=r"the weights of .* changed after"):
        run(result.request, out, quiet)


def test_another_study_is_refused(studied: Any) -> None:
    result, _, folder = studied("lora-init")
    for change in ({"seeds": 3}, {"study": "rank"}, {"budget": "9k-tokens"}):
        with pytest.raises(LuthierError, match="holds another study"):
            run(dataclasses.replace(result.request, **change), folder, quiet)


def test_a_budget_that_says_nothing_is_refused(studied: Any, tmp_path: Path) -> None:
    result, _, _ = studied("lora-init")
    request = dataclasses.replace(result.request, budget="400-tokens")
    with pytest.raises(LuthierError, match=r"shared by 8 runs it gives each 50 tokens, .* give at least \d+-tokens"):
        run(request, tmp_path / "out", quiet)


def test_runs_have_equal_budgets(studied: Any) -> None:
    result, _, _ = studied("lora-init")
    on = result.models[0]
    assert on.tokens == 1000
    for seed in range(2):
        assert len({(runs[seed]["tokens"], runs[seed]["steps"]) for runs in on.runs.values()}) == 1


def test_an_arm_that_fails_is_said_and_left_out(studied: Any, tmp_path: Path) -> None:
    """A rate at which the loss is no number. Seen failing with the error let through."""
    result, _, _ = studied("lora-init")
    request = dataclasses.replace(
        result.request, study="lora-plus", options={"ratios": (1e30,), "plain": (1.0,), "looks": 2}
    )
    found = run(request, tmp_path / "out", quiet)
    on = found.models[0]
    assert list(on.runs) == ["LoRA"] and "gradient norm nan" in on.failed["ratio 1e+30"]
    assert "ratio 1e+30 has no result" in runner.failures(found.models)[0].text()
    request.made().finding(found.models)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("ranks", "write name=value"),
        ("rnks=1", "unknown key, did you mean ranks"),
        ("ranks=1,x", "ranks.1"),
        ("grid=!!bool x", "not a value"),
    ],
)
def test_wrong_settings_are_said(setting: str, message: str) -> None:
    with pytest.raises(LuthierError, match=message):
        Request("lora-rank", read_options("lora-rank", [setting])).made()


def test_the_command_repeats_the_study() -> None:
    request = Request("lora-rank", read_options("lora-rank", ["ranks=1,8", "grid=true"]), budget="5m", seeds=3)
    assert command(request) == "luthier study lora-rank --budget 5m --seeds 3 --set ranks=1,8 --set grid=True"
    assert Request("lora-rank", read_options("lora-rank", ["grid=True"])).made().grid is True  # type: ignore[attr-defined]


def test_a_study_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file is a new study, with no other change."""
    import luthier.study.studies as package

    text = (Path(package.__path__[0]) / "rank.py").read_text("utf-8")
    folder = tmp_path / "study" / "studies"
    folder.mkdir(parents=True)
    (folder / "ranks_two.py").write_text(text.replace("luthier study rank", "luthier study ranks-two"), "utf-8")
    monkeypatch.setattr(plugins, "HERE", tmp_path)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    assert [e.name for e in catalog.listed()] == ["ranks-two"]
    assert catalog.load("ranks-two").__name__ == "Rank"
    importlib.invalidate_caches()
