"""What a row of a comparison is: a patch with an objective, or a direct method, with options; by a name of its own.

On the command line `lora` (the objective that fits the task), `lora/lm`, `prefix/sft`, `few_shot`; in a file of methods
(`--methods-file grid.yaml`) entries with names and options:

    lora-r64: {patch: lora, options: {rank: 64}}
    shots: {direct: few_shot, options: {k: 8}}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luthier.core import catalog
from luthier.core.errors import LuthierError
from luthier.io.files import from_yaml

NAME = re.compile(r"[^\W_][\w.-]{0,59}")
KEYS = ("patch", "direct", "objective", "options")


@dataclass(frozen=True)
class MethodSpec:
    """name: as typed, or given in the file. method: of the catalog. objective: "" is the patch's own for the task.

    options: of the patch or the direct method.
    """

    name: str
    method: str
    objective: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The method's room: patches or direct."""
        return catalog.find(self.method, "direct", "patches").kind

    @property
    def needs(self) -> tuple[str, ...]:
        """What it needs besides the data (`Method.needs`), of the objective where one is named."""
        found = [catalog.find(self.method, "direct", "patches")]
        found += [catalog.find(self.objective, "objectives")] if self.objective else []
        return tuple(dict.fromkeys(need for each in found for need in catalog.load(each).needs))

    @property
    def place(self) -> str:
        """A folder's name for it."""
        return self.name.replace("/", "+")

    @property
    def trains(self) -> bool:
        """Whether it goes through the training loop."""
        return self.kind == "patches"

    @property
    def sections(self) -> dict[str, Any]:
        """What a recipe says of it."""
        room = "patch" if self.trains else "direct"
        objective = {"objective": {"name": self.objective}} if self.objective else {}
        return {"method": self.method, room: dict(self.options), **objective}

    def same_as(self, objective: str) -> str:
        """What two specs that name one thing have in common, where its objective is this one."""
        return json.dumps([self.method, objective, self.options], sort_keys=True, default=str)


def spec(name: str, grid: Mapping[str, Mapping[str, Any]]) -> MethodSpec:
    """The spec of that name: an entry of the grid, or what the name says. Raises LuthierError."""
    if name in grid:
        return _entry(name, grid[name])
    method, _, objective = "/".join(catalog.ALIASES.get(name, (name,))).partition("/")
    found = catalog.find(method, "direct", "patches")
    if "/" in name and found.kind == "direct":
        raise LuthierError(f"{name}: {method} is a direct method: it trains by no objective")
    if objective or "/" in name:
        objective = catalog.find(objective, "objectives").name
    return MethodSpec(name, found.name, objective)


def _entry(name: str, given: Mapping[str, Any]) -> MethodSpec:
    room = "patch" if "patch" in given else "direct"
    return MethodSpec(name, str(given[room]), str(given.get("objective") or ""), dict(given.get("options") or {}))


def check_grid(grid: Mapping[Any, Any], where: str) -> dict[str, dict[str, Any]]:
    """The entries, each checked against its method's own options. Raises LuthierError naming entry and key."""
    from luthier.io.config import build

    if not isinstance(grid, Mapping) or not grid:
        raise LuthierError(f"{where}: a table of names, such as `lora-r64: {{patch: lora, options: {{rank: 64}}}}`")
    out = {}
    known = catalog.methods()
    for key, given in grid.items():
        name, at = str(key), f"{where}: {key}"
        if name in known or name in (*catalog.ALIASES, *catalog.FAMILIES):
            raise LuthierError(f"{at}: that is a method; its entry needs a name of its own, such as my-{name}")
        if not NAME.fullmatch(name):
            raise LuthierError(f"{at}: a name of its own, of letters, digits, dots, dashes and underscores")
        if not isinstance(given, Mapping) or ("patch" in given) == ("direct" in given):
            raise LuthierError(f"{at}: a table with patch or direct, and with options and objective if need be")
        for part in given:
            if part not in KEYS:
                raise LuthierError(f"{at}: unknown key {part}{catalog.suggest(str(part), KEYS)}")
        made = _entry(name, given)
        room = "patches" if "patch" in given else "direct"
        entry = catalog.find(made.method, room)  # type: ignore[arg-type]
        if made.objective:
            if room == "direct":
                raise LuthierError(f"{at}: {made.method} is a direct method: it trains by no objective")
            catalog.find(made.objective, "objectives")
        build(catalog.load(entry), made.options, f"{at}.options")
        out[name] = {key: dict(value) if isinstance(value, Mapping) else value for key, value in given.items()}
    return out


def read_grid(path: Path) -> dict[str, dict[str, Any]]:
    """A file of methods. Raises LuthierError naming file, entry and key."""
    try:
        found = from_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise LuthierError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise LuthierError(f"{path}: not a YAML file: {error}") from None
    return check_grid(found, str(path))


def check_distinct(specs: Iterable[tuple[MethodSpec, str]]) -> None:
    """Refuse two specs that are one thing. specs: each with the objective that it comes to on this task."""
    seen: dict[str, str] = {}
    for found, objective in specs:
        key = found.same_as(objective)
        if key in seen:
            raise LuthierError(f"{seen[key]} and {found.name} are the same method here: leave one of them out")
        seen[key] = found.name
