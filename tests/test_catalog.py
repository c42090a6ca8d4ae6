"""Methods are found by their files alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from luthier.core import catalog, plugins
from luthier.core.errors import LuthierError

METHOD = '''"""Summary of it.

More.
"""
extras = ({extras})
raise RuntimeError("listing must not run this")
'''


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rooms of our own with one planted method."""
    for room in ("direct", "patches", "objectives"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text('"""A room."""')
    (tmp_path / "direct" / "planted.py").write_text(METHOD.format(extras='"no_such_package_x",'))
    monkeypatch.setattr(plugins, "HERE", tmp_path)
    return tmp_path


def test_the_rooms_hold_what_the_readme_promises() -> None:
    assert {"zero_shot", "few_shot", "features"} <= catalog.entries("direct").keys()
    assert {"full", "layers", "head", "lora", "soft_prompt"} <= catalog.entries("patches").keys()
    assert {"sft", "classify"} <= catalog.entries("objectives").keys()
    assert list(catalog.methods()) == [*catalog.entries("direct"), *catalog.entries("patches")]


def test_every_method_has_a_summary_of_one_sentence() -> None:
    for entry in catalog.entries("direct", "patches", "objectives").values():
        assert entry.summary.endswith(".") and len(entry.summary) <= 100, entry


def test_no_name_stands_in_two_rooms() -> None:
    sizes = [len(catalog.entries(kind)) for kind in ("direct", "patches", "objectives")]
    assert len(catalog.entries("direct", "patches", "objectives")) == sum(sizes)


def test_a_new_file_is_a_new_method_and_listing_does_not_run_it(rooms: Path) -> None:
    (found,) = catalog.methods().values()
    assert (found.name, found.kind, found.summary) == ("planted", "direct", "Summary of it.")
    assert found.needs == ("no_such_package_x",) and found.member.ours


def test_a_missing_package_is_said_with_its_command(rooms: Path) -> None:
    with pytest.raises(LuthierError, match="planted needs no_such_package_x: pip install no_such_package_x"):
        catalog.load(catalog.find("planted", "direct"))


def test_unknown_names() -> None:
    with pytest.raises(LuthierError, match="there is no method 'zeroshot', did you mean zero_shot"):
        catalog.find("zeroshot", "direct", "patches")
    with pytest.raises(LuthierError, match="there is no objective 'xyz'; known: classify, "):
        catalog.find("xyz", "objectives")
    with pytest.raises(LuthierError, match="known: best_of_n, features, few_shot"):
        catalog.find("", "direct")


def test_load_gives_the_class() -> None:
    assert catalog.load(catalog.find("lora", "patches")).__name__ == "Lora"
    assert "luthier.patches.lora" in sys.modules
