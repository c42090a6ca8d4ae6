"""Documents judged by rules, each by those of its language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from luthier.core.errors import LuthierError
from luthier.corpus.outcome import Outcome, parted
from luthier.corpus.rules import Rule, RuleSet, default_for, preset, presets, rule_set
from luthier.corpus.stage import Arrays, Stage
from luthier.corpus.texts import Texts, batches

if TYPE_CHECKING:
    import pyarrow as pa


CODE = "code"  # in place of a language


@dataclass(frozen=True)
class Filter(Stage):
    """by_language: the rules of documents in a language, "" for all others. code: those of source code, where they are
    others."""

    name: ClassVar[str] = "filter"

    by_language: Mapping[str, RuleSet] = field(default_factory=dict)
    code: RuleSet | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Filter:
        """From {rules: NAME, FILE or a list}, or {rules: {zh: chinese, "": fineweb}}; presets by language where none is
        given. Raises LuthierError."""
        if extra := set(options) - {"rules"}:
            raise LuthierError(f"no option {sorted(extra)[0]}: rules")
        rules = options.get("rules")
        if rules is None:
            claimed = {language for name in presets() for language in preset(name).languages}
            by_language = {language: preset(default_for(language)) for language in sorted({"", *claimed})}
            return cls(by_language, preset("code"))
        if isinstance(rules, Mapping):
            return cls({"": preset(default_for("")), **{str(k): _rules(v) for k, v in rules.items()}})
        return cls({"": _rules(rules)})

    def apply(self, table: pa.Table, shard: int, gathered: Arrays) -> Outcome:
        import pyarrow as pa
        import pyarrow.compute as pc

        spoken = np.array(table["language"].to_pylist(), object)
        chosen = np.where(np.isin(spoken, list(self.by_language)), spoken, "")
        if self.code:
            chosen[np.array(pc.starts_with(table["kind"], "code"), np.bool_)] = CODE
        found = Judged.nothing(table["text"])
        for kind in sorted(set(chosen)):
            places = np.flatnonzero(chosen == kind)
            rules = self.code if kind == CODE and self.code else self.by_language[kind]
            found.put(places, judge(rules, table["text"].take(pa.array(places))))
        gone = found.reason != ""
        now = pa.array(found.texts, pa.large_string())
        return parted(table, gone, found.reason[gone].tolist(), found.detail[gone].tolist(), now, found.cut.tolist())


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
        found.put(np.arange(at, at + len(batch)), _judge(rules, batch))
        at += len(batch)
    return found


def _judge(rules: RuleSet, column: Any) -> Judged:
    texts = Texts(column)
    count = len(texts)
    reason, detail, cut = (np.full(count, "", object) for _ in range(3))
    for level, group in rules.passes:
        if level == "document":
            for rule in group:
                values = np.asarray(rule.column.compute(texts))
                _drop(rule, rule.breaks(values), values, reason, detail)
            continue
        pieces = texts.of(level)
        gone = np.zeros(len(pieces.starts), np.bool_)
        for rule in group:
            values = np.asarray(rule.column.compute(texts, pieces))
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
            texts = Texts(texts.without(pieces, gone))
    return Judged(texts.column.to_numpy(zero_copy_only=False), reason, detail, cut)


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
