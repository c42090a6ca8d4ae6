"""Documents judged by rules, each by those of its language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from luthier.core.errors import LuthierError
from luthier.corpus.arrays import Arrays
from luthier.corpus.outcome import Outcome, parted
from luthier.corpus.rules import Rule, RuleSet, default_for, preset, presets, rule_set
from luthier.corpus.stage import Known, Looking
from luthier.corpus.texts import Texts, batches

if TYPE_CHECKING:
    import pyarrow as pa


CODE = "code"  # in place of a language


@dataclass(frozen=True)
class Filter(Looking):
    """by_language: the rules of documents in a language, "" for all others. code: those of source code, where they are
    others."""

    name: ClassVar[str] = "filter"
    may_be_paths: ClassVar[tuple[str, ...]] = ("rules",)

    by_language: Mapping[str, RuleSet] = field(default_factory=dict)
    code: RuleSet | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Filter:
        """From {rules: NAME, FILE or a list}, or {rules: {zh: chinese, code: code, "": fineweb}}; presets by language
        where none is given. Raises LuthierError."""
        if extra := set(options) - {"rules"}:
            raise LuthierError(f"no option {sorted(extra)[0]}: rules")
        rules = options.get("rules")
        if rules is None:
            claimed = {language for name in presets() for language in preset(name).languages}
            by_language = {language: preset(default_for(language)) for language in sorted({"", *claimed})}
            return cls(by_language, preset("code"))
        if isinstance(rules, Mapping):
            given = {str(kind): _rules(one) for kind, one in rules.items()}
            code = given.pop(CODE, None)
            return cls({"": preset(default_for("")), **given}, code)
        return cls({"": _rules(rules)})

    @property
    def looks(self) -> Mapping[str, Any]:
        """Of each kind of documents the signals that are kept, whatever their bounds are."""
        return {
            "languages": {kind: sorted(_names(rules)) for kind, rules in self.by_language.items()},
            "code": sorted(_names(self.code)) if self.code else None,
        }

    def look(self, table: pa.Table) -> Arrays:
        """Signals of the documents as they are, and of the pieces that are cut first."""
        found: dict[str, NDArray[Any]] = {}
        for kind, places in self._kinds(table):
            for number, columns in enumerate(_columns(table, places)):
                for rule in first_rules(self._for(kind)):
                    columns.of(rule)
                found |= {f"{kind}/{number}/{name}": values for name, values in columns.known.items()}
        return found

    def apply(self, table: pa.Table, known: Known) -> Outcome:
        import pyarrow as pa

        found = Judged.nothing(table["text"])
        for kind, places in self._kinds(table):
            names, at = _names(self._for(kind)), 0
            for number, columns in enumerate(_columns(table, places)):
                columns.known = {name: known.looked[f"{kind}/{number}/{name}"] for name in names}
                found.put(places[at : at + len(columns)], _judge(self._for(kind), columns))
                at += len(columns)
        emptied = (found.texts == "") & (found.cut != "") & (found.reason == "")
        found.reason[emptied], found.detail[emptied] = found.cut[emptied], "nothing else in it"
        gone = found.reason != ""
        now = pa.array(found.texts, pa.large_string())
        return parted(table, gone, found.reason[gone].tolist(), found.detail[gone].tolist(), now, found.cut.tolist())

    def _for(self, kind: str) -> RuleSet:
        return self.code if kind == CODE and self.code else self.by_language[kind]

    def _kinds(self, table: pa.Table) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Whose rules documents are judged by, with their places."""
        import pyarrow.compute as pc

        spoken = np.array(table["language"].to_pylist(), object)
        chosen = np.where(np.isin(spoken, list(self.by_language)), spoken, "")
        if self.code:
            chosen[np.array(pc.starts_with(table["kind"], "code"), np.bool_)] = CODE
        for kind in sorted(set(chosen)):
            yield kind, np.flatnonzero(chosen == kind)


class Columns:
    """Signals of a batch of texts, each computed once. known: by level and name, with a dot between."""

    def __init__(self, column: pa.Array | pa.ChunkedArray) -> None:
        import pyarrow.compute as pc

        self.column = pc.fill_null(column, "")
        self.known: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self.column)

    @cached_property
    def texts(self) -> Texts:
        """The texts, taken apart only where something has to be computed or cut."""
        return Texts(self.column)

    def of(self, rule: Rule) -> NDArray[Any]:
        """The column that a rule looks at."""
        key = f"{rule.at}.{rule.signal}"
        if key not in self.known:
            pieces = () if rule.at == "document" else (self.texts.of(rule.at),)
            values = np.asarray(rule.column.compute(self.texts, *pieces))
            self.known[key] = values.astype(str) if values.dtype == object else values  # a file holds no objects
        return self.known[key]


def first_rules(rules: RuleSet) -> list[Rule]:
    """Those that see the text as it is: up to the first that cut it."""
    out: list[Rule] = []
    for _, group in rules.passes:
        out += group
        if any(rule.do == "cut" for rule in group):
            break
    return out


def _names(rules: RuleSet) -> set[str]:
    return {f"{rule.at}.{rule.signal}" for rule in first_rules(rules)}


def _columns(table: pa.Table, places: NDArray[np.int64]) -> Iterator[Columns]:
    """Some of the documents, in batches."""
    import pyarrow as pa

    return map(Columns, batches(table["text"].take(pa.array(places))))


def _rules(given: Any) -> RuleSet:
    return preset(given) if isinstance(given, str) else rule_set(given, "rules")


@dataclass
class Judged:
    """Of some texts: as they are now; why each is dropped, "" where it is not, with the value; what cut each first."""

    texts: NDArray[Any]
    reason: NDArray[Any]
    detail: NDArray[Any]
    cut: NDArray[Any]

    @staticmethod
    def nothing(texts: pa.ChunkedArray) -> Judged:
        """Nothing has been found of them."""
        empty = [np.full(len(texts), "", object) for _ in range(3)]
        return Judged(texts.to_numpy(), *empty)

    def put(self, places: NDArray[np.int64], part: Judged) -> None:
        """Take over what was found of some."""
        for name in ("texts", "reason", "detail", "cut"):
            getattr(self, name)[places] = getattr(part, name)


def judge(rules: RuleSet, column: pa.ChunkedArray) -> Judged:
    """What rules find of each text."""
    found = Judged.nothing(column)
    at = 0
    for batch in batches(column):
        found.put(np.arange(at, at + len(batch)), _judge(rules, Columns(batch)))
        at += len(batch)
    return found


def _judge(rules: RuleSet, columns: Columns) -> Judged:
    count = len(columns)
    reason, detail, cut = (np.full(count, "", object) for _ in range(3))
    for level, group in rules.passes:
        if level == "document":
            for rule in group:
                values = columns.of(rule)
                _drop(rule, rule.breaks(values), values, reason, detail)
            continue
        pieces = columns.texts.of(level)
        gone = np.zeros(len(pieces.starts), np.bool_)
        for rule in group:
            values = columns.of(rule)
            hit = rule.breaks(values) & ~gone & (pieces.sizes > 0)
            owners = pieces.owners
            if rule.do == "drop":
                broken = np.zeros(count, np.bool_)
                broken[owners[hit]] = True
                _drop(rule, broken, _first(values, owners, hit, count), reason, detail)
            else:
                gone |= hit
                fresh = np.unique(owners[hit])
                cut[fresh[cut[fresh] == ""]] = rule.name
        if gone.any():
            columns = Columns(columns.texts.without(pieces, gone))
    return Judged(columns.column.to_numpy(zero_copy_only=False), reason, detail, cut)


def _drop(rule: Rule, broken: NDArray[np.bool_], values: Any, reason: Any, detail: Any) -> None:
    """Note why texts are dropped, where no rule before did."""
    fresh = broken & (reason == "")
    reason[fresh] = rule.name
    detail[fresh] = [f"{rule.signal} {value:.4g}" if not isinstance(value, str) else value for value in values[fresh]]


def _first(values: NDArray[Any], owners: NDArray[np.int64], hit: NDArray[np.bool_], count: int) -> NDArray[Any]:
    """The value of each text's first piece that was hit."""
    out = np.zeros(count, values.dtype)
    places = np.flatnonzero(hit)[::-1]
    out[owners[places]] = values[places]
    return out


STAGE = Filter
