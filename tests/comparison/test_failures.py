"""Errors of one model or one method never end a comparison: their rows say so, everything else goes on.

The worker runs in this process here; `test_supervise.py` starts real ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import luthier
from luthier.cli import app
from luthier.comparison import trial
from luthier.comparison.learning_rate_search import Tried
from luthier.core.errors import Diverged, LuthierError, Refused
from luthier.direct.few_shot import FewShot
from luthier.io.files import read_json
from luthier.models.loading import kinds
from luthier.patches.head import Head
from luthier.runs import run, session

pytestmark = pytest.mark.usefixtures("in_this_process")


def compare(data: Path, out: Path, models: list[Path], *methods: str) -> luthier.Board:
    asked: Any = {"methods": methods or ("zero_shot", "head"), "budget": "3000-tokens", "threads": 1}
    return luthier.compare(data, model=list(map(str, models)), out=out, **asked)


def statuses(board: luthier.Board) -> dict[tuple[str, str], str]:
    return {(Path(row["model"]).name, row["method"]): row["status"] for row in board["rows"]}


def unreadable(folder: Path) -> Path:
    """A folder that looks like a model until it is loaded."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "nosuchtype", "architectures": ["Nothing"]}')
    (folder / "model.safetensors").write_bytes(b"\0" * 32)
    return folder


@pytest.mark.parametrize("place", [0, 1])
def test_a_model_that_cannot_be_loaded_costs_its_own_rows(
    place: int, data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    models = [tiny_folder("llama_tied"), tmp_path / "nothing"]
    models.insert(place, unreadable(tmp_path / "broken"))
    board = compare(data, tmp_path / "out", models)
    good = models[1 - place].name
    assert statuses(board) == {
        (good, "zero_shot"): "ok", (good, "head"): "ok", ("broken", "zero_shot"): "failed",
        ("broken", "head"): "failed", ("nothing", "zero_shot"): "failed", ("nothing", "head"): "failed",
    }  # fmt: skip
    reasons = {Path(row["model"]).name: row["reason"] for row in board["rows"] if row["status"] == "failed"}
    assert "there is no such folder" in reasons["nothing"] and reasons["broken"] and "\n" not in reasons["broken"]
    assert board.best is not None and board.best["model"].endswith(good)
    assert (tmp_path / "out/report.html").exists() and (tmp_path / "out/MODEL_CARD.md").exists()


def test_an_error_while_the_plan_is_made_costs_the_models_rows(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is: here an assertion, and a fact about the model."""
    models = [tiny_folder("llama_tied"), tiny_folder("llama_untied"), tiny_folder("gpt2")]
    real = kinds.wrap

    def wrap(model: Any, tokenizer: Any, name: str, key: str) -> Any:
        if name == str(models[0]):
            raise AssertionError("first\nsecond")
        if name == str(models[1]):
            raise Refused("its logits are not those of the plain model")
        return real(model, tokenizer, name, key)

    monkeypatch.setattr(kinds, "wrap", wrap)
    board = compare(data, tmp_path / "out", models, "zero_shot")
    rows = {row["model"]: (row["status"], row["reason"]) for row in board["rows"]}
    log = next(tmp_path.glob("out/trials/*/error.log"))
    assert rows[str(models[0])] == ("failed", f"AssertionError: first (details in {log.relative_to(tmp_path / 'out')})")
    assert "second" in log.read_text()
    assert rows[str(models[1])] == ("skipped", "its logits are not those of the plain model")
    assert rows[str(models[2])] == ("ok", None)


def test_no_model_that_can_be_used_is_an_error_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    models = [unreadable(tmp_path / "one"), unreadable(tmp_path / "two")]
    with pytest.raises(LuthierError, match=r"(?s)no model can be used.*one: .*two: "):
        compare(data, tmp_path / "out", models)
    assert not (tmp_path / "out").exists()
    with pytest.raises(LuthierError, match="there is no such folder"):
        compare(data, tmp_path / "out", [tmp_path / "no", tmp_path / "nothing"])
    with pytest.raises(Exception, match="nosuchtype"):
        compare(data, tmp_path / "out", models[:1])


def test_the_tracebacks_that_an_error_names_are_kept(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrap(*_: object) -> object:
        raise RuntimeError("planted in wrap")

    models = [tiny_folder("llama_tied"), tiny_folder("gpt2")]
    monkeypatch.setattr(kinds, "wrap", wrap)
    for _ in range(2):  # what is kept does not stand in the way of the same command
        with pytest.raises(LuthierError, match=r"planted in wrap \(details in ") as caught:
            compare(data, tmp_path / "out", models, "zero_shot")
        named = re.findall(r"details in ([^)]+)\)", str(caught.value))
        assert len(named) == 2
        assert all("planted in wrap" in (tmp_path / "out" / name).read_text() for name in named)


@pytest.mark.parametrize("part", ["adapt", "load_state", "score", "save"])
def test_an_error_in_any_part_of_a_method_costs_its_row(
    part: str, data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"planted in {part}\nmore")

    if part == "adapt":
        monkeypatch.setattr(FewShot, "adapt", broken)
    elif part == "load_state":
        monkeypatch.setattr(Head, "cut", broken)
    else:
        place = {"score": "evaluate", "save": "save_adapted"}[part]
        real = getattr(session, place)
        calls: list[str] = []

        def first_only(*given: Any, **named: Any) -> Any:
            calls.append(part)
            return broken() if len(calls) == 1 else real(*given, **named)

        monkeypatch.setattr(session, place, first_only)
    board = compare(data, tmp_path / "out", [tiny_folder("llama_tied")], "few_shot", "head", "zero_shot")
    failed = {row["method"]: row["reason"] for row in board["rows"] if row["status"] != "ok"}
    (method,) = failed
    assert failed[method] == f"RuntimeError: planted in {part} (details in trials/{method}/error.log)"
    assert "more" in (tmp_path / "out/trials" / method / "error.log").read_text()


@pytest.mark.slow
def test_what_failed_is_tried_again_by_the_same_command(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """What finished or was refused stays; what fails again has its row again."""
    models, out = [tiny_folder("llama_tied")], tmp_path / "out"
    with monkeypatch.context() as planted:
        planted.setattr(FewShot, "adapt", lambda *_: dict[str, Any]()["x"])
        board = compare(data, out, models, "few_shot", "zero_shot")
        assert statuses(board)[models[0].name, "few_shot"] == "failed"
        before = (out / "trials/zero_shot/seed-0/eval.json").stat().st_mtime_ns
        again = compare(data, out, models, "few_shot", "zero_shot")
        assert {**again, "spent": None} == {**board, "spent": None}, "but for the time that trying again took"
    said = "few_shot failed before (KeyError: 'x' (details in trials/few_shot/error.log)) and is tried again"
    assert said in capsys.readouterr().out
    board = compare(data, out, models, "few_shot", "zero_shot")
    assert {row["status"] for row in board["rows"]} == {"ok"}
    assert not (out / "trials/few_shot/error.log").exists()
    assert (out / "trials/zero_shot/seed-0/eval.json").stat().st_mtime_ns == before


def test_a_rate_that_diverges_is_out_and_the_method_goes_on(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lowest and the highest of the range leave the finite numbers, one in training and one in validation."""
    real, low, high = run.adapted, min(Head.learning_rates), max(Head.learning_rates)

    def diverging(lm: Any, recipe: Any, *more: Any) -> Any:
        if recipe.method == "head" and recipe.training.learning_rate == high:
            raise Diverged("step 1: the loss is nan")
        return real(lm, recipe, *more)

    judged = trial.Bench._judged
    monkeypatch.setattr(trial, "adapted", diverging)
    monkeypatch.setattr(
        trial.Bench, "_judged", lambda self, o, r: Tried(r, math.inf) if r == low else judged(self, o, r)
    )
    board = compare(data, tmp_path / "out", [tiny_folder("llama_tied")], "head")
    (row,) = board["rows"]
    assert row["status"] == "ok" and row["learning_rate"] == sorted(Head.learning_rates)[1]
    kept = read_json(tmp_path / f"out/trials/head/search/{high:g}/result.json")
    assert kept["validation_loss"] is None


def test_the_exit_status_says_whether_any_row_is_ok(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FewShot, "adapt", lambda *_: dict[str, Any]()["x"])
    command = ["compare", str(data), "--model", str(tiny_folder("llama_tied")), "--budget", "1k-tokens"]
    one = CliRunner().invoke(app, [*command, "--methods", "few_shot,zero_shot", "--out", str(tmp_path / "one")])
    none = CliRunner().invoke(app, [*command, "--methods", "few_shot", "--out", str(tmp_path / "none")])
    assert (one.exit_code, none.exit_code) == (0, 1), one.output + none.output
    assert "KeyError: 'x'" in one.output and "No method finished." in none.output
