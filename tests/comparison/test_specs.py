"""Method specs: a patch with an objective, a direct method, entries of a file; each a row with a name of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import luthier
import tiny
from comparing import compare
from luthier.comparison.board import command_of, gather
from luthier.comparison.plan import Request, make_request, read_request
from luthier.comparison.specs import MethodSpec, check_grid, read_grid, spec
from luthier.core.errors import LuthierError, Refused
from luthier.core.records import Text
from luthier.io import config
from luthier.models.causal import CausalLM
from luthier.runs import run

pytestmark = pytest.mark.usefixtures("in_this_process")
PAGE = Text("the bus is late and the weather is fine", "page.md")


def test_names() -> None:
    assert spec("lora", {}) == MethodSpec("lora", "lora")
    assert spec("prefix/sft", {}) == MethodSpec("prefix/sft", "prefix", "sft")
    assert spec("lora_docs", {}) == MethodSpec("lora_docs", "lora", "lm"), "a name of earlier versions"
    assert spec("lora/lm", {}).place == "lora+lm" and not spec("few_shot", {}).trains
    for wrong, why in (
        ("lorra/sft", "did you mean lora"), ("lora/stf", "did you mean sft"), ("few_shot/sft", "direct method"),
        ("lora/", "there is no objective ''"), ("lora/lora", "there is no objective 'lora'"),
    ):  # fmt: skip
        with pytest.raises(LuthierError, match=why):
            spec(wrong, {})


@pytest.mark.parametrize(
    ("grid", "why"),
    [
        ({}, "a table of names"),
        ({"lora": {"patch": "lora"}}, "lora: that is a method; its entry needs a name of its own, such as my-lora"),
        ({"../x": {"patch": "lora"}}, "a name of its own"),
        ({"a": {"patch": "lora", "direct": "few_shot"}}, "a: a table with patch or direct"),
        ({"a": {"patch": "lora", "option": {}}}, "unknown key option, did you mean options"),
        ({"a": {"patch": "lora", "options": {"rnak": 4}}}, r"a\.options\.rnak: unknown key, did you mean rank"),
        ({"a": {"patch": "lora", "options": {"rank": "many"}}}, r"a\.options\.rank: "),
        ({"a": {"direct": "few_shot", "objective": "sft"}}, "trains by no objective"),
        ({"a": {"patch": "lora", "objective": "stf"}}, "did you mean sft"),
        ({"a": 3}, "a: a table with patch or direct"),
    ],
)
def test_what_is_wrong_in_a_grid_is_named(grid: Any, why: str) -> None:
    with pytest.raises(LuthierError, match=why):
        check_grid(grid, "grid.yaml")


def test_a_recipe_of_a_spec(tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text("lora-r64: {patch: lora, objective: classify, options: {rank: 64}}\n")
    grid = read_grid(tmp_path / "grid.yaml")
    request = make_request({"path": "x.csv"}, methods=["zero_shot"], budget="1m", grid=grid, methods_file="grid.yaml")
    assert request.methods == ("zero_shot", "lora-r64")
    assert "--methods zero_shot --methods-file grid.yaml" in command_of(request)
    sections = request.spec("lora-r64").sections
    assert sections == {"method": "lora", "patch": {"rank": 64}, "objective": {"name": "classify"}}
    assert Request().key == replace(Request(), methods_file="y").key != replace(Request(), grid=grid).key
    for wrong in ("- a", "a: [", "\x00", "!!bool x", "a: 2024-13-45", "[" * 500):
        (tmp_path / "grid.yaml").write_text(wrong)
        with pytest.raises(LuthierError, match=r"grid\.yaml"):
            read_grid(tmp_path / "grid.yaml")


def test_each_is_a_row_with_its_name(data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """The same patch three times, under two objectives and with other options."""
    model, out = str(tiny_folder("llama_tied")), tmp_path / "out"
    grid = {"small": {"patch": "lora", "objective": "classify", "options": {"rank": 2}}}
    board = compare(data, out, [model], methods=["lora", "lora/classify"], budget="400-tokens")
    assert {row.name for row in board.rows} == {"lora", "lora/classify"} == {row.method for row in board.rows}
    assert {row.status for row in board.rows} == {"ok"} and (out / "trials/lora+classify/seed-0/eval.json").exists()
    named = luthier.compare(data, model=model, out=tmp_path / "grid", methods=grid, budget="400-tokens", threads=1)
    assert [row.name for row in named.rows] == ["small"]
    recipe = config.run_recipe(named.best.folder)  # type: ignore[union-attr, arg-type]
    assert recipe.patch == {"rank": 2} and recipe.objective["name"] == "classify"
    assert read_request(tmp_path / "grid").grid == grid
    assert "Low-rank" in gather(tmp_path / "grid")[1]["summaries"]["small"]


@pytest.mark.parametrize("names", [["lora", "lora/sft"], ["lora_docs", "lora/lm"], ["head", "head/classify"]])
def test_two_specs_that_name_one_thing_are_refused(
    names: list[str], data: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    page = tmp_path / "docs"
    page.mkdir()
    (page / "a.md").write_text("the bus is late and the weather is fine")
    with pytest.raises(LuthierError, match=f"{names[0]} and {names[1]} are the same method here"):
        compare(data, tmp_path / "out", [str(tiny_folder("llama_tied"))], methods=names, docs=str(page))


def test_documents_are_learned_and_not_the_questions(lm: CausalLM) -> None:
    """Seen failing with the training rows handed to the objective; without documents it is refused."""
    recipe = tiny.recipe(Path(lm.name), "lora", objective={"name": "lm"})
    why = "lora/lm learns from documents, and there are none"
    with pytest.raises(Refused, match=why), run.adapted(lm, recipe, tiny.CHATS):
        pass
    assert config.recipe_from({"method": "lora_docs"}) == config.recipe_from(
        {"method": "lora", "objective": {"name": "lm"}}
    )
    with run.adapted(lm, recipe, replace(tiny.CHATS, documents=(PAGE,))) as outcome:
        assert outcome.loop is not None and len(outcome.loop.examples) == 1
        assert PAGE.text in lm.tokenizer.decode(list(outcome.loop.examples[0].ids))
