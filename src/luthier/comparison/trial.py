"""One method of a comparison: the search for its learning rate, then one final run a seed, scored on the test rows.

Every finished piece is a file, so that a killed comparison goes on where it was:
    trials/METHOD/search/LR/result.json
    trials/METHOD/search/whole/LR/result.json    a final run that went wrong, and gave way to a lower rate
    trials/METHOD/seed-K/                a run folder; eval.json last
    trials/METHOD/outcome.json

(`trial_list` says where a trial on one of several models, or on fewer rows, lies.)
"""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from luthier.comparison.execution.locks import share
from luthier.comparison.learning_rate_search import (
    JUDGED,
    Tried,
    beyond,
    chosen,
    doubts,
    lower,
    settled,
    went_wrong,
)
from luthier.comparison.plan import Plan
from luthier.comparison.planning import FEWEST
from luthier.comparison.trial_list import Trial
from luthier.comparison.written import AgainstUntuned
from luthier.core import catalog
from luthier.core.errors import Diverged, Refused
from luthier.core.lm import WordedLM
from luthier.core.methods import Method, Patch
from luthier.core.phrases import say
from luthier.core.progress import Report
from luthier.core.split import Split
from luthier.data.task import first_rows
from luthier.evals.constant import constant
from luthier.evals.task import evaluate
from luthier.io import config
from luthier.io.files import read_json, read_record, write_json
from luthier.models.base import TrainableLM
from luthier.models.limit import within
from luthier.models.loading.bundled import cache_dir
from luthier.models.loading.of_recipe import trainable
from luthier.models.machine import Clock
from luthier.runs.run import Outcome, adapted, objective_of, refuse_remote
from luthier.runs.session import Session
from luthier.training.attach import refusal
from luthier.training.context import Context

Tell = Callable[[str, Report | None], None]


def _with_rows(tell: Tell, rows: int, title: str, report: Report | None) -> None:
    tell(f"{rows} training rows, {title}", report)


def tried(result: Path) -> Tried:
    """What a short run with a learning rate came to, on validation rows."""
    kept = read_record(result, "learning_rate", "validation_loss")
    scores, steps = tuple(kept.get("validation_scores", ())), int(kept.get("steps", 0))
    loss = kept["validation_loss"]
    return Tried(float(kept["learning_rate"]), math.inf if loss is None else float(loss), scores, steps)


def _tried_in(folder: Path) -> dict[float, Tried]:
    """What was tried below a folder, by rate."""
    return {found.rate: found for found in map(tried, sorted(folder.glob("*/result.json")))}


def _keep(found: Tried, place: Path, tokens: int, clock: Clock) -> None:
    """Write what a rate came to, with what that took."""
    kept: dict[str, Any] = {"learning_rate": found.rate, "tokens": tokens, "steps": found.steps}
    loss = found.loss if math.isfinite(found.loss) else None
    kept |= {"validation_loss": loss, "validation_scores": list(found.per_row), **clock.read()}
    write_json(place / "result.json", kept)


class _GaveWay(Exception):  # noqa: N818 -- an outcome, not an error
    """A final run that does not stay."""

    def __init__(self, tried: Tried) -> None:
        super().__init__(tried.rate)
        self.tried = tried


@dataclass
class Bench:
    """What all trials of a worker share: the base (loaded once), the data, the plan and where results go."""

    lm: WordedLM
    data: Split
    plan: Plan
    folder: Path
    tell: Tell

    def run(self, trial: Trial) -> None:
        """Everything that is left to do for a trial; raises Refused where it cannot be."""
        seeds = self.share(trial, wait=True)
        write_json(trial.folder(self.folder) / "outcome.json", {"status": "ok", "seeds": seeds})

    def share(self, trial: Trial, wait: bool, stop: Callable[[], bool] = bool) -> int:
        """Do what of a trial no other worker is at, and wait for the rest or not; nothing more once `stop` says so.

        Gives the number of its seeds.
        """
        if trial.rows:
            return self._on_rows(trial).share(replace(trial, rows=None), wait, stop)
        place = trial.folder(self.folder)
        cls = self._class(trial)
        seeds = self.plan.request.seeds if cls.seeded else 1
        searches = self._searches(trial)
        done = share(searches, wait, stop)
        more = self._beyond(trial, searches) if done else {}
        if done and share(more, wait, stop):
            rate = settled(list(map(tried, searches)), list(map(tried, more))) if searches else None
            first = place / "seed-0" / "eval.json"
            if share({first: partial(self._first, trial, rate)}, wait, stop):
                rate = read_json(first)["learning_rate"] if searches else None
                runs = [
                    (place / f"seed-{k}" / "eval.json", partial(self._final, trial, k, rate)) for k in range(1, seeds)
                ]
                share(dict(runs), wait, stop)
        return seeds

    def _class(self, trial: Trial) -> type[Method]:
        """The class of a trial's method."""
        name = self.plan.request.spec(trial.method).method
        return catalog.load(catalog.find(name, "direct", "patches"))

    def _on_rows(self, trial: Trial) -> Bench:
        """The same bench with the first training rows only; refuses what would only repeat another trial."""
        assert trial.rows
        if not self._class(trial).learns:
            raise Refused(say("said_refused_rows"))
        if trial.rows >= len(self.data.train):
            raise Refused(say("said_refused_all_rows", rows=len(self.data.train)))
        plan = self.plan.on_rows(trial.rows, len(self.data.train))
        tell = partial(_with_rows, self.tell, trial.rows)
        return replace(self, data=first_rows(self.data, trial.rows), plan=plan, tell=tell)

    def _searches(self, trial: Trial) -> dict[Path, Callable[[], None]]:
        """A short run of its own for every learning rate of the method's range, by the file of its result."""
        recipe = self.plan.recipe(trial.method, 0, 1, None)
        method = config.options(recipe)
        refuse_remote(self.lm, method)
        if not isinstance(method, Patch):
            return {}
        objective = objective_of(recipe, method, self.data, self.lm)
        if reason := refusal(Context(self.lm, self.data), method, objective):
            raise Refused(reason)
        cost = objective.step_cost(trainable(self.lm), self.data, self.plan.request.batch)
        if cost and cost > self.plan.tokens:
            raise Refused(say("said_refused_rollout", tokens=self.plan.tokens, cost=round(cost)))
        steps = self.plan.short_steps(len(method.learning_rates), cost)
        if steps is not None and steps < FEWEST:
            return {}  # a loss after so few steps falls with the rate, whatever the rate
        return {result: do for r in method.learning_rates for result, do in self._search(trial, r).items()}

    def _beyond(self, trial: Trial, searches: Mapping[Path, object]) -> dict[Path, Callable[[], None]]:
        """One more short run, where the best of the range is its first or last."""
        further = beyond(list(map(tried, searches))) if searches else None
        return self._search(trial, further) if further else {}

    def _search(self, trial: Trial, rate: float) -> dict[Path, Callable[[], None]]:
        return {
            trial.folder(self.folder) / "search" / f"{rate:g}" / "result.json": partial(self._search_one, trial, rate)
        }

    def _search_one(self, trial: Trial, rate: float) -> None:
        place = trial.folder(self.folder) / "search" / f"{rate:g}"
        known = config.options(self.plan.recipe(trial.method, 0, 1, None)).learning_rates
        tokens = self.plan.search_tokens // (len(known) + 1)  # one may be looked at beyond them
        recipe = self.plan.recipe(trial.method, 0, tokens, rate)
        data = replace(self.data, test=())
        title = f"{trial.method}: learning rate {rate:g}"
        clock = Clock()
        found = Tried(rate, math.inf)
        told = partial(self.tell, title)
        # too high a rate is a result of the search, not an end of it
        with suppress(Diverged), adapted(self.lm, recipe, data, place, cache_dir(), told) as outcome:
            found = self._judged(outcome, rate)
        shutil.rmtree(place / "checkpoint", ignore_errors=True)
        _keep(found, place, tokens, clock)

    def _judged(self, outcome: Outcome, rate: float) -> Tried:
        """What a run came to on validation rows."""
        loop, lm, data = outcome.loop, outcome.lm, replace(self.data, test=())
        assert loop is not None and isinstance(lm, TrainableLM)
        rows = data.validation[:JUDGED]
        loss = loop.validate(rows)
        scores = evaluate(lm, data, rows).per_row if data.task == "classification" else []
        return Tried(rate, loss if math.isfinite(loss) else math.inf, tuple(scores), loop.done.steps)

    def _first(self, trial: Trial, rate: float | None) -> None:
        """The final run of the first seed, which the others take their rate from.

        Where it goes wrong the next lower rate is tried, and kept if it is the better of the two.
        """
        place = trial.folder(self.folder) / "search"
        short = _tried_in(place)
        less = lower(list(short.values()), rate) if rate else None
        if rate is None or less is None:
            self._final(trial, 0, rate)
            return
        if rate not in _tried_in(place / "whole") and self._final(
            trial, 0, rate, lambda whole: not went_wrong(whole, short[rate])
        ):
            return
        whole = _tried_in(place / "whole")
        first = whole[rate]
        if less in whole or not self._final(trial, 0, less, lambda second: chosen([first, second]) == less):
            self._final(trial, 0, rate)

    def _final(self, trial: Trial, seed: int, rate: float | None, keeps: Callable[[Tried], bool] | None = None) -> bool:
        """A final run. keeps: whether it stays, by its validation rows; else it is kept as tried. Gives whether."""
        place = trial.folder(self.folder) / f"seed-{seed}"
        title = f"{trial.method}: seed {seed}"
        self.tell(title, None)
        session = Session(
            self.lm, self.plan.recipe(trial.method, seed, self.plan.tokens, rate), self.data, place, cache_dir(),
            self.plan.base_loss, partial(self.tell, title), lambda what: self.tell(f"{title}, {what}", None),
            f"{trial.place}/seed-{seed}", self.folder,
        )  # fmt: skip
        clock, judging = Clock(), Counter[str]()

        def judge(outcome: Outcome) -> None:
            start = Clock()
            found = self._judged(outcome, rate or 0.0)
            judging.update(start.read())
            if keeps and not keeps(found):
                raise _GaveWay(found)

        def searched(outcome: Outcome, _: Mapping[str, Any]) -> dict[str, Any]:
            notes = self._doubts(place.parent) if outcome.trained else []
            written = {} if seed else self._against_untuned.of(outcome)
            notes += self._against_untuned.notes(trial.method)
            return {**self._searched(place.parent, judging), **written, "notes": notes}

        try:
            # how long an answer takes is measured last of all: see `execution.quiet_latency`
            session.finish(searched, judge if keeps else None)
        except (_GaveWay, Diverged) as error:
            if not keeps or not rate:
                raise
            shutil.rmtree(place, ignore_errors=True)  # first of all: a checkpoint that stays would be another rate's
            found = error.tried if isinstance(error, _GaveWay) else Tried(rate, math.inf)
            _keep(found, place.parent / "search" / "whole" / f"{rate:g}", self.plan.tokens, clock)
            return False
        return True

    def _searched(self, place: Path, judging: Mapping[str, float]) -> dict[str, float]:
        """Seconds that the search for a learning rate took; nothing where there was none."""
        found = [read_json(result) for result in sorted(place.glob("search/**/result.json"))]
        times = {name: [f[name] for f in found if name in f] for name in ("seconds", "cpu_seconds")}
        whole = {name: sum(each) + judging.get(name, 0.0) for name, each in times.items() if len(each) == len(found)}
        return {f"search_{name}": each for name, each in whole.items() if found}

    def _doubts(self, place: Path) -> list[str]:
        """What makes the search for a learning rate of little worth, or that there was none."""
        searched = list(_tried_in(place / "search").values())
        if not searched:
            return [say("said_rate_none")]
        judged = [t for t in searched if t.per_row]
        gave_way = [f"{rate:g}" for rate in _tried_in(place / "search" / "whole")]
        told = [say("said_rate_gave_way", rate=rate) for rate in gave_way]
        return [*told, *doubts(searched, self._nothing if judged else {})]

    @cached_property
    def _against_untuned(self) -> AgainstUntuned:
        return AgainstUntuned(self.lm, self.data, self.plan.request, self.folder, self.tell)

    @cached_property
    def _nothing(self) -> dict[str, list[float]]:
        """Scores of what has learned nothing on the validation rows that judge learning rates, see `rates.doubts`."""
        data, rows = replace(self.data, test=()), self.data.validation[:JUDGED]
        found = {}
        if not self.lm.mute(data.labels):
            lm = within(self.lm, self.plan.request.max_length)
            untuned = lm.asked(template=lm.wordings(data.labels)[0], labels=data.labels)
            found["said_rate_untuned"] = evaluate(untuned, data, rows).per_row
        if common := constant(data):
            found["said_rate_common"] = evaluate(common, data, rows).per_row
        return found
