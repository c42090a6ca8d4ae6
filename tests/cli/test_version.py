"""One version: `luthier/version.py` states it; packaging, the command, Python and what runs record read it there."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import luthier
from luthier.models.machine import environment
from luthier.version import __version__

ROOT = Path(__file__).parents[2]


def test_the_command_and_python_say_it() -> None:
    """In a checkout that is not installed, and where another version is: metadata of an installation is not asked."""
    done = subprocess.run([sys.executable, "-m", "luthier", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"luthier {__version__}\n"), done.stderr
    assert luthier.__version__ == environment()["luthier"] == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", __version__)


def test_packaging_reads_it() -> None:
    """Seen failing with a version of its own in pyproject.toml."""
    from setuptools.config.pyprojecttoml import apply_configuration
    from setuptools.dist import Distribution

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "version" not in project and "version" in project["dynamic"]
    assert apply_configuration(Distribution(), str(ROOT / "pyproject.toml")).get_version() == __version__


def test_no_other_file_states_it() -> None:
    """Seen failing with `version = "0.1.0"` in another file of the package."""
    stated = re.compile(
        rf"""version\w*\s*[=:]\s*["']?{re.escape(__version__)}\b|luthier[=-]{{1,2}}{re.escape(__version__)}""", re.I
    )
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("*.toml"), *ROOT.glob("*.yml"), *ROOT.glob("docs/**/*.md"),
             *ROOT.glob("*.md"), *ROOT.glob("examples/**/*.*")]  # fmt: skip
    found = [path.relative_to(ROOT).as_posix() for path in files if stated.search(path.read_text("utf-8"))]
    assert found == ["src/luthier/version.py"]


def test_the_changelog_has_it() -> None:
    """What is released has a section, and nothing newer than the version has one."""
    heads = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert heads[0] == "Unreleased" and heads[1] == __version__
