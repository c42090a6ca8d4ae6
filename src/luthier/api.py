"""Luthier from Python: the same three things the commands do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.config import Recipe

if TYPE_CHECKING:
    from luthier.progress import Report
    from luthier.protocols import LM, Prompt


def compare(
    data: str | Path = "tickets", *, test: str | Path | None = None,
    model: str | Sequence[str] = "embedded", methods: Sequence[str] = (), budget: str = "", total: str = "",
    seeds: int = 1, out: str | Path | None = None, threads: int | None = None, curve: Sequence[int] = (),
    endpoint: Mapping[str, Any] | None = None, track: Sequence[str] = (), again: bool = False, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Try the methods on the data under an equal budget; gives the content of leaderboard.json.

    total: how long the whole may take, ten minutes unless a budget (the training of each method and seed) is given.
    model: one, or several. curve: numbers of training rows to try besides all. endpoint: limits for a model behind a
    URL (see `luthier.config.EndpointConfig`). track: names of trackers. again: begin anew, what stands there is set
    aside. options: of the data (`map`, `labels`,
    `instruction`, `metric`, `docs`, `skip_bad`, `limit`, `limit_test`, `fill`, `anyway`). Raises LuthierError.
    """
    from luthier.compare.board import publish
    from luthier.compare.plan import make_request
    from luthier.compare.supervise import run

    request = make_request(
        {"path": str(data), "test": str(test) if test else None, **options},
        models=[model] if isinstance(model, str) else list(model), methods=methods, budget=budget, seeds=seeds,
        threads=threads, curve=curve, endpoint=endpoint, track=track, total=total,
    )  # fmt: skip
    folder = Path(out) if out else request.folder
    run(request, folder, again)
    board, _ = publish(folder)
    return board


def train(
    recipe: Recipe, out: Path | None = None, say: Callable[[Report], None] | None = None, again: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Path:  # fmt: skip
    """One run of a recipe, resumed if it was interrupted; gives the run folder.

    say: told how far it is. again: begin anew, what stands there is set aside. tell: told at its start what is to be
    known about the data. Raises LuthierError, also where data or model are not those that the run began with.
    """
    import hashlib

    from luthier import config, given, run
    from luthier.files import LOCK, alone
    from luthier.machine import pick_dtype
    from luthier.trackers import check

    config.options(recipe)  # a wrong option is said before anything is loaded or written
    check(recipe.track)
    key = hashlib.sha256(config.to_yaml(recipe).encode()).hexdigest()[:8]
    folder = out or Path("runs") / f"{recipe.method}-{Path(recipe.data.path).stem}-{key}"
    if again and run.begun(folder):
        given.set_aside(folder, "recipe.yaml")
    # what was measured when a run began holds for it: on a busier machine another format may come out
    begun = recipe.dtype == "auto" and run.begun(folder) and (folder / "recipe.yaml").exists()
    dtype = config.read_recipe(folder / "recipe.yaml").dtype if begun else pick_dtype(recipe.dtype)
    recipe = replace(recipe, dtype=dtype)
    run.check_folder(folder, config.to_yaml(recipe))
    if (folder / "eval.json").exists():
        given.check_finished(folder, recipe)
        return folder
    with alone(folder / LOCK, f"{folder}: another command is training there"):
        run.check_folder(folder, config.to_yaml(recipe))  # another may have begun there meanwhile, and ended
        if not (folder / "eval.json").exists():
            _trained(recipe, folder, say, tell)
    return folder


def _trained(
    recipe: Recipe, folder: Path, say: Callable[[Report], None] | None, tell: Callable[[str], None] | None
) -> None:
    from luthier import config, given, run
    from luthier.data.task import load_split
    from luthier.errors import LuthierError
    from luthier.evals import cuts
    from luthier.evals.task import evaluate
    from luthier.evals.temperature import settle
    from luthier.files import LOCK, forget, write_json, write_text
    from luthier.machine import environment
    from luthier.run import base_facts
    from luthier.trackers import Tracking

    try:
        split, found = load_split(recipe.data, folder / "rejected.jsonl")
        if tell:
            for note in found:
                tell(note)
        lm = run.load_base(recipe)
        given.keep_or_check(folder, given.of_recipe(recipe, split), run.begun(folder))
        write_text(folder / "recipe.yaml", config.to_yaml(recipe))
        write_json(folder / "environment.json", environment())
        tracking = Tracking(recipe.track, folder.name, config.plain(recipe), folder)

        def told(report: Report) -> None:
            tracking.log(report)
            if say:
                say(report)

        with run.adapted(lm, recipe, split, folder, say=told) as outcome:
            run.save_adapted(outcome, folder)
            cuts.begin(outcome.lm)
            scores = evaluate(outcome.lm, split, split.test)
            cut = cuts.of_test(outcome.lm, split.test)
            settled = settle(outcome.lm, split, scores, folder / outcome.save_as)
    except LuthierError:
        if not run.begun(folder):
            rejected = "rejected.jsonl", "rejected-test.jsonl"
            forget(folder, LOCK, given.NAME, "recipe.yaml", "environment.json", "metrics.jsonl", *rejected)
        raise
    result = {"metric": scores.metric, "score": scores.score, "secondary": scores.secondary}
    result |= {"per_row": scores.per_row, "answers": scores.answers, "trainable": outcome.trainable}
    result |= base_facts(outcome)
    notes = [*found, *outcome.notes, *cut, *settled.notes]
    result |= settled.facts | ({"notes": notes} if notes else {})
    tracking.finish(result)
    write_json(folder / "eval.json", result)


class Model:
    """An adapted model read from a run folder. temperature: makes probabilities of label scores; None: none fitted."""

    def __init__(self, lm: LM, labels: Sequence[str], temperature: float | None = None) -> None:
        self.lm, self.labels, self.temperature = lm, tuple(labels), temperature

    @property
    def output(self) -> str:
        """What it gives: labels, tags (several labels a text), scalar (a number) or text."""
        return str(getattr(self.lm, "output", "labels" if self.labels else "text"))

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The most likely label of each text; "" where a model behind an address named none."""
        from luthier.errors import LuthierError

        if self.output != "labels":
            use = {"tags": "gives several labels: use tags()", "scalar": "gives numbers: use values()"}
            raise LuthierError(f"this run {use.get(self.output, 'writes text: use generate()')}")
        rows: Any = self.lm.predict(list(texts), self.labels) if texts else []
        return [self.labels[int(row.argmax())] if bool(row.isfinite().any()) else "" for row in rows]

    def tags(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The labels of each text that are likelier than not."""
        from luthier.evals.metrics.label_f1 import chosen

        return chosen(self.lm, list(texts), self.labels) if texts else []

    def values(self, texts: Sequence[str]) -> list[float]:
        """The number predicted for each text."""
        return [float(v) for v in self.lm.predict(list(texts), ())[:, 0]] if texts else []

    def probabilities(self, texts: Sequence[str]) -> list[Mapping[str, float]]:
        """Share of each label, normalised over the labels; of a run that gives several, each by itself.

        Behind the run's temperature they say how often they hold; where `temperature` is None they are mere scores.
        """
        from luthier.evals.temperature import tempered

        found = self.lm.predict(list(texts), self.labels)
        rows = found if self.temperature is None else tempered(found, self.temperature)
        return [dict(zip(self.labels, row, strict=True)) for row in rows.exp().tolist()]

    def generate(self, prompts: Sequence[Prompt], max_new_tokens: int = 256, temperature: float = 0.0) -> list[str]:
        """One answer a prompt (a text, or a list of messages)."""
        from luthier.protocols import Sampling

        return self.lm.generate(list(prompts), Sampling(max_new_tokens, temperature))


def load(
    run_folder: str | Path, progress: Callable[[int, int], None] | None = None, template: str | Path | None = None
) -> Model:
    """The adapted model of a run folder, ready to predict or generate; progress is told rows done and rows in all.

    template: a file with another wording than the run's own.
    """
    from luthier.evals.temperature import kept
    from luthier.run import load_run, run_labels

    folder = Path(run_folder)
    lm, labels = load_run(folder, progress=progress), run_labels(folder)
    if template:  # the temperature is that of the run's own wording
        return Model(reworded(lm, Path(template)), labels)
    return Model(lm, labels, kept(folder))


def reworded(lm: Any, path: Path) -> LM:
    """The adapted model behind the wording of a file. Raises LuthierError where its answers come from no wording."""
    from luthier.errors import LuthierError
    from luthier.evals.shots import again
    from luthier.prompts.wording import read_template

    if not hasattr(lm, "worded") or getattr(lm, "label_head", None) is not None or lm.mute(lm.labels):
        raise LuthierError(f"{path}: this run's answers come from no wording that could be changed")
    return again(lm, read_template(path, lm.labels), lm.labels)  # type: ignore[no-any-return]
