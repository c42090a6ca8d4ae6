"""The method that the page builds is built: in a copy of the package, listed, trained, and put through the contract."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import luthier
import tiny
from luthier.core import catalog, plugins
from luthier.io import config
from luthier.io.files import write_text
from luthier.models.causal import CausalLM
from luthier.runs import run
from luthier.runs.loaded import load_run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding-a-method.md"


def method_of_the_page() -> tuple[str, str]:
    """The file's name in its room, and its text."""
    text = PAGE.read_text("utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (name,) = re.findall(r"Save this as `src/luthier/(patches/\w+\.py)`", text)
    return name, block


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's file in a temporary patches room that the catalog reads beside the others; gives the method's name."""
    import luthier.patches

    name, block = method_of_the_page()
    for room in ("patches", "objectives", "direct", "training/optimizers"):
        shutil.copytree(plugins.HERE / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / name).write_text(block, "utf-8")
    monkeypatch.setattr(plugins, "HERE", tmp_path)
    monkeypatch.setattr(luthier.patches, "__path__", [*luthier.patches.__path__, str(tmp_path / "patches")])
    monkeypatch.delitem(sys.modules, f"luthier.patches.{Path(name).stem}", raising=False)
    return Path(name).stem


def test_the_pages_method_works(added: str, lm: CausalLM, tmp_path: Path) -> None:
    """Seen failing with a block of the page that forgot `METHOD`, and with `detach` overridden to do nothing."""
    assert "rescale" in catalog.methods()[added].summary
    recipe = tiny.recipe(Path(lm.name), added, patch={"weight_decay": 0.01}, training={"learning_rate": 0.01})
    before, texts = tiny.bits(lm.model), [row.wanted for row in tiny.LABELLED.validation]
    base = lm.predict(texts, tiny.LABELLED.labels)
    method = config.options(recipe)
    losses: list[float] = []
    with run.adapted(lm, recipe, tiny.LABELLED, tmp_path / "run", say=lambda r: losses.append(r.loss)) as outcome:
        norms = [n for n in before if "norm" in n]
        assert outcome.trainable == sum(before[n].numel() for n in norms) and outcome.mergeable
        moved = {n for n, p in lm.model.named_parameters() if not torch.equal(p, before[n])}
        assert moved == set(norms) and len(norms) == 7  # two a block, one at the end
        run.save_adapted(outcome, tmp_path / "run")
        write_text(tmp_path / "run" / "recipe.yaml", config.to_yaml(recipe))
        want = outcome.lm.predict(texts, tiny.LABELLED.labels)
    assert losses[-1] < losses[0] and not torch.equal(base, want)
    assert tiny.same(before, tiny.bits(lm.model)), "the base comes back bit-equal"
    # not bit-equal: where the loaded weights lie in memory moves the last bits of products
    torch.testing.assert_close(load_run(tmp_path / "run").predict(texts, tiny.LABELLED.labels), want)
    assert method == config.options(recipe)


@pytest.mark.slow
def test_the_pages_method_keeps_the_contract(tmp_path: Path) -> None:
    """As the page says: the file is saved in the package, and the contract suite finds it by itself."""
    name, block = method_of_the_page()
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(luthier.__file__).parent, tmp_path / "src" / "luthier", ignore=ignore)
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "src" / "luthier" / name).write_text(block, "utf-8")
    (command,) = re.findall(r"^python -m (pytest .*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "-q"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) > 80, done.stdout[-500:]
