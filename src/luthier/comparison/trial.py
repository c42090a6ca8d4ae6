"""One method of a comparison: the search for its learning rate, then one final run a seed, scored on the test rows.

Every finished piece is a file, so that a killed comparison goes on where it was:
    trials/METHOD/search/LR/result.json
    trials/METHOD/seed-K/                a run folder; eval.json last
    trials/METHOD/outcome.json

(`trial_list` says where a trial on one of several models, or on fewer rows, lies.)
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from luthier.comparison.execution.locks import share
from luthier.comparison.learning_rate_search import JUDGED, Tried, beyond, doubts, settled
from luthier.comparison.plan import Plan
from luthier.comparison.planning import FEWEST
from luthier.comparison.trial_list import Trial
from luthier.core import catalog
from luthier.core.errors import Diverged, Refused
from luthier.core.lm import WordedLM
from luthier.core.methods import Method, Patch
from luthier.core.phrases import say
from luthier.core.progress import Report
from luthier.core.records import Split
from luthier.data.task import first_rows
from luthier.evals.constant import constant
from luthier.evals.task import evaluate
from luthier.io import config
from luthier.io.files import read_json, read_record, write_json
from luthier.models.base import TrainableLM
from luthier.models.limit import within
from luthier.models.loading.bundled import cache_dir
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
            finals = {place / f"seed-{k}" / "eval.json": partial(self._final, trial, k, rate) for k in range(seeds)}
            share(finals, wait, stop)
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
        if reason := refusal(Context(self.lm, self.data), method, objective_of(recipe, method, self.data, self.lm)):
            raise Refused(reason)
        steps = self.plan.short_steps(len(method.learning_rates))
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
        loss: float | None = None
        scores: list[float] = []
        steps = 0
        try:
            with adapted(self.lm, recipe, data, place, cache_dir(), lambda r: self.tell(title, r)) as outcome:
                loss, scores = self._judged(outcome, data)
                steps = outcome.trained.steps if outcome.trained else 0
        except Diverged:
            pass  # too high a rate is a result of the search, not an end of it
        shutil.rmtree(place / "checkpoint", ignore_errors=True)
        found: dict[str, Any] = {"learning_rate": rate, "tokens": tokens, "steps": steps}
        found |= {"validation_loss": loss, "validation_scores": scores, **clock.read()}
        write_json(place / "result.json", found)

    def _judged(self, outcome: Outcome, data: Split) -> tuple[float | None, list[float]]:
        """Loss and scores of a short run on validation rows; a loss that is not finite is none."""
        loop, lm = outcome.loop, outcome.lm
        assert loop is not None and isinstance(lm, TrainableLM)
        rows = data.validation[:JUDGED]
        loss = loop.validate(rows)
        scores = evaluate(lm, data, rows).per_row if data.task == "classification" else []
        return (loss if math.isfinite(loss) else None), scores

    def _final(self, trial: Trial, seed: int, rate: float | None) -> None:
        place = trial.folder(self.folder) / f"seed-{seed}"
        title = f"{trial.method}: seed {seed}"
        self.tell(title, None)
        session = Session(
            self.lm, self.plan.recipe(trial.method, seed, self.plan.tokens, rate), self.data, place, cache_dir(),
            self.plan.base_loss, partial(self.tell, title), lambda what: self.tell(f"{title}, {what}", None),
            f"{trial.place}/seed-{seed}", self.folder,
        )  # fmt: skip

        def searched(outcome: Outcome) -> dict[str, Any]:
            notes = self._doubts(place.parent) if outcome.trained else []
            return {**self._searched(place.parent), "notes": notes}

        session.finish(searched)  # how long an answer takes is measured last of all: see `execution.quiet_latency`

    def _searched(self, place: Path) -> dict[str, float]:
        """Seconds that the search for a learning rate took; nothing where there was none."""
        found = [read_json(result) for result in sorted(place.glob("search/*/result.json"))]
        times = {name: [f[name] for f in found if name in f] for name in ("seconds", "cpu_seconds")}
        return {f"search_{name}": sum(each) for name, each in times.items() if found and len(each) == len(found)}

    def _doubts(self, place: Path) -> list[str]:
        """What makes the search for a learning rate of little worth, or that there was none."""
        searched = [tried(result) for result in sorted(place.glob("search/*/result.json"))]
        if not searched:
            return [say("said_rate_none")]
        judged = [t for t in searched if t.per_row]
        return doubts(searched, self._nothing if judged else {})

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
