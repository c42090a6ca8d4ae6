"""`luthier runs`: what is listed and shown, what differs, and that only runs inside their folder are removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from commands import said
from luthier.core.errors import LuthierError
from luthier.core.phrases import remember, say
from luthier.io import config
from luthier.io.files import write_json, write_text
from luthier.reports import run_list


def a_run(folder: Path, score: float | None = 0.5, **changes: object) -> Path:
    """The files of a run, without a model."""
    recipe = config.recipe_from({"method": "lora", "data": {"path": "数据/mine.jsonl"}, **changes})
    write_text(folder / "recipe.yaml", config.to_yaml(recipe))
    write_json(folder / "environment.json", {"torch": "2.13.0"})
    if score is not None:
        write_json(folder / "eval.json", {"metric": "accuracy", "score": score, "secondary": {"macro_f1": score / 2},
                                          "per_row": [1.0], "answers": ["x"]})  # fmt: skip
    return folder


def a_comparison(folder: Path, done: bool = True) -> Path:
    """The files of a comparison of two methods."""
    from luthier.comparison.plan import Request, begin

    begin(Request(methods=("zero_shot", "lora"), budget="2m"), folder)
    write_json(folder / "trials" / "zero_shot" / "outcome.json", {"status": "ok", "seeds": 1})
    a_run(folder / "trials" / "lora" / "seed-0")
    if done:
        rows = [{"method": "lora", "score": 0.75}, {"method": "zero_shot", "score": 0.25}]
        write_json(folder / "leaderboard.json", {"metric": "accuracy", "best": "lora", "rows": rows})
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of runs: complete, resumable and damaged ones, a comparison, and things that are neither."""
    home = tmp_path / "runs"
    a_run(home / "one")
    a_run(home / "nested" / "stopped", None)
    write_text(home / "nested" / "stopped" / "checkpoint" / "state.safetensors", "x" * 5000)
    a_run(home / "bad")
    (home / "bad" / "eval.json").write_text("{")
    a_comparison(home / "compare")
    a_comparison(home / "half", done=False)
    write_text(home / "notes" / "readme.txt", "hello")
    write_text(home / "notes" / "recipe.yaml", "- flour\n- [eggs")
    a_run(tmp_path / "elsewhere")
    (home / "link").symlink_to(tmp_path / "elsewhere")
    return home


def test_list(home: Path) -> None:
    found = {e.path.relative_to(home).as_posix(): e for e in run_list.find(home)}
    assert {name: e.state for name, e in found.items()} == {
        "one": "complete", "nested/stopped": "resumable", "bad": "damaged: eval.json", "compare": "complete",
        "half": "resumable (1 of 2 methods)",
    }  # fmt: skip
    assert found["compare"].score == 0.75 and found["compare"].method == "2 methods, best lora"
    assert found["nested/stopped"].size > 5000
    inside = {e.path.relative_to(home).as_posix() for e in run_list.find(home, inside=True)}
    assert inside - found.keys() == {"compare/trials/lora/seed-0", "half/trials/lora/seed-0"}
    text = said("runs", "list", home)
    assert "accuracy 0.750" in text and "mine.jsonl" in text and "5." in text and "kB" in text
    assert "no runs in" in said("runs", "list", home / "notes")
    with pytest.raises(LuthierError, match="no such folder"):
        said("runs", "list", home / "absent")


def test_show(home: Path) -> None:
    a_run(home / "one", patch={"rank": 16}, seed=3)
    write_json(home / "one" / "evaluations" / "new.json", {"metric": "accuracy", "score": 0.4, "ci95": [0.3, 0.5]})
    text = said("runs", "show", home / "one")
    assert "  patch.rank: 16\n" in text and "  seed: 3\n" in text and "  data.path: 数据/mine.jsonl\n" in text
    assert "training.batch" not in text and "  secondary.macro_f1: 0.25\n" in text and "torch: 2.13.0" in text
    assert "evaluation new:\n  metric: accuracy\n  score: 0.4\n" in text and "answers" not in text
    text = said("runs", "show", home / "compare")
    assert "  budget: 2m\n" in text and "  lora: 0.75\n" in text and "  model:" not in text
    with pytest.raises(LuthierError, match="neither a run"):
        said("runs", "show", home / "notes")


def test_what_was_noted_is_shown_once(home: Path) -> None:
    """As text: what says it in another language is for pages."""
    note = say("said_rate_step")
    record = {"metric": "accuracy", "score": 0.5, "per_row": [1.0], "answers": ["x"], "notes": [note]}
    write_json(home / "one" / "eval.json", remember(record, "notes"))
    text = said("runs", "show", home / "one")
    assert note in text and note.key not in text


def test_diff(home: Path) -> None:
    two = a_run(home / "two", 0.75, patch={"rank": 16}, training={"batch": 4})
    assert said("runs", "diff", home / "one", two).splitlines() == [
        "settings:", "  training.batch: 8 | 4", "  patch.rank: - | 16",
        "scores:", "  score: 0.5 | 0.75", "  secondary.macro_f1: 0.25 | 0.375",
    ]  # fmt: skip
    assert said("runs", "diff", home / "one", home / "one") == "nothing differs\n"
    with pytest.raises(LuthierError, match="two of one kind"):
        said("runs", "diff", home / "one", home / "compare")


def test_remove_asks_and_removes(home: Path) -> None:
    text = said("runs", "remove", "one", home / "compare", "--runs", home, answer="n\n", code=1)
    assert "Remove them and free" in text and (home / "one").is_dir()
    said("runs", "remove", "one", "--runs", home, code=1)  # nobody there to answer
    assert (home / "one").is_dir()
    (home / "compare" / "out").symlink_to(home.parent / "elsewhere")
    text = said("runs", "remove", "one", home / "compare", home / "compare" / "trials" / "lora" / "seed-0",
                "--runs", home, answer="y\n")  # fmt: skip
    assert not (home / "one").exists() and not (home / "compare").exists() and text.count("on mine") == 0
    assert (home.parent / "elsewhere" / "recipe.yaml").is_file()


def test_remove_refuses_what_is_no_run_of_the_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with the place compared before links are resolved."""
    (home / "door").symlink_to(home.parent)
    cases = [
        (home / "notes", "neither a run"), (home / "link", "a link"), (home.parent / "elsewhere", "stands outside"),
        (home / "door" / "elsewhere", "stands outside"), (home, "stands outside"), (home / "gone", "no such run"),
        (home / ".." / "elsewhere", "stands outside"), (home / "nested", "neither a run"),
    ]  # fmt: skip
    for path, why in cases:
        with pytest.raises(LuthierError, match=why):
            said("runs", "remove", path, "--runs", home, "--yes")
    monkeypatch.chdir(home.parent)
    with pytest.raises(LuthierError, match="stands outside"):
        said("runs", "remove", "one", home.parent / "elsewhere", "--yes")  # one bad name and nothing is removed
    assert (home / "one").is_dir() and (home.parent / "elsewhere").is_dir()
    assert said("runs", "remove", "one", "--yes").endswith("freed\n") and not (home / "one").exists()
    assert os.path.lexists(home / "link")


def test_what_runs_is_called_running_and_what_gave_nothing_failed(tmp_path: Path) -> None:
    """Seen failing: a comparison without any finished method was `complete`, a running one `resumable`."""
    from luthier.io.files import LOCK, alone

    home = tmp_path / "runs"
    run, comparison, nothing = a_run(home / "one", None), a_comparison(home / "half", done=False), home / "nothing"
    a_comparison(nothing)
    write_json(nothing / "leaderboard.json", {"metric": "accuracy", "rows": [], "best": None})
    with alone(run / LOCK, ""), alone(comparison / LOCK, ""):
        found = {str(e.path.relative_to(home)): e.state for e in run_list.find(home)}
        assert found == {"one": "running", "half": "running (1 of 2 methods)", "nothing": "failed (no method finished)"}
        with pytest.raises(LuthierError, match="a command is at work there: end it first"):
            run_list.removable(run, home)
    assert {e.state for e in run_list.find(home)} == {
        "begun", "resumable (1 of 2 methods)", "failed (no method finished)",
    }  # fmt: skip
    assert "failed (no method finished)" in said("runs", "list", home)
