"""What each stage writes on prompts that none learned from, and what it gained on the stage before.

gain: the mean difference of the judge's numbers, prompt by prompt; gain_se: its standard error over prompts, whose
answers are one cluster each. gain_without_length: the same of what a straight line over the answers' lengths leaves.
win_rate: how often an answer is judged better than the one before to the same prompt, ties half. kl: mean of log π -
log π_start of its own answers at the temperature they were drawn at, in nats an answer, over the first two answers to
each prompt; of the first stage the start is the untuned model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.core.example import Example
from luthier.core.progress import Report
from luthier.core.records import Record, Sampling
from luthier.data.load import load_split
from luthier.evals.judging import ahead
from luthier.io.files import read_json, write_text
from luthier.models.loading.of_recipe import load_base
from luthier.objectives.sampling.advantages import k1
from luthier.objectives.sampling.drawing import Drawn, answer_text, judged, words_of
from luthier.rlhf.audit import audit
from luthier.rlhf.paired import clustered, paired, without_length
from luthier.rlhf.people import write_questions
from luthier.rlhf.pipeline import BASE, NAME, Pipeline
from luthier.runs.loaded import judge, load_run, reward_of
from luthier.training.context import Context, Meter, Reader

if TYPE_CHECKING:
    from luthier.rlhf.stages import Bar, Stage

SHOWN = 8  # prompts of the report, with what each stage wrote first
READ = 2  # answers to a prompt that policy and start read again


@dataclass(frozen=True)
class Written:
    """Answers to all prompts, `each` of them in turn. kl: of each from the start, None where it was not read again;

    None for the untuned model.
    """

    texts: tuple[str, ...]
    tokens: tuple[int, ...]
    kl: tuple[float | None, ...] | None

    def at(self, places: Sequence[int]) -> Written:
        """Some of them."""
        kl = None if self.kl is None else tuple(self.kl[i] for i in places)
        return Written(tuple(self.texts[i] for i in places), tuple(self.tokens[i] for i in places), kl)


def measure(pipeline: Pipeline, stages: Sequence[Stage], folder: Path, bar: Bar) -> dict[str, Any]:
    """The report. Answers are kept by stage, so that a killed command goes on with the next."""
    policies, each = [stage for stage in stages if stage.writes], pipeline.answers
    before = dict(zip([stage.name for stage in policies], [BASE, *(stage.name for stage in policies)], strict=False))
    rows = _prompts(stages[0].recipe, pipeline.prompts)
    written: dict[str, Written] = {}
    with bar("answers") as say:
        for at, (own, last) in enumerate([(None, None), *zip(policies, [None, *policies], strict=False)]):
            write = partial(_stage, pipeline, stages[0], own, last, rows, _share(say, at, 1 + len(policies)))
            name = own.name if own else BASE
            written[name] = _kept(folder, name, write)
    who = str(folder / "stages" / NAME) if isinstance(pipeline.judge, Mapping) else pipeline.judge
    with bar("judged") as say:
        found = _judged(judge(who, Meter()), rows, written, each, say)
    rows, written, numbers, lost = _whole(rows, written, found, each)
    write_questions(folder, rows, {name: w.texts for name, w in written.items()}, each)
    told = []
    for stage in stages:
        if stage.writes:
            names = (stage.name, before[stage.name])
            rewards: Judged = {}
            if reward := reward_of(stage.recipe, Meter()):
                with bar(f"reward of {stage.name}") as say:
                    rewards = _judged(reward, rows, {name: written[name] for name in names}, each, say)
            told.append(_gained(rows, names, written, numbers, rewards, each))
        elif stage.name != NAME:
            told.append(_numbers_of(stage))
    return {
        "schema": 1, "prompts": len(rows), "left_out": lost, "answers": each, "temperature": pipeline.temperature,
        "untuned": {"judged": fmean(numbers[BASE]), "length": fmean(written[BASE].tokens)},
        "stages": told, "judge": _numbers_of(stages[-1]) if stages[-1].name == NAME else {"name": who},
        "samples": _samples(pipeline, rows, written, numbers),
    }  # fmt: skip


Judged = Mapping[str, Sequence[float | None]]


def _judged(
    who: Any, rows: Sequence[Record], written: Mapping[str, Written], each: int, say: Callable[[Report], None]
) -> dict[str, list[float | None]]:
    """A number for each answer, None where there is none. Raises LuthierError where there is none at all."""
    prompts = [row.asked for row in rows for _ in range(each)]
    records = [row for row in rows for _ in range(each)]
    found = {}
    for at, (name, w) in enumerate(written.items()):
        _share(say, at, len(written))(0, len(w.texts))
        found[name] = judged(who, prompts, w.texts, records)[0]
    return found


def _whole(
    rows: Sequence[Record], written: Mapping[str, Written], numbers: Judged, each: int
) -> tuple[list[Record], dict[str, Written], dict[str, list[float]], int]:
    """Without prompts to which some answer could not be judged, and how many these were."""
    kept = [
        at
        for at in range(len(rows))
        if all(found[i] is not None for found in numbers.values() for i in range(at * each, (at + 1) * each))
    ]
    if len(kept) < 2:
        raise LuthierError("judge: to nearly every held-out prompt there is an answer that it cannot judge")
    places = [i for at in kept for i in range(at * each, (at + 1) * each)]
    return (
        [rows[at] for at in kept],
        {name: w.at(places) for name, w in written.items()},
        {name: [x for i in places if (x := found[i]) is not None] for name, found in numbers.items()},
        len(rows) - len(kept),
    )


def _prompts(recipe: Any, most: int) -> list[Record]:
    """The held-out rows, one a prompt."""
    split, _ = load_split(replace(recipe.data, limit_test=None))
    return list({repr(row.asked): row for row in split.test}.values())[:most]


def _base(stage: Stage) -> Any:
    lm: Any = load_base(stage.recipe)
    return lm.asked(template=lm.wordings(())[0], labels=())


class Answering(Report):
    """So many answers (`step`) of so many (`tokens`) of one stage."""

    @property
    def words(self) -> str:
        return f"{self.step} of {self.tokens} of a stage"


def _share(say: Callable[[Report], None], at: int, stages: int) -> Callable[[int, int], None]:
    """What tells how far a stage's answers are, as a part of those of all stages."""
    return lambda done, of: say(Answering(done, of, 0.0, 0.0, 0.0, 0.0, (at + done / max(of, 1)) / stages))


def _stage(
    pipeline: Pipeline, first: Stage, own: Stage | None, before: Stage | None, rows: Sequence[Record],
    tell: Callable[[int, int], None],
) -> Written:  # fmt: skip
    """Answers of a stage, or of the untuned model where it is none; before: the stage it began from."""
    lm: Any = load_run(own.folder) if own else _base(first)
    start = None if own is None else load_run(before.folder) if before else _base(first)
    return _write(pipeline, replace(lm, progress=tell), start, rows)


def _write(pipeline: Pipeline, lm: Any, start: Any, rows: Sequence[Record]) -> Written:
    """Answers of a model, with how far each is from its start."""
    ids = [lm.encode_prompt(row.asked, (), pipeline.new_tokens) for row in rows]
    asked = [at for at in range(len(rows)) for _ in range(pipeline.answers)]
    sampling = Sampling(pipeline.new_tokens, pipeline.temperature, seed=pipeline.seed)
    samples = Context(lm).sample([ids[at] for at in asked], sampling)
    drawn = [Drawn(at, sample.ids, sample.ended, "", 0.0) for at, sample in zip(asked, samples, strict=True)]
    texts = [answer_text(lm, d.ids) for d in drawn]
    tokens = tuple(len(d.ids) for d in drawn)
    if start is None:
        return Written(tuple(texts), tokens, None)
    prompts = [Example(at, tuple(row), (len(row) - 1,), (0,)) for at, row in enumerate(ids)]
    examples = [d.example(at, prompts[d.prompt], group=d.prompt) for at, d in enumerate(drawn)]
    read = [at for at in range(len(drawn)) if at % pipeline.answers < READ]
    own = Reader(lm, Meter(), "kl").logprobs([examples[at] for at in read], pipeline.temperature)
    without = () if start.virtual else lm.virtual
    other = Reader(start, Meter(), "kl", without).logprobs([examples[at] for at in read], pipeline.temperature)
    kl: list[float | None] = [None] * len(drawn)
    for at, a, b in zip(read, own, other, strict=True):
        kl[at] = k1(a.tolist(), b.tolist())
    return Written(tuple(texts), tokens, tuple(kl))


def _kept(folder: Path, name: str, write: Callable[[], Written]) -> Written:
    path = folder / "answers" / f"{name}.json"
    if not path.exists():
        write_text(path, json.dumps(write().__dict__, ensure_ascii=False))
    found = read_json(path)
    return Written(*(tuple(found[key]) if found[key] is not None else None for key in ("texts", "tokens", "kl")))  # type: ignore[arg-type]


def _gained(
    rows: Sequence[Record], names: tuple[str, str], written: Mapping[str, Written],
    numbers: Mapping[str, Sequence[float]], rewards: Judged, each: int,
) -> dict[str, Any]:  # fmt: skip
    """What is told of a policy. names: its own, and that of the one before."""
    name, before = names
    judged_both, lengths = (numbers[name], numbers[before]), (written[name].tokens, written[before].tokens)
    gain, error = paired(*judged_both, each)
    bare, bare_error = paired(*without_length(judged_both, lengths), each)
    earned = [value for value in rewards.get(name, ()) if value is not None]
    far = [value for value in written[name].kl or () if value is not None]
    told = {
        "name": name, "before": before, "judged": fmean(numbers[name]), "gain": gain, "gain_se": error,
        "gain_without_length": bare, "gain_without_length_se": bare_error,
        "reward": fmean(earned or numbers[name]), "kl": fmean(far),
        "win_rate": fmean(map(ahead, *judged_both)), "length": fmean(lengths[0]),
    }  # fmt: skip
    whole = [[x for x in rewards.get(n, ()) if x is not None] for n in names]
    if rewards and all(len(x) == len(judged_both[0]) for x in whole):
        told["audit"] = audit(rows, written[name].texts, each, (whole[0], whole[1]), judged_both)
    return told


def _numbers_of(stage: Stage) -> dict[str, Any]:
    """What is told of a stage that gives numbers: how often it tells held-out pairs right."""
    found = read_json(stage.folder / "eval.json")
    names = ("reward", "gain", "gain_se", "kl", "win_rate")
    rows = found["per_row"]
    error = clustered(rows)[1] if len(rows) > 1 else None
    return {"name": stage.name, **dict.fromkeys(names), "accuracy": found["score"], "accuracy_se": error}


def _samples(
    pipeline: Pipeline, rows: Sequence[Record], written: Mapping[str, Written], numbers: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    """The first answer of each stage to some prompts, side by side."""
    out = []
    for at, row in enumerate(rows[:SHOWN]):
        place = at * pipeline.answers
        said = {name: {"answer": w.texts[place], "judged": numbers[name][place]} for name, w in written.items()}
        out.append({"prompt": words_of(row), "answers": said})
    return out
