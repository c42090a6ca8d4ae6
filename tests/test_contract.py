"""What every method promises. Methods are collected from the catalog: a new file is covered without touching this one.

Patches run with every objective on every tiny model (tied and untied heads, grouped-query attention, biases, a sliding
window) and every kind of row that the objective takes: `test_only_declared_parameters_move`. The other promises are
kept by every pair on one model, and on the others by each patch with its own objectives. Direct methods run on every
model and every task they name.
"""

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
from luthier.core.errors import LuthierError, Refused
from luthier.core.example import Example, renumbered
from luthier.core.lm import LM
from luthier.core.methods import Direct, Objective, Patch
from luthier.core.records import Chat, Labelled, Rated, Sampling, Split, Tagged, Text
from luthier.data.pack import pack
from luthier.data.prompts import answer_of, prompt_of, templates
from luthier.evals.task import PREDICTED
from luthier.io import config
from luthier.io.config import TrainingConfig
from luthier.io.files import write_text
from luthier.io.kept import run_labels
from luthier.models.base import TrainableLM
from luthier.models.causal import CausalLM
from luthier.models.embedding import Embedder
from luthier.models.inference import scoring
from luthier.runs import run
from luthier.runs.loaded import load_run
from luthier.training.attach import attached as attached_to
from luthier.training.attach import refusal
from luthier.training.context import Context
from luthier.training.loop import Loop
from watching import watched

FOUND = catalog.entries("direct", "patches", "objectives")
ENTRIES = {name: e for name, e in FOUND.items() if not catalog.lacking(e)}  # the rest needs extras
SPLITS = {
    "labelled": tiny.LABELLED,
    "chats": tiny.CHATS,
    "tagged": tiny.TAGGED,
    "rated": tiny.RATED,
    "texts": tiny.TEXTS,
}
TAKES = {
    Labelled: ("labelled",),
    Chat: ("chats", "labelled"),
    Tagged: ("tagged",),
    Rated: ("rated",),
    Text: ("texts",),
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


def _rows(objective: str) -> tuple[str, ...]:
    record = catalog.load(ENTRIES[objective]).record
    assert record in TAKES, f"objective {objective} learns from {record.__name__}: give this test such rows in TAKES"
    return TAKES[record]


PATCHES = [e.name for e in ENTRIES.values() if e.kind == "patches"]
OBJECTIVES = [e.name for e in ENTRIES.values() if e.kind == "objectives"]
PAIRS = [Pair(p, o, rows) for p in PATCHES for o in OBJECTIVES for rows in _rows(o)]
DIRECT = [
    (e.name, rows)
    for e in ENTRIES.values()
    if e.kind == "direct"
    for rows, split in SPLITS.items()
    if split.task in catalog.load(e).tasks
]
every_model = pytest.mark.parametrize("lm", tiny.KINDS, indirect=True)
every_pair = pytest.mark.parametrize("pair", PAIRS, ids=str)


def spread(*kinds: str) -> pytest.MarkDecorator:
    """Every pair on the first kind of model; on the others each patch with the objectives it takes by itself."""
    own = {
        pair for pair in PAIRS if pair.objective == catalog.load(ENTRIES[pair.patch]).objectives.get(pair.split.task)
    }
    cases = [(kind, pair) for kind in kinds for pair in PAIRS if kind == kinds[0] or pair in own]
    return pytest.mark.parametrize(("lm", "pair"), cases, indirect=["lm"], ids=str)


slow = pytest.mark.slow  # a search writes answers for a quarter of a minute on each base
every_direct = pytest.mark.parametrize(
    ("name", "rows"), [pytest.param(*d, marks=slow) if d[0] == "hard_prompt" else d for d in DIRECT]
)


@pytest.fixture(autouse=True)
def _heads_on_one_model(request: pytest.FixtureRequest) -> None:
    """Objectives that differ from `classify` by their head and loss only run on the first model."""
    given = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    other = "pair" in given and given.get("lm", tiny.MODELS[0]) != tiny.MODELS[0]
    if other and catalog.load(ENTRIES[given["pair"].objective]).heads[0] in ("tags", "scalar"):
        pytest.skip("the head is the same on every model")


def suits(lm: TrainableLM, pair: Pair) -> None:
    """A refusal skips the test (that it is a fact about the model is a test of its own)."""
    patch, objective = made(pair.patch, Path(lm.name)), made(pair.objective, Path(lm.name))
    if pair.split.task not in patch.objectives:
        pytest.skip(f"{pair.patch} is not for {pair.split.task}")
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
        examples = renumbered(objective.encode(work, pair.split, pair.split.train))
        rate = min(boost * max(patch.learning_rates), LARGEST)
        values = {"tokens": 10**9, "epochs": 3, "learning_rate": rate} | settings
        yield Loop(Context(work, seed=seed), patch, objective, groups, examples, TrainingConfig(**values), folder)


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

    Of a model that is not causal, what a label head reads in place of logits, without gradients.
    """
    worded = lm.asked(template=templates(split.labels)[0])
    ids = [worded.encode_prompt(prompt_of(r), split.labels) for r in split.train[:2]]
    if not isinstance(lm, CausalLM):
        batch = pack([Example(i, tuple(row), (0,), (0,)) for i, row in enumerate(ids)], {})
        with torch.no_grad():
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


# -- form -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENTRIES)
def test_form(name: str) -> None:
    entry = ENTRIES[name]
    method = catalog.load(entry)
    assert entry.summary.endswith((".", ".)")) and 20 < len(entry.summary) <= 100, entry.summary
    assert isinstance(entry.needs, tuple) and all(isinstance(n, str) for n in entry.needs)
    module = __import__(method.__module__, fromlist=["extras"])
    assert isinstance(module.extras, tuple) and module.METHOD is method
    parent = {"patches": Patch, "direct": Direct, "objectives": Objective}[entry.kind]
    assert issubclass(method, parent) and dataclasses.is_dataclass(method)
    assert catalog.load(entry).__dataclass_params__.frozen
    fields = [f for f in dataclasses.fields(method) if f.init]
    assert len(fields) <= 12 and all(f.name in (method.__doc__ or "") for f in fields), "each option is explained"
    assert method() == method(), "constructors only store their parameters"


# -- patches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", PATCHES)
def test_refusals_are_facts_about_the_model(name: str, objective: str, tiny_folder: Any) -> None:
    """A pair that no model runs is a gap, not a refusal."""
    reasons = {}
    for kind in tiny.KINDS:
        folder = tiny_folder(kind)
        reasons[kind] = refusal(Context(tiny.fresh(folder)), made(name, folder), made(objective, folder))
    refused = {kind: reason for kind, reason in reasons.items() if reason}
    print(f"{name} with {objective}: refused {refused or 'nowhere'}")
    assert not set(refused) & set(tiny.MODELS), f"{name} with {objective} runs on no model: {refused}"
    for reason in refused.values():
        assert "the model" in reason, f"not a fact about the model: {reason}"


@spread(*tiny.KINDS)
def test_identity_at_step_0(lm: TrainableLM, pair: Pair) -> None:
    before = raw(lm, pair.split)
    with attached(lm, pair) as (work, patch, _, _):
        if not patch.identity:
            pytest.skip(f"{pair.patch} declares that it changes the model from the start")
        for x, y in zip(before, raw(work, pair.split), strict=True):  # what is summed together may round otherwise
            torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-5)


@every_model
@every_pair
def test_only_declared_parameters_move(lm: TrainableLM, pair: Pair) -> None:
    with training(lm, pair, boost=10) as loop:
        before = tiny.bits(loop.lm.model)
        grouped = [set(group["params"]) for group in loop.executor.optimizer.param_groups]
        assert {n for n, p in loop.lm.model.named_parameters() if p.requires_grad} == set(loop.executor.params)
        loop.run()
        assert loop.done.steps == 3 * -(-len(loop.examples) // 8)  # some models get one example a turn
        after = dict(loop.lm.model.named_parameters())
        moved = {name for name, p in after.items() if not torch.equal(p, before[name])}
        assert before.keys() == after.keys() and moved <= set(loop.executor.params)
        assert all(any(after[name] in group for name in moved) for group in grouped), "a group stands still"


@spread("llama_tied", "bert", "t5")
def test_loss_falls(lm: TrainableLM, pair: Pair) -> None:
    """At ten times the highest rate, or, where an encoder of virtual tokens does not stand that, at the highest."""
    enough, shares = 0.75 if "llama" in lm.name or "qwen2" in lm.name else 0.95, []
    for boost in (10, 1):
        losses: list[float] = []
        with training(lm, pair, boost=boost, epochs=30) as loop:
            loop.objective.setup(loop.lm, loop.examples)
            loop.say = lambda report, out=losses: out.append(report.loss)
            loop.run()
        shares.append(losses[-1] / losses[0])
        if shares[-1] < enough:
            return
    raise AssertionError(f"of the first loss is left: {shares}")


@spread("llama_tied", "gpt2", "bert", "t5")
def test_saved_and_loaded(lm: TrainableLM, pair: Pair, tmp_path: Path) -> None:
    """The loaded model gives the same bits; what it saves again does, too."""
    suits(lm, pair)
    recipe = pair.recipe(lm, training={"learning_rate": 0.01})
    with run.adapted(lm, recipe, pair.split, tmp_path / "one") as outcome:
        size = run.save_adapted(outcome, tmp_path / "one")
        write_text(tmp_path / "one" / "recipe.yaml", config.to_yaml(recipe))
        want = answers(outcome.lm, pair.split)
        assert size > 0 and outcome.trainable > 0 and outcome.trained and outcome.trained.steps in (3, 6)
    first = load_run(tmp_path / "one")
    assert equal(want, answers(first, pair.split))
    assert run_labels(tmp_path / "one") == pair.split.labels
    again = tmp_path / "two" / outcome.save_as
    again.mkdir(parents=True)
    first.save(again)
    write_text(tmp_path / "two" / "recipe.yaml", config.to_yaml(recipe))
    assert equal(want, answers(load_run(tmp_path / "two"), pair.split))


@spread("llama_tied", "gpt2", "bert", "t5")
def test_merged_equals_unmerged(lm: TrainableLM, pair: Pair) -> None:
    before = tiny.tree(lm.model)
    with training(lm, pair, boost=3) as loop:
        loop.run()
        want = raw(loop.lm, pair.split)
        merged = loop.patch.merge(loop.lm)
        assert not merged or type(loop.patch).merge is not Patch.merge
        for x, y in zip(want, raw(loop.lm, pair.split), strict=True):
            scale = max(1.0, float(x.abs().max()))
            torch.testing.assert_close(x, y, rtol=0, atol=1e-5 * scale if merged else 0)
    assert tiny.tree(lm.model) == before


@spread("llama_tied", "bert", "t5")
def test_detach_leaves_the_base_as_it_was(lm: TrainableLM, pair: Pair) -> None:
    weights, tree, modes = tiny.bits(lm.model), tiny.tree(lm.model), [m.training for m in lm.model.modules()]
    fields = {f.name: getattr(lm, f.name) for f in dataclasses.fields(lm)}
    with training(lm, pair, boost=10) as loop:
        loop.run()
    assert tiny.same(weights, tiny.bits(lm.model)) and tree == tiny.tree(lm.model)
    assert not any(p.requires_grad or p.grad is not None for p in lm.model.parameters())
    assert modes == [m.training for m in lm.model.modules()] and not any(lm.model._forward_pre_hooks)
    assert all(getattr(lm, name) is value for name, value in fields.items())
    with training(lm, pair, boost=10) as second:  # and nothing is left in the patch or the base
        second.run()
        assert tiny.same(tiny.bits(second.lm.model), _trained_bits(lm.name, pair, boost=10))


def _trained_bits(folder: str, pair: Pair, **settings: Any) -> dict[str, Tensor]:
    with training(tiny.fresh(Path(folder)), pair, **settings) as loop:
        loop.run()
        return tiny.bits(loop.lm.model)


@spread(*tiny.KINDS)
def test_off_is_the_base(lm: TrainableLM, pair: Pair) -> None:
    base = raw(lm, pair.split)
    with training(lm, pair, boost=10) as loop:
        loop.run()
        adapted = raw(loop.lm, pair.split)
        with loop.patch.off(loop.lm):
            assert equal(base, raw(loop.lm, pair.split))
        assert equal(adapted, raw(loop.lm, pair.split))
        if loop.objective.heads == ("vocab",):  # with a head of its own there the head may be all that changed
            assert not equal(base, adapted)


@spread("qwen2_sliding", "t5")
def test_seeded(lm: TrainableLM, pair: Pair) -> None:
    """Five steps with the same seed give the same bits; another seed draws other rows and other first values."""
    settings: dict[str, Any] = {"boost": 3, "batch": 4, "epochs": 2.5}
    one, two, other = (_trained_bits(lm.name, pair, seed=seed, **settings) for seed in (0, 0, 1))
    assert tiny.same(one, two)
    assert not tiny.same(one, other)


@spread(*tiny.KINDS)
def test_eight_rows_at_once_are_eight_times_one(lm: TrainableLM, pair: Pair) -> None:
    found = []
    for limit in (10**6, 1):
        with training(lm, pair, micro_tokens=limit) as loop:
            loss = loop.executor.forward_backward(loop.examples, loop.objective).total
            found.append((loss, {n: p.grad for n, p in loop.executor.params.items() if p.grad is not None}))
            loop.lm.model.zero_grad()
    (loss, whole), (sum_of_parts, parts) = found
    assert loss == pytest.approx(sum_of_parts, rel=1e-6) and whole.keys() == parts.keys() and whole
    scale = max(1.0, *(float(g.abs().max()) for g in whole.values()))
    for name, gradient in whole.items():
        # sums in another order: 1.2e-6 was seen on a processor without AVX-512
        torch.testing.assert_close(gradient, parts[name], rtol=0, atol=2e-6 * scale, msg=f"{name}: {{}}".format)


@spread(*tiny.KINDS)
def test_cached_trunk_gives_the_same_gradients(lm: TrainableLM, pair: Pair) -> None:
    """What lies below the cut is run once and cached: the step is the one of the uncached way."""
    found = []
    for cached in (True, False):
        with training(lm, pair) as loop:
            if loop.patch.cut(loop.lm) is None:
                pytest.skip(f"{pair.patch} trains from the first block on")
            assert loop.executor.trunk
            loop.executor.trunk = loop.executor.trunk if cached else None
            loop.executor.forward_backward([loop.examples[i] for i in (3, 0, 5)], loop.objective)
            found.append({n: p.grad for n, p in loop.executor.params.items() if p.grad is not None})
            loop.lm.model.zero_grad()
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        scale = max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(gradient, found[1][name], rtol=1e-5, atol=1e-5 * scale)


@spread("qwen2_sliding", "t5")
def test_killed_and_resumed(lm: TrainableLM, pair: Pair, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"boost": 3, "batch": 3}
    unbroken = _trained_bits(lm.name, pair, **settings)

    class Killed(Exception):  # noqa: N818
        pass

    def kill(loop: Loop, step: int) -> None:
        if step == 4:
            loop.save()
        if step == 6:  # two steps beyond the checkpoint are lost and done again
            raise Killed

    with training(lm, pair, folder=tmp_path, **settings) as loop:
        loop.say = lambda report: kill(loop, report.step)
        with pytest.raises(Killed):
            loop.run()
    with training(tiny.fresh(Path(lm.name)), pair, folder=tmp_path, **settings) as loop:
        steps: list[int] = []
        loop.say = lambda report: steps.append(report.step)
        done = loop.run()
        assert steps == list(range(5, done.steps + 1)) and tiny.same(unbroken, tiny.bits(loop.lm.model))


# -- what single patches must show -----------------------------------------------------------------------------------


def test_lora_trains_r_times_in_plus_out(lm: TrainableLM) -> None:
    """A 25×50 matrix at r = 5 trains 375 numbers, not 1,250."""
    from luthier.models.layers.lowrank import LoraLinear

    by_hand = LoraLinear(torch.nn.Linear(50, 25), 5, 1.0)
    assert by_hand.a.numel() + by_hand.b.numel() == 375
    sizes = [m.in_features + m.out_features for m in lm.blocks.modules() if isinstance(m, torch.nn.Linear)]
    recipe = tiny.recipe(Path(lm.name), "lora", patch={"rank": 3})
    with run.adapted(lm, recipe, tiny.CHATS) as outcome:
        assert outcome.trainable == 3 * sum(sizes) and len(sizes) == 7 * len(lm.blocks)


def test_soft_prompt_trains_n_times_d(lm: TrainableLM) -> None:
    with run.adapted(lm, tiny.recipe(Path(lm.name), "soft_prompt", patch={"n": 7}), tiny.CHATS) as outcome:
        assert outcome.trainable == 7 * lm.model.config.hidden_size


@pytest.mark.parametrize("cached", [True, False])
def test_layers_has_no_backward_pass_below_the_lowest_trained_block(lm: TrainableLM, cached: bool) -> None:
    with training(lm, Pair("layers", "sft", "labelled")) as loop:
        loop.executor.trunk = loop.executor.trunk if cached else None
        reached: list[int] = []
        blocks: list[Any] = list(lm.blocks)
        for i, block in enumerate(blocks):
            block.register_full_backward_hook(lambda *_, i=i: reached.append(i))
            block.mlp.down_proj.weight.register_hook(lambda _, i=i: reached.append(i)) if i else None
        loop.executor.forward_backward(loop.examples[:8], loop.objective)
        assert set(reached) == {1, 2} and len(lm.blocks) == 3
        assert all(p.grad is None for p in [*lm.blocks[0].parameters(), lm.model.get_input_embeddings().weight])


@pytest.mark.parametrize("lm", tiny.MODELS[:2], indirect=True)
@pytest.mark.parametrize("untie", [True, False])
def test_layers_leaves_a_tied_head_alone_unless_untied(lm: TrainableLM, untie: bool) -> None:
    tied = lm.head.weight is lm.model.get_input_embeddings().weight
    patch, objective = made("layers", Path(lm.name), untie=untie), made("sft", Path(lm.name))
    with attached_to(lm, patch, objective, (), 0) as (_, groups, _):
        assert ("lm_head.weight" in groups[0].names) == (untie or not tied)
        assert "model.embed_tokens.weight" not in groups[0].names


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_head_runs_the_backbone_once_per_example(lm: TrainableLM, objective: str) -> None:
    pair = Pair("head", objective, "labelled" if "labelled" in _rows(objective) else _rows(objective)[0])
    with tiny.Calls(lm.blocks[0]) as calls, training(lm, pair, epochs=3) as loop:
        loop.run()
        assert loop.done.steps == 3 and calls.count == 1  # all eight rows in one pass
    with tiny.Calls(lm.blocks[0]) as calls, training(lm, pair, epochs=3) as loop:
        loop.run()
        assert calls.count == 0  # another learning rate on the same rows: the cache is the base's


def test_a_failed_attach_leaves_the_base_as_it_was(lm: TrainableLM) -> None:
    before = tiny.tree(lm.model)
    patch, objective = made("lora", Path(lm.name), targets="nothing_has_this_name"), made("classify", Path(lm.name))
    with pytest.raises(LuthierError, match="matches none"), attached_to(lm, patch, objective, ("a", "b"), 0):
        pass
    assert tiny.tree(lm.model) == before and lm.label_head is None


# -- direct methods --------------------------------------------------------------------------------------------------


@every_model
@every_direct
def test_direct_saved_and_loaded(lm: TrainableLM, name: str, rows: str, tmp_path: Path) -> None:
    split = SPLITS[rows]
    refused = catalog.load(ENTRIES[name])().refuses(Context(lm, split))
    if refused:
        assert refused.startswith("the model"), refused
        with pytest.raises(Refused, match=refused), run.adapted(lm, tiny.recipe(Path(lm.name), name), split):
            pass
        return
    weights, tree = tiny.bits(lm.model), tiny.tree(lm.model)
    recipe = tiny.recipe(Path(lm.name), name)
    with run.adapted(lm, recipe, split, cache=tmp_path / "cache") as outcome:
        run.save_adapted(outcome, tmp_path)
        write_text(tmp_path / "recipe.yaml", config.to_yaml(recipe))
        want = answers(outcome.lm, split)
    assert equal(want, answers(load_run(tmp_path), split)) and run_labels(tmp_path) == split.labels
    assert tiny.same(weights, tiny.bits(lm.model)) and tree == tiny.tree(lm.model)
    assert not any(p.requires_grad for p in lm.model.parameters())


@every_direct
def test_direct_is_seeded(lm: TrainableLM, name: str, rows: str, tmp_path: Path) -> None:
    found = []
    for at, seed in enumerate((0, 0, 1)):
        recipe = tiny.recipe(Path(lm.name), name, seed=seed)
        with run.adapted(lm, recipe, SPLITS[rows], cache=tmp_path / str(at)) as outcome:
            found.append(answers(outcome.lm, SPLITS[rows]))
    assert equal(found[0], found[1])
    if not catalog.load(ENTRIES[name]).seeded:
        assert equal(found[0], found[2])


@pytest.mark.parametrize(("name", "rows"), [*DIRECT, *((p.patch, p.rows) for p in PAIRS if p.objective == "sft")])
def test_no_method_sees_the_test_rows(lm: TrainableLM, name: str, rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with `adapted` handing the split on as it came."""
    seen: list[str] = []
    tokenise = type(lm.tokenizer).__call__

    def watch(self: Any, text: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(str(text))
        return tokenise(self, text, *args, **kwargs)

    embed = Embedder.queries
    monkeypatch.setattr(Embedder, "queries", watched(embed, lambda self, texts: seen.extend(texts)))
    monkeypatch.setattr(type(lm.tokenizer), "__call__", watch)
    if ENTRIES[name].kind == "patches" and catalog.load(ENTRIES[name]).objectives[SPLITS[rows].task] not in OBJECTIVES:
        pytest.skip(f"{name} trains by an objective that is not installed")
    held: list[Split] = []
    hooks = [(catalog.load(ENTRIES[o]), "encode") for o in OBJECTIVES]
    if ENTRIES[name].kind == "direct":
        hooks.append((catalog.load(ENTRIES[name]), "adapt"))
    for cls, hook in hooks:
        monkeypatch.setattr(cls, hook, watched(getattr(cls, hook), lambda *a: held.append(_data_of(a))))
    data = dataclasses.replace(SPLITS[rows], documents=(Text("what the questions are about", "page.md"),))
    with run.adapted(lm, tiny.recipe(Path(lm.name), name), data):
        pass
    assert held and all(split.test == () for split in held)
    assert bool(seen) == getattr(catalog.load(ENTRIES[name]), "asks", True), "nothing is read where no model is asked"
    assert not any("TEST ROW" in text for text in seen)


def _data_of(given: tuple[Any, ...]) -> Split:
    """What a method was handed: in its context, or as an argument of its own."""
    return given[1].data if isinstance(given[1], Context) else given[2]


def test_features_computes_once(lm: TrainableLM, tmp_path: Path) -> None:
    recipe = tiny.recipe(Path(lm.name), "features")
    texts = [r.text for r in tiny.LABELLED.validation if isinstance(r, Labelled)]
    with tiny.Calls(lm.blocks[0]) as first, run.adapted(lm, recipe, tiny.LABELLED, cache=tmp_path) as outcome:
        one = outcome.lm.predict(texts, tiny.LABELLED.labels)
    assert first.count == 2  # the training rows, the asked rows
    lm = tiny.fresh(Path(lm.name))
    with tiny.Calls(lm.blocks[0]) as second, run.adapted(lm, recipe, tiny.LABELLED, cache=tmp_path) as outcome:
        assert torch.equal(one, outcome.lm.predict(texts, tiny.LABELLED.labels))
    assert second.count == 0


@pytest.mark.parametrize("patched", [False, True])
def test_labels_in_another_order_and_none_at_all(lm: TrainableLM, patched: bool, tmp_path: Path) -> None:
    """Every way to predict gives its columns in the order asked for, and takes an empty list."""
    recipe = Pair("head", "classify", "labelled").recipe(lm) if patched else tiny.recipe(Path(lm.name), "features")
    texts = [r.text for r in tiny.LABELLED.validation if isinstance(r, Labelled)]
    labels = tiny.LABELLED.labels
    with run.adapted(lm, recipe, tiny.LABELLED, cache=tmp_path) as outcome:
        turned = outcome.lm.predict(texts, labels[::-1])
        torch.testing.assert_close(turned.flip(1), outcome.lm.predict(texts, labels))
        assert outcome.lm.predict([], labels).shape == (0, 3)


def test_what_a_method_cannot_do_is_refused_in_a_sentence(lm: TrainableLM) -> None:
    folder = Path(lm.name)
    cases = [
        (tiny.recipe(folder, "features"), tiny.CHATS, "gives labels or several .* wants text"),
        (
            tiny.recipe(folder, "lora", objective={"name": "classify"}),
            tiny.CHATS,
            "gives labels, and this task wants text",
        ),
        (tiny.recipe(folder, "layers", patch={"n": 9}), tiny.CHATS, "has 3 blocks, fewer than n = 9"),
        (tiny.recipe(folder, "lora", patch={"rank": 0}), tiny.CHATS, "at least 1"),
        (tiny.recipe(folder, "soft_prompt", patch={"n": 0}), tiny.CHATS, "at least 1"),
        (tiny.recipe(folder, "layers", patch={"n": 0}), tiny.CHATS, "at least 1"),
    ]
    for recipe, split, why in cases:
        with pytest.raises(Refused, match=why), run.adapted(lm, recipe, split):
            pass
