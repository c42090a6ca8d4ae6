"""`--max-length` and `--batch` of a comparison: what they reach, which folder they make, and how they are repeated."""

from __future__ import annotations

import shlex
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import tiny
from finished import comparison, evaluation
from kinds import labelled_rows, texts_of
from luthier.comparison.board import command_of, gather
from luthier.comparison.plan import Plan, Request, make_request
from luthier.comparison.planning import make_plan, spoken_total
from luthier.core.errors import LuthierError
from luthier.core.records import Labelled, Sampling
from luthier.evals import cuts
from luthier.io import config
from luthier.io.files import read_json, write_json
from luthier.reports.comparison.publish import publish
from luthier.reports.comparison.terminal import print_leaderboard
from luthier.runs import run
from luthier.runs.loaded import load_run

LONG = "word " * 60
SPLIT = replace(
    tiny.LABELLED,
    train=tuple(Labelled(r.text + LONG, r.label) for r in labelled_rows(tiny.LABELLED.train)),
    test=(Labelled("where is it " + LONG, "delivery"),),
)


def asked(**more: Any) -> Request:
    return make_request({"path": "mine.csv"}, methods=["zero_shot", "lora"], budget="500-tokens", **more)


def test_the_folder_is_another_one_only_when_given() -> None:
    """Seen failing with both in every key."""
    plain = asked()
    assert plain.key == asked(max_length=None, batch=None).key == "09feaa03", "as before there were such options"
    keys = {plain.key, asked(max_length=64).key, asked(batch=8).key, asked(batch=4).key, asked(max_length=32).key}
    assert len(keys) == 5
    assert "--max-length" not in command_of(plain) and "--batch" not in command_of(plain)


def test_they_stand_in_the_repeated_command() -> None:
    words = shlex.split(command_of(asked(max_length=64, batch=8)))
    assert words[words.index("--max-length") + 1] == "64" and words[words.index("--batch") + 1] == "8"


@pytest.mark.parametrize("wrong", [{"max_length": 1}, {"max_length": -5}, {"batch": 0}])
def test_they_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(LuthierError, match=next(iter(wrong))):
        asked(**wrong)


@pytest.mark.parametrize("method", ["lora", "zero_shot", "few_shot", "features", "head"])
def test_training_scoring_and_features_read_alike(method: str, lm: Any, tmp_path: Path) -> None:
    """Seen failing for the methods that train nothing, which read the whole context."""
    plan = Plan(asked(max_length=48), 5000, None, None, "float32", 1, "key", "data")
    recipe = replace(plan.recipe(method, 0, 5000, 1e-3), model=lm.name)
    lm.model.config.max_position_embeddings = 2048
    with run.adapted(lm, recipe, SPLIT, cache=tmp_path) as outcome:
        cuts.begin(outcome.lm)
        outcome.lm.predict(texts_of(SPLIT.test), SPLIT.labels)
        notes = [*outcome.notes, *cuts.of_test(outcome.lm, SPLIT.test)]
        run.save_adapted(outcome, tmp_path / "run")
    test = "1 of 1 test rows was shortened to 48 tokens (--max-length sets it): the middle of the longest text gave way"
    assert test in notes
    (tmp_path / "run" / "recipe.yaml").write_text(config.to_yaml(recipe))
    again: Any = load_run(tmp_path / "run", tiny.fresh(Path(lm.name)))
    cuts.begin(again)
    again.predict(texts_of(SPLIT.test), SPLIT.labels)
    assert test in cuts.of_test(again, SPLIT.test), "a run that is loaded reads as it did"


def test_generation_reads_alike(lm: Any, tmp_path: Path) -> None:
    recipe = replace(Plan(asked(max_length=60), 9, None, None, "float32", 1, "k", "d").recipe("zero_shot", 0, 9, None),
                     model=lm.name)  # fmt: skip
    with run.adapted(lm, recipe, tiny.CHATS, cache=tmp_path) as outcome:
        seen: list[int] = []
        work: Any = outcome.lm
        encode = work.encode_prompt

        def watched(*given: Any) -> Any:
            seen.append(len(encode(*given)))
            return encode(*given)

        work.encode_prompt = watched
        work.generate([LONG], Sampling(4))
    assert seen and max(seen) <= 60


def test_a_batch_that_is_given_is_kept(lm: Any) -> None:
    """A small budget takes fewer rows a step unless the user names them. Seen failing with one row a step."""
    fitted = make_plan(replace(asked(), threads=1), lm, tiny.LABELLED, "float32")
    kept = make_plan(replace(asked(batch=8), threads=1), lm, tiny.LABELLED, "float32")
    assert fitted.request.batch < 8 and kept.request.batch == 8
    assert kept.recipe("lora", 0, 100, 1e-3).training.batch == 8
    assert "steps of" in spoken_total(fitted, 8) and "steps of" not in spoken_total(kept, 8)


def test_an_endpoint_is_held_to_it() -> None:
    assert asked(max_length=500).limits.context == 500 and asked().limits.context == 4096


def test_what_was_used_is_the_first_line_of_terminal_and_page(tmp_path: Path) -> None:
    """Seen failing with the notes first, and on a page without it."""
    folder = comparison(tmp_path / "out", {"lora": [evaluation([1.0, 0.0, 1.0, 1.0])]})
    assert "used" not in read_json(folder / "split.json") and gather(folder)[1]["used"] is None
    used = {"rows": 11987, "test_rows": None, "train": 90, "validation": 30, "test": 30, "left": {"limit": 11837}}
    write_json(folder / "split.json", read_json(folder / "split.json") | {"used": used})
    board, details = publish(folder)
    console = Console(width=120, file=StringIO())
    print_leaderboard(board, console, details)
    said = "150 of 11,987 rows; 90 train, 30 validate, 30 test; left out: 11,837 by --limit"
    assert console.file.getvalue().splitlines()[0] == said  # type: ignore[attr-defined]
    page = (folder / "report.html").read_text("utf-8")
    assert said in page and "11,987 行中使用 150 行：训练 90，验证 30，测试 30" in page
    assert page.index(said) < page.index('class="facts"') < page.index("1 row is a duplicate")
