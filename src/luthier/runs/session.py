"""One run in its folder, the same for `train` and for every trial of a comparison: adapt, save, measure, write.

    RUN/recipe.yaml  environment.json  metrics.jsonl  checkpoint/  adapter/ or model/  eval.json

`eval.json` is written last: a folder that has it is complete, one that has not resumes from its checkpoint.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luthier.core.lm import WordedLM
from luthier.core.phrases import remember
from luthier.core.progress import Report
from luthier.core.split import Split
from luthier.evals import cuts
from luthier.evals.forgetting import general_loss
from luthier.evals.health import by_rollout, health
from luthier.evals.task import evaluate
from luthier.evals.temperature import settle
from luthier.io import checkpoint, config
from luthier.io.config import Recipe
from luthier.io.files import write_json, write_text
from luthier.io.metrics_file import read_metrics
from luthier.models.base import TrainableLM
from luthier.models.machine import Clock, environment, peak_memory, reset_peak_memory
from luthier.runs.run import Outcome, adapted, save_adapted
from luthier.runs.start import base_of
from luthier.training.trackers import Tracking
from luthier.training.world import Alone, World

Facts = dict[str, Any]


def _nobody(what: str) -> None:
    """Nobody listens."""


@dataclass
class Session:
    """A run that has not begun. base_loss: of the untouched base on general text; None where it predicts none.

    say: told of every training step; tell: told what is being done besides. called, top: its name for trackers, and the
    folder that theirs stand in. notes: on the data, which stand before those on the run. world: who trains it.
    """

    lm: WordedLM
    recipe: Recipe
    data: Split
    folder: Path
    cache: Path
    base_loss: float | None = None
    say: Callable[[Report], None] | None = None
    tell: Callable[[str], None] = _nobody
    called: str = ""
    top: Path | None = None
    notes: Sequence[str] = ()
    world: World = field(default_factory=Alone)

    def finish(
        self, more: Callable[[Outcome, Facts], Mapping[str, Any]], judge: Callable[[Outcome], None] | None = None
    ) -> Facts:
        """Do what is left to do and give what `eval.json` says.

        Of several processes all train, to a checkpoint of the last step; the one that leads goes on from there by
        itself, and the others get nothing.

        more: facts of whoever runs it, from what the test rows gave, measured last, while the model stands adapted, and
        put over these; what is under `notes` is added to the notes. judge: sees the model before anything is saved, and
        raises where that ends here.
        """
        recipe = self.recipe
        tracking = Tracking(
            recipe.track, self.called or self.folder.name, config.plain(recipe), self.top or self.folder
        )

        def told(report: Report) -> None:
            if not self.world.leads:
                return
            if self.say:
                self.say(report)
            tracking.log(report)

        reset_peak_memory()
        clock = Clock()
        if self.world.several:
            with adapted(self.lm, recipe, self.data, self.folder, self.cache, told, self.world):
                pass
            if not self.world.leads:
                return {}
            self.lm = base_of(recipe)
        with adapted(self.lm, recipe, self.data, self.folder, self.cache, told) as outcome:
            spent, peak = clock.read(), peak_memory()
            if judge:
                judge(outcome)
            write_text(self.folder / "recipe.yaml", config.to_yaml(recipe))
            write_json(self.folder / "environment.json", environment())
            size = save_adapted(outcome, self.folder)
            self.tell("test rows")
            clock = Clock()
            result = self._measured(outcome)
            answered = clock.read()
            extra = dict(more(outcome, result))
        shutil.rmtree(self.folder / checkpoint.FOLDER, ignore_errors=True)
        told_of = health(by_rollout(read_metrics(self.folder / "metrics.jsonl"))) if outcome.trained else []
        result["notes"] = [*self.notes, *result["notes"], *told_of, *extra.pop("notes", ())]
        result |= self._costs(outcome, spent, answered, peak, size) | extra
        tracking.finish(result)
        write_json(self.folder / "eval.json", remember(result, "notes"))
        return result

    def _measured(self, outcome: Outcome) -> Facts:
        lm = outcome.lm
        cuts.begin(lm)
        scores = evaluate(lm, self.data, self.data.test)
        cut = cuts.of_test(lm, self.data.test)
        warmth = settle(lm, self.data, scores, self.folder / outcome.save_as)
        same_weights = outcome.trained is None
        return {
            "metric": scores.metric,
            "score": scores.score,
            "secondary": scores.secondary,
            **warmth.facts,
            "notes": [*outcome.notes, *cut, *warmth.notes],
            "latency_ms": None,
            # a method that leaves the weights and the input alone has nothing to forget
            "forgetting": 0.0 if same_weights or not isinstance(lm, TrainableLM) else self._forgetting(lm),
            "rows": {part: len(getattr(self.data, part)) for part in ("train", "validation", "test")},
            **scores.kept,
        }

    def _forgetting(self, lm: TrainableLM) -> float | None:
        """Rise of the loss on general text, in nats a token; None where the model predicts no text."""
        loss = general_loss(lm)
        return None if loss is None or self.base_loss is None else loss - self.base_loss

    def _costs(
        self, outcome: Outcome, spent: Mapping[str, float], answered: Mapping[str, float], peak: int, size: int
    ) -> Facts:
        trained = outcome.trained
        whole = sum(p.numel() for p in self.lm.model.parameters()) if isinstance(self.lm, TrainableLM) else 0
        bytes_ = dict(zip(("base_bytes", "base_bytes_bf16"), outcome.base_bytes or (), strict=False))
        fits = trained is not None or config.options(self.recipe).fits
        # a method that learns no weights trains nothing: what it takes is choosing (a wording, examples)
        seconds = trained.seconds if trained else spent["seconds"]
        made = (seconds, spent["cpu_seconds"])
        train, search = (made, (0.0, 0.0)) if fits else ((0.0, 0.0), made)
        return {
            "train_seconds": train[0], "train_cpu_seconds": train[1], "waiting": spent["waiting"],
            "search_seconds": search[0], "search_cpu_seconds": search[1],
            "answer_seconds": answered["seconds"], "answer_cpu_seconds": answered["cpu_seconds"],
            "peak_memory_bytes": peak, "artifact_bytes": size,
            "tuned": fits,
            "steps": trained.steps if trained else 0,
            "trainable": outcome.trainable,
            "trainable_share": outcome.trainable / whole if whole else 0.0,
            "mergeable": outcome.mergeable,
            "learning_rate": outcome.learning_rate,
            "tokens": trained.tokens + trained.others if trained else 0,
            **bytes_,
            **(outcome.loop.executor.told() if outcome.loop else {}),
        }  # fmt: skip
