"""Search among wordings: successive halving over training rows, rewritten from round to round, within a call budget.

Each round scores its pool on the first m rows of one random order (m grows, and what was paid for counts), keeps the
better half, and has its best rewritten; late comers are scored on the same rows, so every round compares in pairs. A
model call is a row scored or a wording written. Source: Jamieson & Talwalkar 2016 (successive halving); rewriting as in
Zhou et al. 2022. Whatever the log already holds is not paid for again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.core.errors import LuthierError
from luthier.core.phrases import of_error, say
from luthier.core.split import Split
from luthier.data.prompts import Template
from luthier.data.templates.files import Bad, BrokenError, repair
from luthier.direct.wording_search.log import Event, Log
from luthier.direct.wording_search.proposer import LONGEST, Proposer, cleaned, form, instruction_of
from luthier.direct.wording_search.scorer import score, shown

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM

CHUNK = 32  # rows scored between two lines of the log
PARENTS = 3  # of the best wordings are rewritten in turn
IN_A_ROW = 3  # wordings that fail before any was scored: then it is the model, not the wording
WRITTEN = ("written", "rewritten")
SOURCES = {  # of a wording, by the text that names it
    "user": "said_source_user", "bundled": "said_source_bundled",
    "written": "said_source_written", "rewritten": "said_source_rewritten",
}  # fmt: skip
SPOKEN = 12  # characters below which a wording says too little to be said otherwise


@dataclass(frozen=True)
class Settings:
    """calls: model calls in all. rounds: of halving. write: wordings written a round. score: likelihood or metric."""

    calls: int
    rounds: int
    write: int
    score: str
    seed: int


@dataclass
class Candidate:
    """A wording in the search. values: its score on the first rows of the search's order."""

    id: int
    template: Template
    source: str
    values: list[float] = field(default_factory=list)

    def mean(self, rows: int) -> float:
        """Over the first rows."""
        return float(np.mean(self.values[:rows]))


@dataclass
class Found:
    """What a search found. rows: on which the last round was decided."""

    best: Candidate
    rows: int
    candidates: list[Candidate]
    calls: int


def fingerprint(data: Split) -> str:
    """Of what is scored: a log belongs to these rows."""
    return digest((data.task, data.labels, data.metric, data.train))


def digest(seen: object) -> str:
    """Of anything by what it shows: scores are kept by a wording's place, so a log belongs to its given wordings."""
    return hashlib.sha256(repr(seen).encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Search:
    """One search. say: told the share that is done and the best score so far."""

    def __init__(
        self, lm: WordedLM, data: Split, settings: Settings, log: Log, proposer: Proposer | None,
        say: Callable[[int, float, float], None] | None = None,
    ) -> None:  # fmt: skip
        self.lm, self.data, self.settings, self.log, self.proposer, self.say = lm, data, settings, log, proposer, say
        order = np.random.default_rng([settings.seed, 13]).permutation(len(data.train))
        self.rows = [data.train[int(i)] for i in order]
        self.candidates: list[Candidate] = []
        self._scored_any = False

    # -- candidates ----------------------------------------------------------------------------------------------

    def give(self, templates: Sequence[Template], source: str, bad: Sequence[Bad] = ()) -> None:
        """Add wordings that are there already, and say which are broken."""
        for slot, template in enumerate(templates):
            known = self.log.of("candidate", source=source, slot=slot, round=0)
            self._add(template, source, None, 0, slot, "", bool(known))
        for slot, one in enumerate(bad):
            if not self.log.of("dropped", source=source, slot=slot, round=0):
                reason = say("said_in_file", file=one.where, note=one.reason)
                self.log.add("dropped", reason=reason, text=one.text, source=source, parent=None, round=0, slot=slot)

    def _add(
        self, template: Template, source: str, parent: int | None, round_: int, slot: int, repaired: str, known: bool
    ) -> Candidate | None:
        twin = next((c for c in self.candidates if _said(c.template) == _said(template)), None)
        about: Event = {"source": source, "parent": parent, "round": round_, "slot": slot}
        if twin is not None:
            if not self.log.of("dropped", **about):
                reason = say("said_wording_same", number=twin.id)
                self.log.add("dropped", reason=reason, text=template.text, **about)
            return None
        made = Candidate(len(self.candidates), template, source)
        self.candidates.append(made)
        if not known:
            self.log.add("candidate", id=made.id, name=template.name, text=template.text, chat=template.chat,
                         replaces=template.replaces, repaired=repaired, **about)  # fmt: skip
        for event in self.log.of("scores", id=made.id):
            made.values += event["values"]
        return made

    def _write(self, round_: int, best: Sequence[Candidate]) -> list[Candidate]:
        """New wordings by the proposer; one that fails is said, and the rest of the round does without."""
        out: list[Candidate] = []
        closed = bool(self.log.of("plan", round=round_))  # a resumed round: what failed then is not tried again
        for slot in range(self.settings.write if self.proposer else 0):
            if closed and not self._known(round_, slot):
                break
            parent = best[slot % min(len(best), PARENTS)] if best else None
            try:
                made = self._written(round_, slot, parent, best)
            except LuthierError as error:
                reason = say("said_wording_failed", reason=of_error(error))
                self.log.add("failed", reason=reason, round=round_, slot=slot)
                break
            out += [made] if made else []
        return out

    def _written(self, round_: int, slot: int, parent: Candidate | None, best: Sequence[Candidate]) -> Candidate | None:
        assert self.proposer is not None
        place: Event = {"round": round_, "slot": slot}
        if event := self._known(round_, slot):
            if event["event"] == "dropped":
                return None
            template = Template(event["name"], event["text"], event["chat"], event["replaces"])
            return self._add(template, event["source"], event["parent"], round_, slot, event["repaired"], True)
        number, anew = round_ * 100 + slot, parent is None or len(instruction_of(parent.template)) < SPOKEN
        if parent is None or anew:
            text, source = self.proposer.written(number), "written"
        else:
            rows = min(len(c.values) for c in best)
            tried = [
                (instruction_of(c.template), shown(c.mean(rows), self.data, self.settings.score))
                for c in best[:PARENTS] if len(instruction_of(c.template)) >= SPOKEN
            ]  # fmt: skip
            text, source = self.proposer.rewritten(parent.template, number, tried), "rewritten"
        about: Event = {"source": source, "parent": parent.id if parent else None, **place}
        return self._accepted(text, parent, slot, about)

    def _known(self, round_: int, slot: int) -> Event | None:
        """What the log says of a wording that was written."""
        written = (e for e in self.log.events if e.get("source") in WRITTEN)
        return next((e for e in written if e["round"] == round_ and e["slot"] == slot), None)

    def _accepted(self, text: str, parent: Candidate | None, slot: int, about: Event) -> Candidate | None:
        assert self.proposer is not None
        tail, chat = form(parent.template) if parent else (None, True)
        if tail is None:
            tail, chat = self.proposer.tail(slot)
        told = cleaned(text)
        try:
            whole, repaired = repair(told, self.data.labels, tail)
            _sensible(told, whole)
        except BrokenError as error:
            self.log.add("dropped", reason=of_error(error), text=text[:500], **about)
            return None
        name = f"{about['source']} {about['round']}.{slot}"
        template = Template(name, whole, chat, self.proposer.replaces)
        return self._add(template, about["source"], about["parent"], about["round"], slot, repaired, False)

    # -- scores --------------------------------------------------------------------------------------------------

    @property
    def spent(self) -> int:
        """Model calls so far: rows scored and wordings written, good or not."""
        written = [e for e in self.log.events if e.get("source") in WRITTEN]
        return sum(len(c.values) for c in self.candidates) + len(written)

    def _plan(self, pool: Sequence[Candidate], round_: int, before: int) -> int:
        """Rows of a round, which an equal share of the calls left pays for; a round that is resumed has the same."""
        if known := self.log.of("plan", round=round_):
            return int(known[0]["rows"])
        rounds = self.settings.rounds - round_
        later = self.settings.write * (rounds - 1) if self.proposer else 0
        left = self.settings.calls - self.spent
        rows = affordable([len(c.values) for c in pool], (left - later) // rounds, len(self.rows))
        rows = max(rows, before)
        if not rows:
            raise LuthierError(
                f"direct.calls {self.settings.calls}: {len(pool)} wordings in {self.settings.rounds} rounds, "
                f"{self.settings.write} written in each, need more: give at least "
                f"{(len(pool) + self.settings.write) * self.settings.rounds}"
            )
        self.log.add("plan", round=round_, rows=rows)
        return rows

    def _scored(self, pool: Sequence[Candidate], rows: int, round_: int) -> list[Candidate]:
        """The pool with scores on the first rows, the best first; a wording that cannot be scored is said and left."""
        if done := self.log.of("round", round=round_):
            return [self.candidates[i] for i in done[0]["order"]]
        out: list[Candidate] = []
        failed, why = 0, ""
        for candidate in pool:
            try:
                self._score(candidate, rows, round_)
            except LuthierError as error:
                failed, why = failed + 1, of_error(error)
                self.log.add("failed", id=candidate.id, reason=why, round=round_)
                if failed >= IN_A_ROW and not self._scored_any:
                    break
                continue
            out.append(candidate)
        if not out:
            raise LuthierError(f"no wording could be scored: {why}")
        return sorted(out, key=lambda c: -c.mean(rows))

    def _score(self, candidate: Candidate, rows: int, round_: int) -> None:
        while (at := len(candidate.values)) < rows:
            part = self.rows[at : min(at + CHUNK, rows)]
            values = score(self.lm, candidate.template, self.data, part, self.settings.score)
            self._scored_any = True
            self.log.add("scores", id=candidate.id, at=at, values=values)
            candidate.values += values
            if self.say:
                best = max(c.mean(len(c.values)) for c in self.candidates if c.values)
                self.say(round_, min(self.spent / self.settings.calls, 1.0), best)

    def run(self) -> Found:
        """All rounds. Raises LuthierError where no wording can be scored, or the calls are too few."""
        pool = [*self.candidates, *self._write(0, ())]
        rows = 0
        for round_ in range(self.settings.rounds):
            rows = self._plan(pool, round_, rows)
            late = [c for c in pool if len(c.values) < rows]
            if round_ and sum(rows - len(c.values) for c in late) > self.settings.calls - self.spent:
                pool = [c for c in pool if c not in late] or pool  # the calls do not reach for late comers
            pool = self._scored(pool, rows, round_)
            if not self.log.of("round", round=round_):
                scores = [round(c.mean(rows), 6) for c in pool]
                self.log.add("round", round=round_, rows=rows, order=[c.id for c in pool], scores=scores,
                             calls=self.spent)  # fmt: skip
            if round_ < self.settings.rounds - 1:
                pool = pool[: (len(pool) + 1) // 2]
                pool += self._write(round_ + 1, pool)
        best = pool[0]
        if not self.log.of("best"):
            self.log.add("best", id=best.id, rows=rows, score=best.mean(rows))
        return Found(best, rows, self.candidates, self.spent)


def affordable(scored: Sequence[int], calls: int, limit: int) -> int:
    """The most rows m, `limit` at most, to which all can be brought: sum of max(0, m - scored) within `calls`."""
    rows = 0
    while rows < limit and sum(max(0, rows + 1 - n) for n in scored) <= calls:
        rows += 1
    return rows


def _said(template: Template) -> tuple[Any, ...]:
    return (" ".join(template.text.split()), template.chat, template.replaces)


def _sensible(told: str, whole: str) -> None:
    """Raises BrokenError for an instruction that says nothing or goes on and on."""
    letters = sum(c.isalpha() for c in told)
    if letters < 3 or letters * 3 < len(told):
        raise BrokenError(say("said_wording_words"))
    if len(whole) > LONGEST:
        raise BrokenError(say("said_wording_long", count=len(whole), most=LONGEST))
    words = told.split()
    if len(words) > 12 and len(set(words)) * 3 < len(words):
        raise BrokenError(say("said_wording_repeats"))
