"""Several adapters on one base: switched, mixed (peft's "cat" is the oracle), refused where they do not mix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from typer.testing import CliRunner

import peft_oracle as oracle
import runs
import tiny
from luthier.api.predicting import answer_file
from luthier.cli import app
from luthier.core import catalog
from luthier.core.errors import LuthierError
from luthier.core.records import Sampling
from luthier.export.write import export_run
from luthier.io import config
from luthier.io.files import read_json
from luthier.models.base import TrainableLM
from luthier.runs import adapters, run
from luthier.runs.loaded import load_run
from luthier.runs.mixing import Adapters, mix_folders

Folder = Callable[[str], Path]
NARROW = {"llama_tied": "q_proj|down_proj", "gpt2": "c_attn", "t5": "q|wo", "bert": "query"}
WIDE = {"llama_tied": "q_proj|v_proj", "gpt2": "c_attn|c_fc", "t5": "q|v|wo", "bert": "query|dense"}
SHORT = Sampling(max_new_tokens=8)


def made(lm: TrainableLM, folder: Path, method: str, seed: int, **patch: Any) -> Path:
    """A run folder with an adapter of large random values."""
    recipe = tiny.recipe(Path(lm.name), method, patch=patch)
    chosen = config.options(recipe)
    torch.manual_seed(seed)
    work = tiny.fresh(Path(lm.name)).restore({"template": None, "shots": [], "labels": []})
    chosen.attach(work)
    tensors = {n: t + 0.1 * torch.randn(t.shape) for n, t in chosen.export(work)[0].items()}
    chosen.load(work, tensors)
    work.save_extra = lambda target: adapters.save_patch(work, chosen, target)
    run.save_adapted(run.Outcome(work), folder)
    (folder / "recipe.yaml").write_text(config.to_yaml(recipe))
    return folder


@pytest.mark.parametrize("lm", NARROW, indirect=True)
def test_a_mix_is_pefts_cat(lm: TrainableLM, tmp_path: Path) -> None:
    """Parts of different ranks, scales and layers. Seen failing with the weight on A and on B, and with r_b for r_a."""
    kind = next(k for k in NARROW if Path(lm.name).name.startswith(k))
    one = made(lm, tmp_path / "one", "lora", 1, rank=3, alpha=5.0, targets=NARROW[kind])
    two = made(lm, tmp_path / "two", "lora", 2, rank=2, rank_stabilised=True, targets=WIDE[kind])
    theirs = peft.PeftModel.from_pretrained(oracle.reference(Path(lm.name)), one / "adapter", adapter_name="a")
    theirs.load_adapter(two / "adapter", "b")
    base, tree = oracle.ours(lm), tiny.tree(lm.model)
    adapters = Adapters(lm)
    adapters.add("a", one)
    adapters.add("b", two / "adapter")  # a folder in PEFT's layout
    found = {}
    for name in ("a", "b"):
        theirs.set_adapter(name)
        found[name] = oracle.ours(adapters.use(name))
        torch.testing.assert_close(found[name], oracle.theirs(theirs.eval()), rtol=0, atol=1e-4)
    for weights in ({"a": 0.7, "b": 0.3}, {"a": 1.0, "b": 0.5}):
        name = f"mix{weights['b']:.0%}"
        theirs.add_weighted_adapter(list(weights), list(weights.values()), name, combination_type="cat")
        theirs.set_adapter(name)
        torch.testing.assert_close(oracle.ours(adapters.mix(weights)), oracle.theirs(theirs.eval()), rtol=0, atol=1e-4)
    torch.testing.assert_close(oracle.ours(adapters.mix({"b": 1.0}, "alone")), found["b"], rtol=0, atol=1e-5)
    assert torch.equal(oracle.ours(adapters.use("a")), found["a"]) and (found["a"] - found["b"]).abs().max() > 0.01
    assert torch.equal(oracle.ours(adapters.use(None)), base) and tiny.tree(lm.model) == tree


def test_kinds_of_low_rank_updates_mix(lm: TrainableLM, tmp_path: Path) -> None:
    """AdaLoRA with LoRA+; and two over rounded weights, on those. Seen failing on the weights as they came."""
    methods = [("adalora", "lora_plus")]
    if not catalog.lacking(catalog.find("qlora", "patches")):
        methods.append(("qlora", "qlora"))
    for number, pair in enumerate(methods):
        adapters = Adapters(lm)
        single = []
        for i, method in enumerate(pair):
            adapters.add(f"{i}", made(lm, tmp_path / f"{number}-{i}", method, i, rank=2))
            adapters.use(f"{i}")
            matrices = {p: m.folded() for p, m in lm.model.named_modules() if hasattr(m, "folded") and hasattr(m, "a")}
            plain: dict[str, Any] = {p: lm.model.get_submodule(p) for p in matrices}
            base = {p: layer.matrix() for p, layer in plain.items()}
            single.append({p: (w - base[p]).clone() for p, w in matrices.items()})
        adapters.mix({"0": 0.5, "1": -2.0})
        for path, one in single[0].items():
            layer: Any = lm.model.get_submodule(path)
            want = base[path] + 0.5 * one - 2.0 * single[1][path]
            torch.testing.assert_close(layer.folded(), want, rtol=0, atol=1e-4)
        adapters.use(None)


def test_what_does_not_mix_is_refused(lm: TrainableLM, tmp_path: Path) -> None:
    base = Path(lm.name)
    folders = {
        "lora": made(lm, tmp_path / "lora", "lora", 0, rank=2),
        "dora": made(lm, tmp_path / "dora", "lora", 0, rank=2, dora=True),
        "prompt": made(lm, tmp_path / "prompt", "soft_prompt", 0, n=3),
        "head": runs.finished(base, tmp_path / "head", "lora", tiny.LABELLED, objective={"name": "classify"}),
        "shots": runs.finished(base, tmp_path / "shots", "few_shot", tiny.LABELLED),
        "other": made(tiny.fresh(tiny.save_model("llama_untied", tmp_path / "base")), tmp_path / "other", "lora", 0),
    }
    adapters, tree = Adapters(lm), tiny.tree(lm.model)
    for name, why in (("shots", "changes no weights"), ("other", "was trained on .*base, and the base here is")):
        with pytest.raises(LuthierError, match=why):
            adapters.add(name, folders[name])
    for name in ("lora", "dora", "prompt", "head"):
        adapters.add(name, folders[name])
    want = oracle.ours(adapters.use("lora"))
    cases: list[tuple[dict[str, float], str]] = [
        ({"lora": 1, "dora": 1}, "dora trains the lengths"), ({"prompt": 1}, "prompt is no low-rank update"),
        ({"lora": 1, "head": 1}, "head was trained with a label head"), ({"nobody": 1}, "no adapter 'nobody'"),
        ({}, "one adapter at least"), ({"lora": float("nan")}, "finite"), ({"lora": float("inf")}, "finite"),
    ]  # fmt: skip
    for weights, why in cases:
        with pytest.raises(LuthierError, match=why):
            adapters.mix(weights)
        assert torch.equal(oracle.ours(adapters.lm), want), "what was on is on again"
    with pytest.raises(LuthierError, match="already"):
        adapters.add("lora", folders["lora"])
    assert adapters.use("head").predict(["where?"], tiny.LABELLED.labels).shape == (1, 3)
    assert adapters.use(None).label_head is None and tiny.tree(lm.model) == tree


def test_rounded_and_whole_weights_do_not_mix(lm: TrainableLM, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    adapters = Adapters(lm)
    for method in ("lora", "qlora"):
        adapters.add(method, made(lm, tmp_path / method, method, 0, rank=2))
    with pytest.raises(LuthierError, match="qlora was trained on a base with rounded weights"):
        adapters.mix({"lora": 1, "qlora": 1})


def test_the_command_writes_a_run_that_every_command_takes(lm: TrainableLM, tmp_path: Path) -> None:
    one, two = (made(lm, tmp_path / name, "lora", seed, rank=2) for seed, name in enumerate(("one", "two")))
    told = CliRunner().invoke(app, ["adapters", "mix", f"{one}=0.7", f"{two}=0.3", "--out", f"{tmp_path / 'mixed'}"])
    assert told.exit_code == 0, told.output
    assert read_json(tmp_path / "mixed" / "mix.json")[1] == {"adapter": str(two), "weight": 0.3}
    adapters = Adapters(lm)
    for name, folder in (("one", one), ("two", two)):
        adapters.add(name, folder)
    want = oracle.ours(adapters.mix({"one": 0.7, "two": 0.3}))
    again: Any = load_run(tmp_path / "mixed")
    torch.testing.assert_close(oracle.ours(again), want, rtol=0, atol=1e-5)
    peft_only = tmp_path / "peft only"
    mix_folders({one / "adapter": 1.0}, peft_only)
    want = oracle.ours(adapters.use("one"))
    alone: Any = load_run(peft_only, adapters.use(None))
    torch.testing.assert_close(oracle.ours(alone), want, rtol=0, atol=1e-5)
    (tmp_path / "ask.csv").write_text("text\nwhere is it\n")
    assert answer_file(tmp_path / "mixed", tmp_path / "ask.csv", tmp_path / "out.csv", {}, None) == 1
    for to in ("adapter", "merged"):
        assert export_run(tmp_path / "mixed", to, tmp_path / to, "f16", lambda _: None, lambda _: None)
    for parts, why in (([f"{one}"], "a folder and its weight"), ([f"{one}=1", f"{one}=2"], "given twice")):
        told = CliRunner().invoke(app, ["adapters", "mix", *parts, "--out", f"{tmp_path / 'x'}"])
        assert why in str(told.exception) and not (tmp_path / "x").exists()
    with pytest.raises(LuthierError, match="exists already"):
        mix_folders({one: 1.0}, two)


def test_switching_loads_no_base_again(lm: TrainableLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapters = Adapters(lm)
    for seed, name in enumerate(("one", "two")):
        adapters.add(name, made(lm, tmp_path / name, "lora", seed, rank=2))
    monkeypatch.setattr("luthier.models.loading.load.load_base", pytest.fail)
    texts = [adapters.use(name).generate(["hello"], SHORT) for name in ("one", "two", "one", None)]
    assert texts[0] == texts[2] != texts[1]
