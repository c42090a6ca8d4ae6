"""Recipes of Data-Juicer as pipelines of ours: what maps, what maps nearly, and what does not is said of each operator.

Operators next to each other that are rules become one `filter`. Names and defaults as of Data-Juicer 1.4 (its docs,
"Operator Schemas"; Chen et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.corpus.recipe import Pipeline, stage_of
from luthier.corpus.stage import Stage
from luthier.io.files import read_yaml
from luthier.io.places import place

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Mapped:
    """An operator as stages of ours. stages: entries of a recipe; rules: those of a filter. near: how it differs, ""

    where it does the same.
    """

    stages: Sequence[Any] = ()
    rules: Sequence[Mapping[str, Any]] = ()
    near: str = ""


@dataclass(frozen=True)
class Read:
    """A recipe. told: of each operator that is not the same here a sentence; left: operators that are left out."""

    pipeline: Pipeline
    told: tuple[str, ...] = ()
    left: tuple[str, ...] = field(default=())


def _bounds(low: str, high: str, least: float, most: float | None = None) -> Callable[[Options], dict[str, float]]:
    """Bounds under our names; of Data-Juicer's defaults those that exclude nothing are left out."""

    def found(given: Options) -> dict[str, float]:
        out = {"least": given.get(low, least), "most": given.get(high, most)}
        for name, value in out.items():
            if value is not None and not isinstance(value, int | float):
                raise LuthierError(f"{low if name == 'least' else high}: {value} is no number")
        return {name: value for name, value in out.items() if value is not None and abs(value) < 1 << 60}

    return found


_LENGTH, _RATIO = _bounds("min_len", "max_len", 10), _bounds("min_ratio", "max_ratio", 0.25)


def _rule(signal: str, bounds: Callable[[Options], dict[str, float]], near: str = "") -> Callable[[Options], Mapped]:
    return lambda given: Mapped(rules=[{"name": signal, "signal": signal, **bounds(given)}], near=near)


def _language(given: Options) -> Mapped:
    wanted = given.get("lang") or []
    keep = [wanted] if isinstance(wanted, str) else list(wanted)
    return Mapped([{"language": {"keep": keep, "least": given.get("min_score", 0.8)}}])


def _alphanumeric(given: Options) -> Mapped:
    near = "counts characters, not a model's tokens" if given.get("tokenization") else ""
    return _rule("alphanumeric_share", _RATIO, near)(given)


def _repetition(given: Options) -> Mapped:
    length = given.get("rep_len", 10)
    near = "" if length == 3 else f"counts runs of 3 characters, not of {length}"
    return _rule("character_repetition", _bounds("min_ratio", "max_ratio", 0.0, 0.5), near)(given)


def _exact(given: Options) -> Mapped:
    changed = [name for name in ("lowercase", "ignore_non_character") if given.get(name)]
    return Mapped(["exact"], near=f"compares texts as they are, without {' and '.join(changed)}" if changed else "")


def _near(given: Options) -> Mapped:
    bands, rows = given.get("num_bands"), given.get("num_rows_per_band")
    options: dict[str, Any] = {"ngram": given.get("window_size", 5)}
    if bands and rows:
        options |= {"hashes": bands * rows, "bands": bands}
    near = (
        "" if bands and rows else f"14 bands of 8 hashes (about 0.72) for its {given.get('jaccard_threshold', 0.7):g}"
    )
    return Mapped([{"near": options}], near=near or "cuts words as Luthier does")


def _private(kind: str) -> Callable[[Options], Mapped]:
    return lambda given: Mapped([{"privacy": {"kinds": [kind]}}], near=f"writes [{kind}_1] in its place")


OPERATORS: Mapping[str, Callable[[Options], Mapped]] = {
    "language_id_score_filter": _language,
    "text_length_filter": _rule("characters", _LENGTH),
    "words_num_filter": _rule("words", _bounds("min_num", "max_num", 10), "cuts words as Luthier does"),
    "alphanumeric_filter": _alphanumeric,
    "average_line_length_filter": _rule("mean_line_length", _LENGTH),
    "maximum_line_length_filter": _rule("longest_line", _LENGTH),
    "character_repetition_filter": _repetition,
    "special_characters_filter": _rule("special_share", _bounds("min_ratio", "max_ratio", 0.0, 0.25),
                                       "takes everything for special that is neither letter nor digit nor space"),
    "document_deduplicator": _exact,
    "document_minhash_deduplicator": _near,
    "ray_document_deduplicator": _exact,
    "ray_bts_minhash_deduplicator": _near,
    "document_line_deduplicator": lambda given: Mapped(["sentences"], near="cuts sentences, not lines"),
    "remove_repeat_sentences_mapper": lambda given: Mapped([{"filter": {"rules": "within"}}], near="rules `within`"),
    "clean_email_mapper": _private("EMAIL"),
    "clean_ip_mapper": _private("IP"),
    "clean_html_mapper": lambda given: Mapped([{"keywords": {"lists": ["html"]}}], near="cuts lines with tags"),
}  # fmt: skip


def read(path: Path) -> Read:
    """A recipe's file; its data is relative to it. Raises LuthierError with the place of what is wrong."""
    found = read_yaml(path)
    if not isinstance(found, Mapping) or not isinstance(found.get("process"), list) or not found.get("dataset_path"):
        raise LuthierError(f"{path}: a recipe of Data-Juicer has `dataset_path` and `process`, a list of operators")
    told, left, entries = [], [], list[Any]()
    for number, entry in enumerate(found["process"], 1):
        name, given = _named(entry, f"{path}: process, {number}")
        if name not in OPERATORS:
            left.append(name)
            continue
        try:
            mapped = OPERATORS[name](given)
        except LuthierError as error:
            raise LuthierError(f"{path}: process, {number}: {name}: {error}") from None
        if mapped.near:
            told.append(f"{name}: nearly: {mapped.near}")
        entries = _with(entries, mapped)
    if not entries:
        raise LuthierError(f"{path}: none of its operators is known here: {', '.join(left)}")
    stages = tuple(_stage(entry, path) for entry in entries)
    source = place(str(found["dataset_path"]), path.parent)
    return Read(Pipeline((source,), stages), tuple(told), tuple(left))


def _named(entry: Any, where: str) -> tuple[str, Options]:
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, given),) = entry.items()
        if given is None or isinstance(given, Mapping):
            return str(name), given or {}
    raise LuthierError(f"{where}: an operator by its name, with its options: `- text_length_filter: {{min_len: 10}}`")


def _with(entries: list[Any], mapped: Mapped) -> list[Any]:
    """The entries with an operator's behind them; rules join those of a filter right before."""
    if not mapped.rules:
        return [*entries, *mapped.stages]
    if entries and isinstance(entries[-1], dict) and "own rules" in entries[-1]:
        return [*entries[:-1], {"own rules": [*entries[-1]["own rules"], *mapped.rules]}]
    return [*entries, {"own rules": list(mapped.rules)}]


def _stage(entry: Any, path: Path) -> Stage:
    if isinstance(entry, dict) and "own rules" in entry:
        names: dict[str, int] = {}
        rules = []
        for rule in entry["own rules"]:
            names[rule["name"]] = names.get(rule["name"], 0) + 1
            again = names[rule["name"]]
            rules.append(rule if again == 1 else {**rule, "name": f"{rule['name']}_{again}"})
        entry = {"filter": {"rules": rules}}
    return stage_of(entry, str(path), path.parent)
