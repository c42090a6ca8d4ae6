"""One mechanism finds ours and other packages' methods, metrics, studies, readers and trackers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from luthier.core import catalog, metric, plugins
from luthier.core.errors import LuthierError
from luthier.data.formats import load
from luthier.io.files import read_json

PATCH = '''"""The norms of the blocks, scaled: a patch of another package."""

from luthier.patches.bitfit import Bitfit

extras = ()


class Elsewhere(Bitfit):
    """targets: as in bitfit."""


METHOD = Elsewhere
'''
METRIC = '''"""Whether the answer begins as wanted."""

from luthier.core.metric import Metric, Scores
from luthier.evals.metrics.accuracy import METRIC as ACCURACY


class Half(type(ACCURACY)):
    """Accuracy, halved."""

    name, meaning, title = "half_accuracy", "Half the share of right answers.", "half accuracy"

    def scores(self, lm, data, rows):
        found = super().scores(lm, data, rows)
        return Scores(self.name, [x / 2 for x in found.per_row], found.answers, found.secondary)


METRIC = Half()
'''
READER = '''"""Cells between bars."""

from luthier.data.source import Row, Source

ENDINGS = (".psv", ".csv")


def read(path, mapped, encoding):
    head, *lines = [line.split("|") for line in path.read_text().splitlines()]
    rows = (Row(i, "|".join(c), columns=dict(zip(head, c))) for i, c in enumerate(lines, 2))
    return Source(path, tuple(rows), tuple(head))
'''
PROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "luthier-elsewhere"
version = "0.1"

[project.entry-points."luthier.patches"]
elsewhere = "luthier_elsewhere.scaled"

[project.entry-points."luthier.metrics"]
half = "luthier_elsewhere.half"
"""


def package(folder: Path) -> Path:
    """A package outside the tree that adds a patch and a metric."""
    inside = folder / "luthier_elsewhere"
    inside.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT)
    (inside / "__init__.py").write_text("")
    (inside / "scaled.py").write_text(PATCH)
    (inside / "half.py").write_text(METRIC)
    (inside / "bars.py").write_text(READER)
    return folder


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    """Entry points that count as installed."""
    points: list[EntryPoint] = []
    monkeypatch.setattr(plugins, "entry_points", lambda group: [p for p in points if p.group == group])
    monkeypatch.syspath_prepend(str(package(tmp_path / "src")))
    for name in [name for name in sys.modules if name.startswith("luthier_elsewhere")]:
        monkeypatch.delitem(sys.modules, name)
    plugins._brought.cache_clear()
    metric._all.cache_clear()
    yield points
    plugins._brought.cache_clear()
    metric._all.cache_clear()


def test_another_packages_members_stand_beside_ours(brought: list[EntryPoint]) -> None:
    brought += [
        EntryPoint("elsewhere", "luthier_elsewhere.scaled", "luthier.patches"),
        EntryPoint("half", "luthier_elsewhere.half", "luthier.metrics"),
        EntryPoint("lora", "luthier_elsewhere.scaled", "luthier.patches"),
        EntryPoint("gone", "no_such_package.module", "luthier.patches"),
        EntryPoint("empty", "luthier_elsewhere", "luthier.objectives"),
    ]
    found = catalog.entries("patches")
    assert found["elsewhere"].summary == "The norms of the blocks, scaled: a patch of another package."
    assert catalog.load(found["elsewhere"]).__name__ == "Elsewhere" and not found["elsewhere"].member.ours
    assert found["lora"].member.ours and "gone" not in found, "seen failing with ours replaced"
    assert metric.find("half_accuracy").unit == "share" and "half_accuracy" in metric.names()
    with pytest.raises(LuthierError, match=r"luthier_elsewhere: a module of luthier\.objectives sets METHOD"):
        catalog.load(catalog.find("empty", "objectives"))


def test_another_packages_reader_of_rows(brought: list[EntryPoint], tmp_path: Path) -> None:
    """Found by its entry point, like everything else."""
    brought.append(EntryPoint("bars", "luthier_elsewhere.bars", "luthier.readers"))
    (tmp_path / "mine.psv").write_text("text|label\nit is late|bad\n")
    assert load(tmp_path / "mine.psv").rows[0].columns == {"text": "it is late", "label": "bad"}
    (tmp_path / "mine.csv").write_text("text,label\nit is late,bad\n")
    assert load(tmp_path / "mine.csv").columns == ("text", "label"), "an ending of ours stays ours"


def test_a_metric_whose_package_is_broken_costs_only_itself(brought: list[EntryPoint], tmp_path: Path) -> None:
    (tmp_path / "src/luthier_elsewhere/half.py").write_text("import no_such_thing\n")
    brought.append(EntryPoint("half", "luthier_elsewhere.half", "luthier.metrics"))
    assert "half_accuracy" not in metric.names() and "accuracy" in metric.names()


@pytest.mark.slow
def test_an_installed_package_is_listed_and_compared(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    data = tmp_path / "mine.csv"
    data.write_text("text,label\n" + "".join(f"a {w} {i},{w}\n" for i in range(20) for w in ("cat", "dog")))
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", site, package(tmp_path / "src")], check=True, timeout=300)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}

    def luthier(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "luthier", *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    listed = luthier("methods").stdout
    assert "  elsewhere    The norms of the blocks, scaled: a patch of another package." in listed
    asked = ("--methods", "majority,elsewhere", "--metric", "half_accuracy", "--budget", "300-tokens")
    done = luthier("compare", data, "--model", tiny_folder("llama_tied"), "--out", tmp_path / "out", *asked)
    assert done.returncode == 0, done.stderr
    board = read_json(tmp_path / "out/leaderboard.json")
    assert board["metric"] == "half_accuracy" and {row["status"] for row in board["rows"]} == {"ok"}
    assert {row["name"] for row in board["rows"]} == {"majority", "elsewhere"}
