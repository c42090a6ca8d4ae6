"""What is found by its place: methods, objectives, metrics, studies, readers, trackers; ours and other packages' alike.

A room is a package whose files are its members, known by their names; another package adds to it by an entry point of
the group `luthier.ROOM`, whose name is the member's and whose value is a module:

    [project.entry-points."luthier.patches"]
    my_patch = "my_package.my_patch"

Nothing is registered. Members are listed by reading their files as text (docstrings, constants), so that a list needs
neither torch nor what they import. Source of entry points: the Python packaging guide.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError

ROOMS: Mapping[str, str] = {
    "patches": "luthier.patches", "direct": "luthier.direct", "objectives": "luthier.objectives",
    "metrics": "luthier.evals.metrics", "studies": "luthier.study.studies", "trackers": "luthier.training.trackers",
    "optimizers": "luthier.training.optimizers",
    "machines": "luthier.planning.machines",
    "texts": "luthier.pretrain.texts", "shapes": "luthier.models.shapes",
    "tasks": "luthier.pretrain.tasks",
    "classifiers": "luthier.direct.classifiers", "documents": "luthier.data.document_readers",
    "readers": "luthier.data.readers", "opensets": "luthier.data.opensets.families",
    "signals": "luthier.corpus.signals", "stages": "luthier.corpus.stages", "reading": "luthier.corpus.reading",
    "private": "luthier.corpus.privacy.kinds", "tokenizers": "luthier.corpus.tokenizers.kinds",
}  # fmt: skip
HERE = Path(__file__).parents[1]  # of our own rooms


@dataclass(frozen=True)
class Plugin:
    """A member of a room. text: its file's docstring. constants: what it assigns at its top, as far as that is plain.

    ours: False where another package brings it.
    """

    name: str
    room: str
    module: str
    text: str = ""
    constants: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)
    ours: bool = True

    @property
    def summary(self) -> str:
        """The first line of what it says of itself."""
        return self.text.split("\n")[0]

    def load(self, name: str) -> Any:
        """What its module calls so, imported now. Raises LuthierError where another package's has no such thing."""
        module = importlib.import_module(self.module)
        if not hasattr(module, name):
            raise LuthierError(f"{self.module}: a module of luthier.{self.room} sets {name}, and this one does not")
        return getattr(module, name)


def members(room: str) -> dict[str, Plugin]:
    """Every member of a room by name, ours first; a name of ours cannot be taken by another package."""
    package = ROOMS[room]
    folder = HERE.joinpath(*package.split(".")[1:])
    found = {
        path.stem: _read(path.stem, room, f"{package}.{path.stem}", path)
        for path in sorted(folder.glob("*.py"))
        if path.stem != "__init__"
    }
    return found | {name: member for name, member in _brought(room).items() if name not in found}


@cache
def _brought(room: str) -> dict[str, Plugin]:
    """What other packages bring; one whose module is not there is left out, as if it were not installed."""
    found = {}
    for point in sorted(entry_points(group=f"luthier.{room}"), key=lambda point: point.name):
        try:
            spec = importlib.util.find_spec(point.module)
        except ImportError:
            continue
        if spec is not None and spec.origin:
            found[point.name] = _read(point.name, room, point.module, Path(spec.origin), ours=False)
    return found


def _read(name: str, room: str, module: str, path: Path, ours: bool = True) -> Plugin:
    text, constants = _parsed(path, path.stat().st_mtime_ns)
    return Plugin(name, room, module, text, constants, ours)


@cache
def _parsed(path: Path, changed: int) -> tuple[str, dict[str, Any]]:
    """A file's docstring and its plain constants; changed: when, so that a new version is read anew."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            try:
                constants[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return ast.get_docstring(tree) or "", constants
