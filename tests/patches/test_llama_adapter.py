"""LLaMA-Adapter: `peft` as the oracle on Llama, a plain sum for the others, and every way a model is asked."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch import Tensor, nn
from transformers import Qwen3Config

import peft_oracle as oracle
import tiny
from luthier.core.phrases import Phrase
from luthier.core.records import Sampling
from luthier.models.base import TrainableLM
from luthier.models.inference import scoring
from luthier.objectives.classify import Classify
from luthier.patches.llama_adapter import LlamaAdapter
from luthier.runs import adapters, run
from luthier.training.attach import attached
from luthier.training.context import Context

every_kind = pytest.mark.parametrize("lm", tiny.KINDS, indirect=True)
llamas = pytest.mark.parametrize("lm", ("llama_tied", "llama_untied"), indirect=True)


@contextmanager
def learned(lm: TrainableLM, **options: Any) -> Iterator[tuple[TrainableLM, LlamaAdapter, dict[str, Tensor]]]:
    """The patch attached with gates that are open, and its tensors."""
    patch = LlamaAdapter(**options)
    with attached(lm, patch, Classify(), ("a", "b"), 0) as (work, _, _):
        tensors = patch.export(work)[0]
        for i, (name, tensor) in enumerate(tensors.items()):
            if name.endswith("gate"):
                tensor.fill_(0.4 + 0.1 * i)
        yield work, patch, tensors


@llamas
def test_peft_gives_the_same(lm: TrainableLM) -> None:
    """The same prompts and gates. Seen failing with rotated prompt keys, with tanh of the gate, and from the bottom."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = peft.AdaptionPromptConfig(adapter_len=4, adapter_layers=2, task_type="CAUSAL_LM")
        theirs: Any = peft.get_peft_model(oracle.reference(Path(lm.name)), config).eval()
    base, own = oracle.ours(lm), dict(theirs.named_parameters())
    with learned(lm, tokens=4, layers=2) as (work, _, tensors):
        assert len(tensors) == 2 * 2
        for name, tensor in tensors.items():
            path, part = name.split(".learned_prompt.")
            like = own[f"base_model.model.{path}.adaption_{part}"]
            like.data.copy_(tensor.view(like.shape))
        got = oracle.ours(work)
    assert (got - base).abs().max() > 1e-2
    torch.testing.assert_close(got, oracle.theirs(theirs), rtol=0, atol=1e-4)


def by_hand(attention: Any, states: Tensor, prompt: Tensor, gate: Tensor, heads: int, scale: float) -> Tensor:
    """What prompts add, (T, d) before the output projection, of models without rotary positions."""
    d = states.shape[-1]
    if hasattr(attention, "c_attn"):
        q, (k, v) = attention.c_attn(states)[..., :d], attention.c_attn(prompt)[..., d:].chunk(2, -1)
    else:
        names = ("query", "key", "value") if hasattr(attention, "query") else ("q", "k", "v")
        q, k, v = (getattr(attention, n)(x) for n, x in zip(names, (states, prompt, prompt), strict=True))
    parts = [
        torch.softmax(a @ b.T * scale, -1) @ c
        for a, b, c in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True)
    ]
    return torch.cat(parts, -1) * gate


@pytest.mark.parametrize("lm", ("gpt2", "bert", "t5"), indirect=True)
def test_without_rotary_it_is_the_plain_sum(lm: TrainableLM) -> None:
    """Put in front of the output projection by hooks. Seen failing with the query's third of a fused projection."""
    base = oracle.ours(lm)
    with learned(lm, tokens=3, layers=1) as (work, _, tensors):
        got = oracle.ours(work)
        places = {n.removesuffix(".learned_prompt.gate") for n in tensors if n.endswith("gate")}
    assert len(places) == len(lm.stacks) and (got - base).abs().max() > 1e-2
    handles, outs = [], {"c_attn": "c_proj", "q": "o"}
    for path in places:
        attention: Any = lm.model.get_submodule(path)
        scale = 1.0 if hasattr(attention, "q") else (lm.width // 4) ** -0.5
        out = next((getattr(attention, o) for i, o in outs.items() if hasattr(attention, i)), None)
        out = out or lm.model.get_submodule(path.removesuffix(".self") + ".output.dense")
        prompt, gate = (tensors[f"{path}.learned_prompt.{n}"] for n in ("prompt", "gate"))
        seen: dict[str, Tensor] = {}

        def see(_m: Any, args: Any, kwargs: Any, seen: Any = seen) -> None:
            seen["x"] = args[0] if args else kwargs["hidden_states"]

        def add(_m: Any, args: Any, seen: Any = seen, rest: Any = (attention, prompt, gate, scale)) -> Any:
            module, p, g, s = rest
            return (args[0] + by_hand(module, seen["x"], p, g, 4, s).view(args[0].shape), *args[1:])

        handles += [attention.register_forward_pre_hook(see, with_kwargs=True), out.register_forward_pre_hook(add)]
    torch.testing.assert_close(oracle.ours(lm), got, rtol=0, atol=1e-4)
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("lm", ("llama_tied", "qwen2_sliding", "gpt2"), indirect=True)
def test_scored_behind_a_shared_prefix_and_decoded_as_in_one_pass(lm: Any) -> None:
    """Seen failing with prompts left out of decoding."""
    prompts = ["the parcel is late and nobody knows", "the parcel is late and nobody cares"]
    with learned(lm, tokens=4) as (work, _, _):
        model: Any = work
        ids = [model.encode_prompt(p) for p in prompts]
        assert scoring.common_prefix(ids) >= scoring.WORTH_SHARING
        answers = [list(map(int, torch.randint(3, 300, (5,)))) for _ in range(3)]
        found = model.continuations([(p, answers) for p in ids])
        for p, each in zip(ids, found, strict=True):
            for answer, got in zip(answers, each, strict=True):
                torch.testing.assert_close(got, straight(model, p, answer), rtol=0, atol=1e-4)
        from luthier.models.inference.decode import generate

        for p, tokens in zip(ids, generate(model, ids, Sampling(max_new_tokens=6)), strict=True):
            for i, token in enumerate(tokens):
                assert straight(model, [*p, *tokens[:i]], [token], best=True) == token


@torch.no_grad()
def straight(lm: Any, prompt: list[int], answer: list[int], best: bool = False) -> Any:
    """Log-probabilities of the answer's tokens (or the most likely next one) in one pass of one segment."""
    ids = torch.tensor([*prompt, *answer])
    logits = lm.head.logits(lm.hidden(ids, torch.arange(len(ids)), [len(ids)]))
    if best:
        return int(logits[len(prompt) - 1].argmax())
    rows = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return rows[torch.arange(len(answer)), torch.tensor(answer)]


@every_kind
def test_layers_numbers_and_what_is_left_behind(lm: TrainableLM) -> None:
    """30 of 32 blocks, rounded down; n·d + 1 numbers each. Seen failing with detach leaving the function wrapped."""
    used, tree = lm.model.config._attn_implementation, tiny.tree(lm.model)
    with learned(lm, tokens=6) as (work, patch, tensors):
        per_stack = [len(stack) - 1 for stack in lm.stacks]  # of 2 to 4 blocks all but the lowest
        assert len(tensors) == 2 * sum(per_stack)
        assert sum(t.numel() for t in tensors.values()) == sum(per_stack) * (6 * lm.width + 1)
        assert patch.cut(work) == (1 if len(lm.stacks) == 1 else None)
    assert lm.model.config._attn_implementation == used and tiny.tree(lm.model) == tree
    for stack in lm.stacks:
        configs: list[Any] = [m.config for m in stack.modules() if hasattr(m, "config")]
        assert all(config._attn_implementation == used for config in configs)


def test_all_layers_when_more_are_asked_for(lm: TrainableLM) -> None:
    with learned(lm, layers=99) as (_, _, tensors):
        assert len(tensors) == 2 * len(lm.blocks)


def test_norm_of_keys(tmp_path: Path) -> None:
    """Qwen3 norms each head's keys: those of the prompt, too. Seen failing without."""
    made = tiny.tokenizer()
    config = Qwen3Config(
        hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        num_hidden_layers=2, vocab_size=len(made), eos_token_id=made.eos_token_id, pad_token_id=0,
    )  # fmt: skip
    lm = tiny.fresh(tiny.save(config, tmp_path / "qwen3"))
    with learned(lm, layers=1, tokens=3) as (work, _, tensors):
        attention: Any = work.blocks[-1].self_attn
        query = torch.randn(1, 4, 5, 8)
        prompt, gate = tensors.values()
        key = attention.k_norm(attention.k_proj(prompt).view(3, 2, 8)).transpose(0, 1).repeat_interleave(2, 0)
        value = attention.v_proj(prompt).view(3, 2, 8).transpose(0, 1).repeat_interleave(2, 0)
        want = torch.softmax(query[0] @ key.transpose(1, 2) * 0.25, -1) @ value * gate
        torch.testing.assert_close(attention.learned_prompt(attention, query, 0.25)[0].transpose(0, 1), want)


def test_saved_in_our_own_layout(lm: TrainableLM, tmp_path: Path) -> None:
    recipe = tiny.recipe(Path(lm.name), "llama_adapter", patch={"tokens": 5})
    with run.adapted(lm, recipe, tiny.CHATS, tmp_path) as outcome:
        run.save_adapted(outcome, tmp_path)
        want = oracle.ours(outcome.lm)  # type: ignore[arg-type]
    base = oracle.ours(lm)
    assert not (tmp_path / "adapter" / "adapter_config.json").exists()
    work, patch = adapters.load_adapter(lm, tmp_path / "adapter")
    assert torch.equal(oracle.ours(work), want) and not torch.equal(want, base)
    patch.detach(work)
    assert torch.equal(oracle.ours(lm), base)


def test_refused(lm: TrainableLM) -> None:
    refuses = lambda model, **o: LlamaAdapter(**o).refuses(Context(replace(lm, model=model)))  # noqa: E731
    model: Any = lm.model
    assert refuses(model) is None
    assert refuses(model, tokens=0) == "tokens must be at least 1, not 0"
    assert refuses(model, layers=0) == "layers must be at least 1, not 0"

    class Attention(nn.Module):
        def __init__(self, *names: str) -> None:
            super().__init__()
            for name in names:
                self.add_module(name, nn.Linear(2, 2))

    def model_of(*names: str) -> Any:
        return nn.ModuleDict({"h": nn.ModuleList([nn.ModuleDict({"attn": Attention(*names)})])})

    assert "the model's attention has no projections known as key and value" in str(refuses(model_of("mixer")))
    assert "the model's attention does not go through the interface" in str(refuses(model_of("k_proj", "v_proj")))
    model.config._attn_implementation = "eager"
    said = refuses(model)
    assert said == "the model's attention (eager) is computed by its own code" and isinstance(said, Phrase)
    assert said.text("zh") == "模型的注意力（eager）由它自己的代码计算"
    said = refuses(model, tokens=0)
    assert isinstance(said, Phrase) and said.text("zh") == "tokens 至少为 1，不能是 0"
