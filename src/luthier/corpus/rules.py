"""Rules over columns: which documents are dropped, which paragraphs, lines or sentences of them are cut.

    rules:
      - {name: too_short, signal: words, least: 50}
      - {name: cookies, at: line, signal: policy, most: 0, do: cut}
      - include: gopher                               # those of a preset

A rule keeps what has its signal within least and most, bounds included, or among `among` where that is text. Rules are
taken in their order, and the first that fits is the reason that is told. Neighbours at the same level see the same
text; behind rules that cut, signals are those of what is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from luthier.core.errors import LuthierError
from luthier.corpus.signals import Signal, find
from luthier.io.config import build
from luthier.io.files import read_yaml
from luthier.io.places import place

PRESETS = Path(__file__).parent / "presets"
Level = Literal["document", "paragraph", "line", "sentence"]


@dataclass(frozen=True)
class Rule:
    """name: the reason that is told. signal: what it looks at. at: of what that is a value.

    least, most: what is kept. among: texts that are kept. do: drop the document, or cut the piece.
    """

    name: str
    signal: str
    at: Level = "document"
    least: float | None = None
    most: float | None = None
    among: tuple[str, ...] = ()
    do: Literal["drop", "cut"] = "drop"

    def __post_init__(self) -> None:
        if self.least is None and self.most is None and not self.among:
            raise LuthierError(f"rule {self.name}: says nothing; give least, most or among")
        if self.do == "cut" and self.at == "document":
            raise LuthierError(f"rule {self.name}: a document cannot be cut; name `at: line`, or `do: drop`")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise LuthierError(
                f"rule {self.name}: least {self.least:g} is above most {self.most:g}: nothing would stay"
            )
        find(self.at, self.signal)

    @property
    def column(self) -> Signal:
        """The signal."""
        return find(self.at, self.signal)

    def breaks(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Where a column leaves the bounds; what is no number does."""
        if self.among:
            return ~np.isin(values, self.among)
        kept = np.ones(len(values), np.bool_)
        if self.least is not None:
            kept &= values >= self.least
        if self.most is not None:
            kept &= values <= self.most
        return ~kept


@dataclass(frozen=True)
class RuleSet:
    """about: what it is for. languages: those it is the default of. rules: in their order."""

    about: str
    languages: tuple[str, ...]
    rules: tuple[Rule, ...]

    @property
    def passes(self) -> list[tuple[str, tuple[Rule, ...]]]:
        """Neighbours at the same level, with the level."""
        return [(level, tuple(group)) for level, group in groupby(self.rules, lambda rule: rule.at)]


def presets() -> dict[str, Path]:
    """Files of the presets by name."""
    return {path.stem: path for path in sorted(PRESETS.glob("*.yaml"))}


def preset(name: str) -> RuleSet:
    """A preset by its name, or the rules of a file. Raises LuthierError."""
    path = presets().get(name) or place(name)
    if not path.is_file():
        raise LuthierError(f"rules: {name} is neither a file nor one of {', '.join(presets())}")
    return rule_set(read_yaml(path), str(path))


def rule_set(given: Any, where: str) -> RuleSet:
    """Rules as a table or a list. Raises LuthierError with the place of what is wrong."""
    table = given if isinstance(given, Mapping) else {"rules": given}
    if extra := set(table) - {"about", "languages", "rules"}:
        raise LuthierError(f"{where}: no key {sorted(extra)[0]}: about, languages, rules")
    entries = table.get("rules")
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise LuthierError(f"{where}: rules: a list of rules, such as {{name: short, signal: words, least: 50}}")
    rules: list[Rule] = []
    for at, entry in enumerate(entries, 1):
        rules += _read(entry, f"{where}: rules, {at}")
    if len({rule.name for rule in rules}) < len(rules):
        names = [rule.name for rule in rules]
        raise LuthierError(f"{where}: two rules are called {next(n for n in names if names.count(n) > 1)}")
    return RuleSet(str(table.get("about", "")), tuple(table.get("languages", ())), tuple(rules))


def _read(entry: Any, where: str) -> list[Rule]:
    """One rule, or those of a preset that is included, some of them changed or left out."""
    if not isinstance(entry, Mapping):
        raise LuthierError(f"{where}: a table, such as {{name: short, signal: words, least: 50}}")
    if "include" not in entry:
        try:
            return [build(Rule, {"among": (), **entry}, "")]
        except LuthierError as error:
            raise LuthierError(f"{where}: {error}") from None
    if extra := set(entry) - {"include", "without", "change"}:
        raise LuthierError(f"{where}: no key {sorted(extra)[0]}: include, without, change")
    found = preset(str(entry["include"])).rules
    left, changes = set(entry.get("without", ())), dict(entry.get("change", {}))
    for name in sorted({*left, *changes} - {rule.name for rule in found}):
        raise LuthierError(f"{where}: {entry['include']} has no rule {name}")
    return [replace(rule, **changes.get(rule.name, {})) for rule in found if rule.name not in left]


def default_for(language: str) -> str:
    """The preset of a language; English's where no other claims it."""
    for name in presets():
        if language in preset(name).languages:
            return name
    return "fineweb"
