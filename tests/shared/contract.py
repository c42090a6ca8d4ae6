"""What the contract suite is made of: every method of the catalogue, with every kind of rows that it learns from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import tiny
from luthier.core import catalog
from luthier.core.cursor import Cursor
from luthier.core.example import Example, renumbered
from luthier.core.lm import LM
from luthier.core.methods import Objective, Patch
from luthier.core.records import Asked, Chat, Labelled, Preference, Rated, Sampling, Tagged, Text
from luthier.core.split import Split
from luthier.data.pack import pack
from luthier.data.prompts import answer_of, prompt_of, templates
from luthier.evals.task import PREDICTED
from luthier.io import config
from luthier.io.config import TrainingConfig
from luthier.models.base import TrainableLM
from luthier.models.causal import CausalLM
from luthier.models.encoder import EncoderLM
from luthier.models.inference import scoring
from luthier.training.attach import attached as attached_to
from luthier.training.attach import refusal
from luthier.training.context import Context
from luthier.training.loop import Loop

FOUND = catalog.entries("direct", "patches", "objectives")
ENTRIES = {name: e for name, e in FOUND.items() if not catalog.lacking(e)}  # the rest needs extras
SPLITS = {
    "labelled": tiny.LABELLED,
    "chats": tiny.CHATS,
    "tagged": tiny.TAGGED,
    "rated": tiny.RATED,
    "texts": tiny.TEXTS,
    "pairs": tiny.PAIRS,
}
TAKES = {
    Labelled: ("labelled",),
    Chat: ("chats", "labelled"),
    Tagged: ("tagged",),
    Rated: ("rated",),
    Text: ("texts",),
    Preference: ("pairs",),
    Asked: ("pairs", "chats"),
}  # kind of record -> the rows that serve it
GREEDY = Sampling(max_new_tokens=8)
LARGEST = 0.3  # learning rate that a tiny model learns with


def made(name: str, folder: Path, **options: Any) -> Any:
    """A configured method or objective by its name."""
    recipe = tiny.recipe(folder, **({} if ENTRIES[name].kind == "objectives" else {"method": name}))
    if ENTRIES[name].kind == "objectives":
        return config.objective(recipe, name)
    return config.options(dataclasses.replace(recipe, patch=options) if options else recipe)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A patch with an objective and the rows to learn."""

    patch: str
    objective: str
    rows: str

    @property
    def split(self) -> Split:
        return SPLITS[self.rows]

    def recipe(self, lm: TrainableLM, **changes: Any) -> config.Recipe:
        return tiny.recipe(Path(lm.name), self.patch, objective={"name": self.objective}, **changes)

    def __str__(self) -> str:
        return f"{self.patch}-{self.objective}-{self.rows}"


def rows_of(objective: str) -> tuple[str, ...]:
    record = catalog.load(ENTRIES[objective]).record
    assert record in TAKES, f"objective {objective} learns from {record.__name__}: give this test such rows in TAKES"
    return TAKES[record]


PATCHES = [e.name for e in ENTRIES.values() if e.kind == "patches"]
OBJECTIVES = [e.name for e in ENTRIES.values() if e.kind == "objectives"]
# Of the objectives that learn from pairs `dpo` runs with every patch, of those that learn from texts `lm` and `sft`;
# the others with one of each kind.
STANDING_FOR_ALL = ("full", "head", "lora", "prefix", "soft_prompt")
PAIRS = [
    pair
    for p in PATCHES
    for o in OBJECTIVES
    for rows in rows_of(o)
    if (pair := Pair(p, o, rows)).split.task in catalog.load(ENTRIES[p]).objectives
    and (pair.split.task not in ("preference", "text") or o in ("dpo", "lm", "sft") or p in STANDING_FOR_ALL)
    and "sampling" not in catalog.load(ENTRIES[o]).needs  # of those: tests/training/test_rollouts.py
]
DIRECT = [
    (e.name, rows)
    for e in ENTRIES.values()
    if e.kind == "direct"
    for rows, split in SPLITS.items()
    if split.task in catalog.load(e).tasks
]
slow = pytest.mark.slow
every_model = pytest.mark.parametrize("lm", tiny.KINDS, indirect=True)


def _differs(kind: str, pair: Pair) -> bool:
    """Whether the pair is worth another model, of this kind: some objectives differ by their head or loss only.

    Of those that learn from pairs `dpo` stands for the others, on one model of each kind.
    """
    objective = catalog.load(ENTRIES[pair.objective])
    if objective.heads[0] in ("tags", "scalar", "reward"):
        return False
    return objective.tasks != ("preference",) or (pair.objective == "dpo" and kind in ("gpt2", "t5"))


def _home(pair: Pair) -> str | None:
    """The one kind of tiny model that a pair runs on, where it is for an encoder, or needs sentinels."""
    return {"mlm": "bert", "denoise": "t5"}.get(pair.objective)


def _by_itself(kind: str, pair: Pair) -> bool:
    """Whether the patch takes this objective by itself. An encoder has no answers to learn: it is asked for labels."""
    return pair.objective == (
        "classify" if kind == "bert" else catalog.load(ENTRIES[pair.patch]).objectives.get(pair.split.task)
    )


def _in_turn(kind: str, pair: Pair) -> bool:
    """Whether the pair is the one of its patch that every run of the tests tries on this further kind of model.

    Objectives take turns over patches and kinds; all others are slow.
    """
    own = [p for p in PAIRS if p.patch == pair.patch and not _home(p) and _differs(kind, p) and _by_itself(kind, p)]
    return pair == own[(tiny.KINDS.index(kind) + PATCHES.index(pair.patch)) % len(own)]


def _turn(pair: Pair) -> bool:
    """Whether the pair is the one of its patch that every run of the tests tries on the first kind of model."""
    all_ = [p for p in PAIRS if p.patch == pair.patch and not _home(p)]
    return pair == all_[PATCHES.index(pair.patch) % len(all_)]


def everywhere(*kinds: str, own: bool = False, few: bool = False) -> pytest.MarkDecorator:
    """Every pair on the first kind of model, and on the others those that differ there.

    own: of these, each patch with the objectives that it takes by itself. few: what every run of the tests tries on the
    first kind are the patches that stand for all with every objective, and the others with one each.
    """
    cases = [
        pytest.param(kinds[0], pair, marks=() if not few or pair.patch in STANDING_FOR_ALL or _turn(pair) else slow)
        for pair in PAIRS
        if not _home(pair)
    ]
    cases += [
        pytest.param(kind, pair, marks=() if _in_turn(kind, pair) else slow)
        for kind in kinds[1:]
        for pair in PAIRS
        if not _home(pair) and _differs(kind, pair) and (_by_itself(kind, pair) or not own)
    ]
    cases += [pytest.param(home, pair) for pair in PAIRS if (home := _home(pair))]
    return pytest.mark.parametrize(("lm", "pair"), cases, indirect=["lm"], ids=str)


def spread(*kinds: str) -> pytest.MarkDecorator:
    """Every pair on the first kind of model; on the others each patch with the objectives it takes by itself."""
    return everywhere(*kinds, own=True)


def sampled(*kinds: str) -> pytest.MarkDecorator:
    """As `spread`, with fewer pairs in every run of the tests: of what depends on patch and objective one by one."""
    return everywhere(*kinds, own=True, few=True)


# A search writes answers for a quarter of a minute on each base.
every_direct = pytest.mark.parametrize(
    ("name", "rows"), [pytest.param(*d, marks=slow) if d[0] == "hard_prompt" else d for d in DIRECT]
)


def suits(lm: TrainableLM, pair: Pair) -> None:
    """A refusal skips the test (that it is a fact about the model is a test of its own)."""
    patch, objective = made(pair.patch, Path(lm.name)), made(pair.objective, Path(lm.name))
    if reason := refusal(Context(lm), patch, objective):
        pytest.skip(f"{pair} on {Path(lm.name).name}: {reason}")


@contextmanager
def attached(lm: TrainableLM, pair: Pair, seed: int = 0) -> Iterator[tuple[TrainableLM, Patch, Objective, list[Any]]]:
    """The pair on the model."""
    suits(lm, pair)
    patch, objective = made(pair.patch, Path(lm.name)), made(pair.objective, Path(lm.name))
    with attached_to(lm, patch, objective, pair.split.labels, seed) as (work, groups, _):
        yield work, patch, objective, groups


@contextmanager
def training(
    lm: TrainableLM, pair: Pair, *, seed: int = 0, folder: Path | None = None, boost: float = 1, **settings: Any
) -> Iterator[Loop]:
    """A loop, ready to run, at `boost` times the patch's highest learning rate: tiny models need large steps.

    Never above `LARGEST`, though: rates that suit vectors which start at one are high already.
    """
    with attached(lm, pair, seed) as (work, patch, objective, groups):
        ctx = Context(work, data=dataclasses.replace(pair.split, test=()), seed=seed, patch=patch)
        encoded = renumbered(objective.encode(work, pair.split, pair.split.train))
        examples = objective.dataset(ctx, ctx.data) if objective.needs else encoded
        rate = min(boost * max(patch.learning_rates), LARGEST)
        values = {"tokens": 10**9, "epochs": 3, "learning_rate": rate} | settings
        yield Loop(ctx, patch, objective, groups, examples, TrainingConfig(**values), folder)


def drawn(loop: Loop, size: int = 8) -> list[Example]:
    """The examples of a first step."""
    return next(loop.objective.batches(loop.ctx, loop.examples, size, Cursor(0)))


def answers(lm: LM, split: Split) -> list[Tensor]:
    """All that an adapted model can say about the validation rows: probabilities, likelihoods and text as tokens."""
    out: list[Tensor] = []
    prompts = [prompt_of(r) for r in split.validation]
    if split.task in PREDICTED:
        out.append(lm.predict([str(p) for p in prompts], split.labels))
    if "logprobs" in lm.can:
        out += lm.logprobs([(prompt_of(r), answer_of(r)) for r in split.validation])
    if "generate" in lm.can:
        out += [torch.tensor(list(text.encode())) for text in lm.generate(prompts, GREEDY)]
    return out


def raw(lm: TrainableLM, split: Split) -> list[Tensor]:
    """Logits at every token of two rows, with and without gradients, and the likelihood of label words or answers.

    Of a model that is not causal, states in place of logits, without gradients.
    """
    worded = lm.asked(template=templates(split.labels)[0])
    ids = [worded.encode_prompt(prompt_of(r), split.labels) for r in split.train[:2]]
    if not isinstance(lm, CausalLM):
        batch = pack([Example(i, tuple(row), (0,), (0,)) for i, row in enumerate(ids)], {})
        with torch.no_grad():
            if isinstance(lm, EncoderLM):
                return [worded.hidden(batch.ids, batch.positions, batch.segments)]
            out = [worded.read(batch), *scoring.last_hidden(worded, ids)]
        return out if worded.lacks("logprobs") else out + _likelihoods(worded, split)
    packed = torch.tensor([i for row in ids for i in row])
    positions = torch.tensor([p for row in ids for p in range(len(row))])
    hidden = lm.hidden(packed, positions, [len(row) for row in ids])
    with torch.no_grad():
        out = [lm.head.logits(h) for h in (hidden, lm.hidden(packed, positions, [len(row) for row in ids]))]
    return out + _likelihoods(worded, split)


def _likelihoods(lm: TrainableLM, split: Split) -> list[Tensor]:
    prompts = [prompt_of(r) for r in split.validation]
    words = [scoring.by_words(lm, [str(p) for p in prompts], split.labels)] if split.labels else []
    return words + lm.logprobs([(prompt_of(r), answer_of(r)) for r in split.validation])


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
