"""Which way of running a causal model is taken, and that it gives what plain transformers gives for a text alone."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer

import tiny
from families import CHECKS, Family, examine
from family_models import FAMILIES, build, tokenizer
from luthier.core import errors
from luthier.core.errors import LuthierError, Refused
from luthier.core.phrases import Phrase, of_error
from luthier.core.records import Sampling
from luthier.data.pack import pack
from luthier.io.config import Recipe
from luthier.models.attention.positions import stretched_from
from luthier.models.ends import Ends
from luthier.models.kernels.vocabulary_head import VocabHead, head_loss, token_logprobs
from luthier.models.loading import probe
from luthier.models.loading.of_recipe import load_base, trainable
from luthier.models.loading.plain import plain_pass
from luthier.models.loading.vocabulary import first_free
from luthier.models.outputs import Outputs
from luthier.models.runner import PackedRunner, PaddedRunner
from luthier.training.attach import attached
from watching import watched

PACKED = ("Gemma 2", "Phi", "Granite", "StableLM", "DeepSeek V3", "OPT 350m")
PADDED = ("BLOOM", "Mamba", "LFM 2", "RecurrentGemma", "gpt-oss", "Llama 4")
# refused adapters of dense layers beside experts: PEFT takes their names for the experts'
NOT_IN_PEFT = ("GLM 4 MoE", "ERNIE 4.5 MoE", "DeepSeek V2", "DeepSeek V3", "Qwen 3 Next")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A family by its name, made once."""
    return cache(lambda name: Family(name, tmp_path_factory.mktemp("family")))


@pytest.mark.parametrize("name", [*PACKED, *PADDED])
def test_what_a_family_gives_is_what_transformers_gives(name: str, family: Any) -> None:
    """Logits, likelihoods and greedy decoding. Seen failing without caps, scales, biases, and packed throughout."""
    own = family(name)
    assert isinstance(own.lm.runner, PackedRunner if name in PACKED else PaddedRunner)
    plain = own.plain()
    assert own.same(own.lm, plain) and own._likelihood(plain) and own._decoding(plain)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family(name: str) -> None:
    """Training, saving, merging and PEFT, too; or a refusal that says why."""
    way, found = examine(name)
    if not found:
        assert way.startswith("refused: ") and len(way) > 40
        return
    wrong = {check: said for check, said in found.items() if said is not True}
    assert set(found) == set(CHECKS)
    assert wrong.keys() <= ({"PEFT"} if name in NOT_IN_PEFT else set())


@pytest.mark.parametrize("name", ["Mamba", "BLOOM", "LFM 2"])
def test_a_family_that_is_padded_would_be_wrong_packed(name: str, family: Any) -> None:
    """What the probe is for: the packed way is not merely slower there."""
    own = family(name)
    packed = replace(own.lm, runner=PackedRunner())
    try:
        right = own.same(packed, own.plain())
    except (TypeError, LookupError):  # it cannot be run packed at all
        right = False
    assert not right


@pytest.mark.parametrize("name", ["Phi", "Mamba", "Gemma 2", "Granite", "Phi MoE"])
def test_weights_of_16_bits_are_probed_for_what_they_can_tell(name: str, family: Any) -> None:
    """A bias rounds once more, some states stay in 32 bits, experts' choice flips. Some were refused."""
    own = family(name)
    half: Any = load_base(replace(own.recipe, dtype="bfloat16"))
    assert (half.softcap, half.head_scale) == (own.lm.softcap, own.lm.head_scale)
    got, want = own.ours(half), own.ours(own.lm)
    if name != "Phi MoE":
        assert all((a.float() - b).norm() < 0.1 * b.norm() for a, b in zip(got, want, strict=True))
    assert len(half.runner.generate(half, own.texts, Sampling(max_new_tokens=3), Ends(()))[0]) == 3


def test_what_is_not_causal_is_refused(tmp_path: Path) -> None:
    folder = build("XLNet", tmp_path / "model")
    with pytest.raises(LuthierError, match="in a XLNetLMHeadModel a token sees what follows it"):
        load_base(Recipe(model=str(folder), dtype="float32"))


def test_a_window_that_attention_is_not_told_of_is_not_packed(family: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short probe would not meet it. Seen failing with windows that were only counted where they were told."""
    lm = family("Llama").lm
    with torch.no_grad():
        with probe._attention(lm, "eager"):
            found = plain_pass(lm)
        assert probe._side_by_side(lm, found)
        monkeypatch.setattr(lm.model.config, "sliding_window", 4096, raising=False)
        assert not probe._side_by_side(lm, found)


def test_what_was_found_is_remembered_by_content(family: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another key is tried anew, and so is a record that is damaged."""
    own = family("Gemma 2")
    again = lambda: load_base(own.recipe)  # noqa: E731
    first: Any = again()
    [record] = (tmp_path / "cache" / "probes").glob("*.json")
    assert json.loads(record.read_text())["softcap"] == 30.0
    tried: list[int] = []
    probed = probe._probed
    monkeypatch.setattr(probe, "_probed", watched(probed, lambda lm: tried.append(1)))
    second: Any = again()
    assert not tried and (second.softcap, second.head_scale, second.runner) == (30.0, 1.0, first.runner)
    assert own.same(second, own.plain())
    record.write_text("{")
    assert own.same(again(), own.plain()) and tried == [1]


def test_positions_that_stretch_end_the_context(family: Any) -> None:
    """Long RoPE changes a short text's numbers beside a long one."""
    lm = family("Phi 3, long positions").lm
    assert stretched_from(lm.model.config) == 64 and lm.context == 64
    assert stretched_from(family("Llama").lm.model.config) is None


# -- the vocabulary head ---------------------------------------------------------------------------------------------


def _plain_logits(hidden: Tensor, weight: Tensor, bias: Tensor, scale: float, cap: float | None) -> Tensor:
    out = scale * (hidden @ weight.T + bias)
    return out if cap is None else cap * torch.tanh(out / cap)


@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.25, None), (1.0, 3.0), (2.0, 5.0)])
def test_head_with_bias_scale_and_cap(scale: float, cap: float | None) -> None:
    """Loss, its three gradients and log-probabilities. Seen failing with the cap's slope left out."""
    random = torch.Generator().manual_seed(0)
    parts = [torch.randn(*size, generator=random).double().requires_grad_() for size in ((7, 6), (11, 6), (11,))]
    targets = torch.randint(11, (7,), generator=random)
    logits = _plain_logits(parts[0], parts[1], parts[2], scale, cap)
    want = nn.functional.cross_entropy(logits, targets, reduction="sum")
    wanted = torch.autograd.grad(2 * want, parts)
    hidden, weight, bias = (p.detach().float().requires_grad_() for p in parts)
    head = VocabHead(weight, bias, scale, cap)
    got = head_loss(hidden, head, targets)
    torch.testing.assert_close(got, want.float(), rtol=1e-5, atol=1e-5)
    for one, two in zip(torch.autograd.grad(2 * got, (hidden, weight, bias)), wanted, strict=True):
        torch.testing.assert_close(one, two.float(), rtol=1e-4, atol=1e-5)
    values = token_logprobs(hidden.detach(), head, torch.arange(7), targets)
    assert float(values.sum()) == pytest.approx(-float(want.detach()), rel=1e-5)


@pytest.mark.parametrize("name", ["Phi", "Cohere", "Gemma 2"])
def test_a_loss_is_that_of_the_models_own_logits(name: str, family: Any) -> None:
    """Training sees the head that the model has."""
    own = family(name)
    split = own.split
    with attached(own.lm, _lora(), _sft(), (), 0) as (work, _, objective):
        examples = objective.encode(work, split, split.train[:2])
        batch = pack(examples, {})
        with torch.no_grad():
            got = objective.loss(_outputs(work, batch), batch)["nll"]
        plain, want = own.plain(), 0.0
        for e in examples:
            logits = plain(e.ids)[list(e.where)]
            want += float(nn.functional.cross_entropy(logits, torch.tensor(e.targets), reduction="sum"))
    assert float(got) == pytest.approx(want, rel=1e-4)


def _lora() -> Any:
    from luthier.patches.lora import Lora

    return Lora()


def _sft() -> Any:
    from luthier.objectives.sft import Sft

    return Sft()


def _outputs(lm: Any, batch: Any) -> Any:

    return Outputs(lm.read(batch), lm, batch.targets)


# -- tokens without a vector -----------------------------------------------------------------------------------------


@pytest.fixture
def beyond(tmp_path: Path) -> Any:
    """A model whose tokenizer has a token more than its embedding has rows."""
    folder = build("Llama", tmp_path / "model")
    own = tokenizer()
    own.add_tokens(["<tool>"] + [f"<unused{i}>" for i in range(399 - len(own))])
    own.add_tokens(["<call>"])
    own.save_pretrained(folder)
    return load_base(Recipe(model=str(folder), dtype="float32"))


def test_a_token_without_a_vector_is_refused_by_its_name(beyond: Any) -> None:
    """Seen ending in an IndexError."""
    sampling = Sampling(max_new_tokens=2)
    assert len(beyond.generate(["use <tool> now"], sampling)) == 1  # this one has a row
    with pytest.raises(Refused, match='the tokenizer has "<call>", which the texts hold and the model') as refused:
        beyond.generate(["use <call> now"], sampling)
    said = of_error(refused.value)
    assert isinstance(said, Phrase) and said.text("zh").startswith('分词器有词元 "<call>"，文本中也有')


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_encoders_refuse_it_too(kind: str, tmp_path: Path) -> None:
    """Whether a text or an answer holds it. Seen ending in an IndexError."""
    folder = tiny.save_model(kind, tmp_path / kind)
    own = AutoTokenizer.from_pretrained(folder)
    own.add_tokens(["<tool>"])
    own.save_pretrained(folder)
    lm = trainable(load_base(tiny.recipe(folder)))
    ids = torch.tensor(lm.encode_prompt("use <tool> now"))
    with pytest.raises(Refused, match="<tool>"):
        lm.hidden(ids, torch.arange(len(ids)), [len(ids)])
    if kind == "t5":
        with pytest.raises(Refused, match="<tool>"):
            lm.logprobs([("use it", "use <tool> now")])


def test_a_soft_prompt_gives_no_token_its_vectors(beyond: Any) -> None:
    """Virtual tokens begin above every token. Seen failing: the token got the prompt's first vector."""
    from luthier.patches.soft_prompt import SoftPrompt

    patch = SoftPrompt(n=3)
    with attached(beyond, patch, _sft(), (), 0) as (work, _, _objective):
        assert min(work.virtual) == first_free(work.model, work.tokenizer) == 401
        work.generate(["use <tool> now"], Sampling(max_new_tokens=2))
        with pytest.raises(Refused, match="<call>"):
            work.generate(["use <call> now"], Sampling(max_new_tokens=2))


@pytest.mark.parametrize("cached_from", [1, None])
def test_one_prompt_many_times_is_answered_anew_each_time(cached_from: int | None, family: Any) -> None:
    """More rows than are decoded at once. Seen failing: the second sixteen answers were the first."""
    lm = family("BLOOM").lm
    lm = replace(lm, runner=replace(lm.runner, cached_from=cached_from))
    state = torch.get_rng_state()
    said = [lm.generate(["when does the ferry leave"] * 32, Sampling(8, temperature=1.0, seed=3)) for _ in range(2)]
    assert said[0] == said[1] and said[0][:16] != said[0][16:]
    assert torch.equal(state, torch.get_rng_state())


# -- what LoRA reaches -----------------------------------------------------------------------------------------------


def test_the_share_that_stays_untouched_is_said(family: Any) -> None:
    """Experts held as one tensor are no linear layers; routers that give more than a product are none either."""
    with attached(family("Mixtral").lm, patch := _lora(), _sft(), (), 0) as (work, _, _objective):
        [note] = patch.notes(work)
        numbers = {n: p.numel() for n, p in work.model.named_parameters() if ".layers." in n and p.dim() > 1}
        experts = sum(size for n, size in numbers.items() if ".experts." in n or ".gate." in n)
        frozen = sum(size for n, size in numbers.items() if not n.endswith((".a", ".b")))
        assert note.startswith(f"{experts / frozen:.0%} of the numbers in the blocks' matrices stay as they are: ")
        assert "mlp.experts.gate_up_proj" in note
    with attached(family("Llama").lm, patch := _lora(), _sft(), (), 0) as (work, _, _objective):
        assert patch.notes(work) == []


def test_layers_whose_weights_are_read_directly_are_left_alone(family: Any) -> None:
    """Kernels of state-space mixers pass by what stands in such a layer's place."""
    with attached(family("Mamba").lm, patch := _lora(), _sft(), (), 0) as _:
        assert {path.rsplit(".", 1)[-1] for path in patch._kept} == {"in_proj"}


def test_a_part_of_ours_that_is_missing_is_no_fact_about_the_model() -> None:
    """Seen failing: a module that had been renamed made every model padded, without a word."""
    with pytest.raises(ModuleNotFoundError, match="luthier"):
        probe._tried(lambda: bool(importlib.import_module("luthier.models.not_there")))
    assert probe._tried(lambda: bool(importlib.import_module("of_somebody_else"))) is False


@pytest.mark.parametrize(
    ("body", "ours"),
    [
        ("return not_defined", True),
        ("return errors.not_there", True),
        ("return errors.LuthierError().not_there", True),
        ("return model.not_there", False),  # what a model gives back may lack what ours look for
        ("raise ValueError('a shape')", False),
    ],
)
def test_faults_of_ours_pass_through(body: str, ours: bool) -> None:
    """Seen failing with every error taken for the model's."""
    there: dict[str, Any] = {"__name__": "luthier.models.planted", "errors": errors, "model": torch.nn.Linear(1, 1)}
    exec(f"def check():\n    {body}", there)
    if ours:
        with pytest.raises((NameError, AttributeError)):
            probe._tried(there["check"])
    else:
        assert probe._tried(there["check"]) is False
    there["__name__"] = "transformers.models.planted"
    exec(f"def check():\n    {body}", there)
    assert probe._tried(there["check"]) is False
