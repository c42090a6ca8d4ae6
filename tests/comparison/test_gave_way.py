"""A final run that goes wrong gives way to the next lower rate, is counted as search, and is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comparing import compare
from luthier.comparison import trial
from luthier.comparison.board import gather
from luthier.comparison.learning_rate_search import Tried, lower, went_wrong
from luthier.core.errors import Diverged
from luthier.io.config import run_recipe
from luthier.io.files import read_json
from luthier.runs import session

pytestmark = pytest.mark.usefixtures("in_this_process")
MORE, LESS = (1.0,) * 40 + (0.0,) * 24, (1.0,) * 36 + (0.0,) * 28


def test_a_higher_loss_without_more_rows_is_wrong() -> None:
    short = Tried(3e-3, 0.47, LESS)
    assert went_wrong(Tried(3e-3, 0.9, LESS), short) and went_wrong(Tried(3e-3, float("inf")), short)
    assert not went_wrong(Tried(3e-3, 0.9, MORE), short), "who memorises is surer of his mistakes"
    assert not went_wrong(Tried(3e-3, 0.4, ()), short) and not went_wrong(Tried(3e-3, 0.47, LESS), short)
    assert went_wrong(Tried(1.0, 0.9), Tried(1.0, 0.8)), "where no rows are scored the loss alone says it"


def test_the_next_lower_rate_is_one_that_stayed_finite() -> None:
    tried = [Tried(1e-4, 0.5), Tried(1e-3, float("inf")), Tried(3e-3, 0.4)]
    assert lower(tried, 3e-3) == 1e-4 and lower(tried, 1e-4) is None


def ran(data: Path, out: Path, folder: Callable[[str], Path], seeds: int = 1) -> dict[str, Any]:
    """A comparison of one method, and of which rates its whole runs were."""
    board = compare(data, out, [str(folder("llama_tied"))], methods=["lora"], budget="6k-tokens", seeds=seeds)
    place = out / "trials" / "lora"
    tried = sorted(read_json(p)["learning_rate"] for p in place.glob("search/*/result.json"))
    wrong = [read_json(p) for p in place.glob("search/whole/*/result.json")]
    finals = [run_recipe(place / f"seed-{k}").training.learning_rate for k in range(seeds)]
    searches = [read_json(p)["seconds"] for p in place.glob("search/**/result.json")]
    kept = read_json(place / "seed-0" / "eval.json")
    notes = [note for _, note in gather(out)[1]["run_notes"]]
    return {"board": board, "tried": tried, "wrong": wrong, "finals": finals, "kept": kept, "notes": notes,
            "searched": sum(searches)}  # fmt: skip


def test_the_lower_rate_is_taken_by_all_seeds(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "went_wrong", lambda *_: True)
    monkeypatch.setattr(trial, "chosen", lambda tried: tried[-1].rate)
    found = ran(data, tmp_path / "out", tiny_folder, seeds=2)
    (wrong,) = found["wrong"]
    below = max(r for r in found["tried"] if r < wrong["learning_rate"])
    assert found["finals"] == [below, below]
    assert wrong["validation_loss"] > 0 and wrong["steps"] > 0 and wrong["validation_scores"]
    assert found["kept"]["search_seconds"] > found["searched"] > wrong["seconds"], "judging is search, too"
    told = f"with the learning rate {wrong['learning_rate']:g} the whole run ended worse than its own short one"
    assert any(note.startswith(told) for note in found["notes"])


def test_the_first_is_taken_again_where_the_lower_is_no_better(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ran(data, tmp_path / "plain", tiny_folder)
    monkeypatch.setattr(trial, "went_wrong", lambda *_: True)
    monkeypatch.setattr(trial, "chosen", lambda tried: tried[0].rate)
    found = ran(data, tmp_path / "out", tiny_folder)
    assert len(found["wrong"]) == 2 and found["finals"] == plain["finals"] and not plain["wrong"]
    assert found["kept"]["score"] == plain["kept"]["score"]


def test_a_run_that_left_the_finite_numbers_gives_way(
    data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before it was written that the first went wrong: nothing of it is gone on with."""
    real, calls = session.Session.finish, []

    def diverges(self: session.Session, *args: Any) -> Any:
        calls.append(self.recipe.training.learning_rate)
        if len(calls) == 1:
            (self.folder / "checkpoint").mkdir(parents=True)
            raise Diverged("the loss is not finite")
        if len(calls) == 2:
            assert not (self.folder / "checkpoint").exists()
            raise KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(session.Session, "finish", diverges)
    with pytest.raises(KeyboardInterrupt):
        ran(data, tmp_path / "out", tiny_folder)
    found = ran(data, tmp_path / "out", tiny_folder)
    high, low, again = (rate or 0.0 for rate in calls)
    assert again == low < high
    assert found["finals"] == [low] and [w["validation_loss"] for w in found["wrong"]] == [None]
