"""How far quality moves when a prompt is mistyped, shouted, reordered or said otherwise: a number with an interval.

Every variant is scored on the same rows as the prompt itself, so that changes are paired; a kind of change is the mean
over its variants. The number for all is the mean over kinds. Rows are validation rows, never the test part. Source:
Zhu et al. 2023, "PromptRobust"; Sclar et al. 2024, "Quantifying Language Models' Sensitivity to Spurious Features".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from luthier.core.errors import LuthierError
from luthier.core.records import Chat, Labelled, Record
from luthier.core.split import Split
from luthier.data.prompts import Template, question_and_answer
from luthier.data.templates.files import BrokenError, repair
from luthier.direct.wording_search.proposer import Proposer, cleaned, form, instruction_of
from luthier.evals.examples import again
from luthier.prompt_search import perturb


@dataclass(frozen=True)
class Variant:
    """One changed prompt. kind: what was done. labels: their order."""

    kind: str
    template: Template
    labels: tuple[str, ...]
    rows: tuple[Record, ...]
    shown: str


def variants(
    template: Template, data: Split, rows: Sequence[Record], draws: int, seed: int, proposer: Proposer | None,
    failed: list[str],
) -> Iterator[Variant]:  # fmt: skip
    """All variants, kind by kind. failed: gets the reason where a paraphrase was not written."""
    rng = np.random.default_rng([seed, 19])
    same = tuple(rows)
    words = instruction_of(template)

    def worded(kind: str, text: str) -> Variant:
        return Variant(kind, replace(template, text=text), data.labels, same, text)

    def asked(kind: str, change: Callable[[str], str]) -> Variant:
        other = tuple(with_text(r, change, template.replaces) for r in rows)
        return Variant(kind, template, data.labels, other, question_and_answer(other[0])[0][:200])

    for _ in range(draws if words else 0):
        yield worded("typos in the wording", perturb.around_places(template.text, lambda t: perturb.typos(t, rng)))
    for _ in range(draws):
        yield asked("typos in the input", lambda t: perturb.typos(t, rng))
    for cased in _cases(template.text) if words else ():
        yield worded("case of the wording", cased)
    for way in (str.lower, str.upper):
        if any(with_text(r, way, template.replaces) != r for r in rows):
            yield asked("case of the input", way)
    if "{labels}" in template.text:
        for order in perturb.orders(data.labels, draws, rng):
            yield Variant("order of options", template, order, same, ", ".join(order))
    yield from (worded("paraphrase", t) for t in _paraphrases(template, data, proposer, draws, failed))


def _cases(text: str) -> list[str]:
    found = [perturb.around_places(text, way) for way in (str.lower, str.upper)]
    found += [t for t in perturb.cases(text) if perturb.HAN.search(text) and "{input}" in t]
    return [t for i, t in enumerate(found) if t != text and t not in found[:i]]


def _paraphrases(
    template: Template, data: Split, proposer: Proposer | None, draws: int, failed: list[str]
) -> Iterator[str]:
    """The wording said otherwise by a model, with its input where it was."""
    words = instruction_of(template)
    if proposer is None or not words:
        return
    tail = form(template)[0] or proposer.tail(0 if template.chat else 1)[0]
    for slot in range(draws):
        try:
            said = cleaned(proposer.rewritten(template, 500 + slot))
            whole, _ = repair(said, data.labels, tail)
        except BrokenError as error:
            failed.append(f"a paraphrase was dropped: {error}")
            continue
        except LuthierError as error:
            failed.append(f"no paraphrase was written: {error}")
            return
        if whole != template.text:
            yield whole


def with_text(record: Record, change: Callable[[str], str], keep: str = "") -> Record:
    """The record with what the user says last changed, but for an instruction in front of it (`keep`)."""

    def changed(text: str) -> str:
        own = text.removeprefix(keep)
        return text[: len(text) - len(own)] + change(own)

    if isinstance(record, Labelled):
        return replace(record, text=changed(record.text))
    assert isinstance(record, Chat)
    last = max(i for i, m in enumerate(record.messages) if m.role == "user")
    turns = (replace(m, content=changed(m.content)) if i == last else m for i, m in enumerate(record.messages))
    return replace(record, messages=tuple(turns))


def measure(
    lm: Any, data: Split, rows: Sequence[Record], found: Sequence[Variant], say: Callable[[int, int], None],
    failed: list[str],
) -> dict[str, Any]:  # fmt: skip
    """Scores of the prompt and of every variant. lm: worded, with its examples. failed: gets what could not be scored.

    A prompt whose labels are calibrated is calibrated anew for each variant, so that both sides are alike.
    """
    from luthier.evals.bootstrap import Bootstrap
    from luthier.evals.task import evaluate

    base = evaluate(lm, data, rows)
    say(1, len(found) + 1)
    per_row: dict[str, list[list[float]]] = {}
    tried: list[dict[str, Any]] = []
    for at, v in enumerate(found):
        try:
            scores = evaluate(_reworded(lm, v), replace(data, labels=v.labels), v.rows)
        except LuthierError as error:
            failed.append(f"{v.kind} was not scored: {error}")
            continue
        per_row.setdefault(v.kind, []).append(scores.per_row)
        tried.append({"kind": v.kind, "shown": v.shown, "score": scores.score})
        say(at + 2, len(found) + 1)
    means = {kind: np.mean(values, 0).tolist() for kind, values in per_row.items()}
    overall = {"all": [np.mean(list(means.values()), 0).tolist()]} if means else {}
    bootstrap = Bootstrap({"base": [base.per_row], **{k: [v] for k, v in means.items()}, **overall})
    changes = {name: bootstrap.difference(name, "base") for name in (*means, *overall)}
    own = bootstrap.score("base")
    return {
        "metric": base.metric, "rows": len(rows), "score": own.value, "ci95": [own.low, own.high],
        "changes": [{"kind": k, "change": c.value, "ci95": [c.low, c.high], "variants": len(per_row.get(k, means))}
                    for k, c in changes.items()],
        "tried": tried,
    }  # fmt: skip


def _reworded(lm: Any, v: Variant) -> Any:
    worded = again(lm, v.template, v.labels)
    if getattr(lm, "favoured", None) is None:
        return worded
    from luthier.evals.calibration import content_free
    from luthier.evals.with_examples import ShotsLM

    return ShotsLM(worded, content_free(worded, v.labels))
