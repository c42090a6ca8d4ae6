"""Recipes: whatever stands in one becomes a Recipe or an error in words, and what is written reads back the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.core.errors import LuthierError
from luthier.io import config
from luthier.io.config import Recipe, read_recipe, recipe_from, to_yaml

KEYS = ["method", "model", "data", "patch", "direct", "objective", "training", "seed", "dtype", "threads", "path",
        "map", "name", "limit", "tokens", "epochs", "batch", "learning_rate", "rank", "k", "n", "nonsense"]  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["lora", "features", "sft", "tickets", "12", "1e-3"]) | st.dates()
)  # fmt: skip
YAMLISH = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)
TABLES = st.dictionaries(st.sampled_from(KEYS[:10]) | st.text(max_size=4) | st.integers(), YAMLISH, max_size=5)


@given(TABLES)
@settings(max_examples=150, deadline=None)
def test_any_mapping_is_a_recipe_or_an_error_in_words(values: dict[Any, Any]) -> None:
    try:
        recipe = recipe_from(values)
    except LuthierError as error:
        assert str(error)
    else:
        assert recipe_from(yaml.safe_load(to_yaml(recipe))) == recipe


@given(st.text(max_size=30))
@settings(max_examples=50, deadline=None)
def test_any_setting_is_taken_or_an_error_in_words(text: str) -> None:
    for assignment in (text, f"patch.rank={text}", f"{text}=3", f"data.path={text}", f"data.{text}=x"):
        try:
            assert isinstance(read_recipe(None, [assignment]), Recipe)
        except LuthierError as error:
            assert str(error)


@pytest.mark.parametrize("raw", ["2024-13-45", "!!bool x", "!!timestamp x", "{[a]: b}", "[" * 500, "a: b: c", "*x"])
def test_what_the_yaml_parser_cannot_take(raw: str, tmp_path: Path) -> None:
    assert read_recipe(None, [f"data.path={raw}"]).data.path == raw  # a path may look like anything
    path = tmp_path / "recipe.yaml"
    path.write_text(f"data: {{path: {raw}}}")
    with pytest.raises(LuthierError, match="not a YAML file"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["trianing.tokens=3"], "trianing: unknown key, did you mean training?"),
        (["training.token=3"], "training.token: unknown key, did you mean tokens?"),
        (["data.pth=x"], "data.pth: unknown key, did you mean path?"),
        (["method=lorra"], "there is no method 'lorra', did you mean lora?"),
        (["training.tokens=many"], r"training.tokens: .*integer.*\(got 'many'\)"),
        (["training.tokens=0"], "training.tokens: .*greater than or equal to 1"),
        (["training.learning_rate=.nan"], "training.learning_rate: "),
        (["training.epochs=0"], "training.epochs: "),
        (["threads=-1"], "threads: "),
        (["seed=-1"], "seed: "),
        (["data=3"], "data: must be a table of keys"),
        (["model.x=3", "model=y", "model.z=3"], "model.z: model is a single value"),
        (["direct.k=3"], "direct.k: lora takes its options under patch"),
        (["method=few_shot", "patch.rank=3"], "patch.rank: few_shot takes its options under direct"),
        (["=3"], "write a setting as key=value"),
    ],
)
def test_errors_name_the_key(settings: list[str], said: str) -> None:
    with pytest.raises(LuthierError, match=said):
        read_recipe(None, settings)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"rnk": 3}, "patch.rnk: unknown key, did you mean rank?"), ({"rank": "x"}, "patch.rank: .*integer")],
)
def test_options_of_a_method_are_checked_against_its_class(options: dict[str, Any], said: str) -> None:
    with pytest.raises(LuthierError, match=said):
        config.options(recipe_from({"patch": options}))


def test_settings_come_on_top_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("\ufeffmethod: layers\r\npatch: {n: 3}\r\ndata:\r\ntraining: {tokens: 7, batch: 2}\r\n")
    recipe = read_recipe(path, ["training.tokens=50_000", "data.path=a=b.csv", "patch.n=4", "data.map.0=text"])
    assert (recipe.method, recipe.patch, recipe.training.batch) == ("layers", {"n": 4}, 2)
    assert (recipe.training.tokens, recipe.data.path, recipe.data.map) == (50_000, "a=b.csv", {"0": "text"})


@pytest.mark.parametrize("content", ["- a\n- b\n", "", "lora", "3", "a: [", "\tx: 1", "\x00"])
def test_a_file_that_is_no_recipe(content: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(LuthierError, match=r"recipe\.yaml: (a recipe is a table|not a YAML file)"):
        read_recipe(path)


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(LuthierError, match="no such recipe"):
        read_recipe(tmp_path / "none.yaml")
    with pytest.raises(LuthierError, match="cannot be read"):
        read_recipe(tmp_path)


def test_a_complete_recipe_needs_no_default() -> None:
    recipe = read_recipe(None, ["method=few_shot", "direct.k=3", "data.labels.0=坏 的", "data.path=数据 1.csv"])
    written = yaml.safe_load(to_yaml(recipe))
    assert written.keys() == vars(recipe).keys() - set(config.NAMED), "written where they are set"
    assert written["training"].keys() == vars(recipe.training).keys() - config.LATER_TRAINING.keys()
    assert recipe_from(written) == recipe
    short = yaml.safe_load(to_yaml(recipe, complete=False))
    assert short.keys() == {"method", "data", "direct"}
    assert recipe_from(short) == recipe
