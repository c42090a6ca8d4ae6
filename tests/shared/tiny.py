"""Tiny random models, a byte-level tokenizer and a few rows: what the tests of methods, loop and forward pass share."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    BertConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    T5Config,
)

from kinds import labelled_rows, of_kind, texts_of
from luthier.core import catalog
from luthier.core.records import Chat, Labelled, Message, Preference, Rated, Tagged, Text
from luthier.core.split import Split
from luthier.data.prompts import Template
from luthier.io.config import Recipe, TrainingConfig
from luthier.models.base import TrainableLM
from luthier.models.loading.of_recipe import load_base, trainable

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MORE = ("<mask>", *(f"<extra_id_{at}>" for at in range(3)))  # what denoising and masking need
_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "attention_dropout": 0.0,
}
WINDOW = 6  # of the Qwen2 model's upper layers: shorter than nearly every segment
MODELS = ("llama_tied", "llama_untied", "qwen2_sliding", "gpt2")  # causal
KINDS = (*MODELS, "bert", "t5")


def byte_tokenizer(
    texts: Sequence[str], special: Sequence[str], size: int, trim_offsets: bool = True, **tokens: str
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on a few texts; `tokens` names bos_token, eos_token and so on."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(list(texts) * 20, trainer)
    raw.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    return PreTrainedTokenizerFast(tokenizer_object=raw, **tokens)


def _config(kind: str, **more: Any) -> PreTrainedConfig:
    if kind == "gpt2":
        return GPT2Config(n_embd=32, n_layer=3, n_head=4, n_positions=512, **more)
    if kind == "bert":
        sizes = {k: v for k, v in _SIZES.items() if k not in ("num_key_value_heads", "max_position_embeddings")}
        return BertConfig(**sizes, num_hidden_layers=3, max_position_embeddings=512, **more)
    if kind == "t5":
        sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_heads": 4, "relative_attention_max_distance": 16}
        more = {"decoder_start_token_id": 0} | more
        return T5Config(**sizes, num_layers=2, num_decoder_layers=3, relative_attention_num_buckets=8, **more)
    if kind == "qwen2_sliding":
        sliding: dict[str, Any] = {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}
        return Qwen2Config(**_SIZES, num_hidden_layers=3, tie_word_embeddings=True, **sliding, **more)
    layers, tied = {"llama_tied": (3, True), "llama_untied": (4, False)}[kind]
    return LlamaConfig(**_SIZES, num_hidden_layers=layers, tie_word_embeddings=tied, **more)


@torch.no_grad()
def scramble(model: nn.Module, seed: int) -> None:
    """Weights large enough that attention, norms and biases all matter: fresh models are nearly uniform."""
    random = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=random)
        if "norm" in name.lower() or "ln_" in name:
            p.copy_(1 + 0.2 * noise)
        else:  # words of BERT and T5 are large, as theirs are beside positions and T5's small head
            p.copy_((1.0 if "word_embeddings" in name or "shared" in name else 0.2) * noise)


def auto_class(kind: str) -> Any:
    """The class with which transformers loads that kind, an encoder without what tells masked tokens."""
    return {"bert": AutoModel, "t5": AutoModelForSeq2SeqLM}.get(kind, AutoModelForCausalLM)


def tokenizer(ends: bool = False, more: bool = False) -> PreTrainedTokenizerFast:
    """The tokenizer of all tiny models. more: what masks and gaps need. ends: a token before and one after every text,
    as encoders' have."""
    texts = [f"{r.text} {r.label}" for r in labelled_rows(LABELLED.train)]
    texts += [m.content for r in of_kind(Chat, CHATS.train) for m in r.messages]
    made = byte_tokenizer(texts, SPECIAL, 320, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    if more:
        made.add_special_tokens({"mask_token": MORE[0], "additional_special_tokens": list(MORE[1:])})
    made.chat_template = CHATML
    if ends:
        special = [(token, made.convert_tokens_to_ids(token)) for token in SPECIAL[1:]]
        single = f"{SPECIAL[1]} $A {SPECIAL[2]}"
        made.backend_tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=special)
    return made


def save(config: PreTrainedConfig, folder: Path, auto: Any = AutoModelForCausalLM, seed: int = 0) -> Path:
    """Write a random model with the tokenizer; gives the folder."""
    model: Any = auto.from_config(config)
    scramble(model, seed)
    model.save_pretrained(folder)
    encoder = auto in (AutoModel, AutoModelForMaskedLM)
    tokenizer(ends=encoder, more=config.vocab_size > 320).save_pretrained(folder)
    return folder


def save_model(kind: str, folder: Path) -> Path:
    """Write a random model of that kind with its tokenizer; gives the folder."""
    made = tokenizer(more=kind in ("bert", "t5"))
    config = _config(kind, vocab_size=len(made), eos_token_id=made.eos_token_id, pad_token_id=0, bos_token_id=None)
    return save(config, folder, AutoModelForMaskedLM if kind == "bert" else auto_class(kind), KINDS.index(kind))


@cache
def _loaded(folder: Path) -> TrainableLM:
    return trainable(load_base(recipe(folder)))


def fresh(folder: Path) -> Any:
    """A base model of its own, as `load_base` gives it; nothing is shared with the one before."""
    return replace(copy.deepcopy(_loaded(folder)), trunks={})


def reference(folder: Path) -> Any:
    """The same weights as transformers runs them by itself."""
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa").eval()


def recipe(folder: Path, method: str = "lora", **changes: Any) -> Recipe:
    """A recipe on a tiny model: float32, one thread, three epochs, a reward where it needs one, and what is given."""
    if "reward" in catalog.load(catalog.find(method, "direct", "patches")).needs:
        changes.setdefault("reward", "re:e")
    training = TrainingConfig(**{"tokens": 10**9, "epochs": 3, **changes.pop("training", {})})
    return Recipe(method=method, model=str(folder), training=training, dtype="float32", threads=1, **changes)


PLAIN = Template("plain", "{input}", chat=False)


def labelled(*rows: tuple[str, str]) -> tuple[Labelled, ...]:
    """Rows of text and label."""
    return tuple(Labelled(text, label) for text, label in rows)


def chat(question: str, answer: str, system: str | None = None) -> Chat:
    """One question and one answer."""
    turns = (Message("user", question), Message("assistant", answer))
    return Chat((Message("system", system), *turns) if system else turns)


LABELLED = Split(
    "classification",
    train=labelled(
        ("where is my parcel", "delivery"), ("the box never came", "delivery"), ("no courier today", "delivery"),
        ("give me my money", "refund"), ("i was charged twice", "refund"), ("退款还没有到", "refund"),
        ("i cannot log in", "account access"), ("password is lost", "account access"),
    ),
    validation=labelled(("the parcel is late", "delivery"), ("pay me back", "refund"), ("log in fails", "refund")),
    test=labelled(("TEST ROW one", "delivery"), ("TEST ROW two", "refund")),
    labels=("account access", "delivery", "refund"),
)  # fmt: skip
TAGGED = Split(
    "multilabel",
    train=tuple(
        Tagged(text, tags)
        for text, tags in zip(
            texts_of(LABELLED.train),
            (("parcel",), ("parcel", "angry"), ("parcel",), ("money",), ("money",), ("money",), (), ()),
            strict=True,
        )
    ),
    validation=(Tagged("the parcel is late", ("parcel",)), Tagged("pay me back", ("money", "angry")), Tagged("ok", ())),
    test=(Tagged("TEST ROW one", ("parcel",)), Tagged("TEST ROW two", ())),
    labels=("angry", "money", "parcel"),
)
RATED = Split(
    "regression",
    train=tuple(Rated(text, 10.0 + 2.5 * len(text)) for text in texts_of(LABELLED.train)),
    validation=(Rated("the parcel is late", 55.0), Rated("pay me back", 37.5), Rated("log in fails", 41.0)),
    test=(Rated("TEST ROW one", 40.0), Rated("TEST ROW two", 39.5)),
)
CHATS = Split(
    "generation",
    train=(
        chat("Ich mag Tee", "I like tea"), chat("Das Wetter ist gut", "It is fine"), chat("Wo ist der Bus?", "Where?"),
        chat("hello", "hi there", system="be brief"), chat("one and one", "two"), chat("再见", "bye"),
        Chat((*chat("a", "b").messages, *chat("c", "d").messages)), chat("the end", "no"),
    ),
    validation=(chat("Ich mag Bus", "I like"), chat("Wo?", "Where?")),
    test=(chat("TEST ROW one", "never"), chat("TEST ROW two", "seen")),
)  # fmt: skip


PAIRS = Split(
    "preference",
    train=tuple(
        Preference(chat(r.text, "").asked, f"yes, {tail} for you", f"no {tail}")
        for r, tail in zip(LABELLED.train, ("soon", "now", "today", "twice", "again", "好", "in", "here"), strict=True)
        if isinstance(r, Labelled)
    ),
    validation=(
        Preference(chat("the parcel is late", "").asked, "yes, soon for you", "no"),
        Preference(chat("pay me back", "").asked, "yes, now", "no never"),
    ),
    test=(
        Preference(chat("TEST ROW one", "").asked, "yes", "no"), Preference(chat("TEST ROW two", "").asked, "a", "b"),
    ),
)  # fmt: skip
TEXTS = Split(
    "text",
    train=tuple(
        Text(text, "notes.txt")
        for text in (
            "where is my parcel\nthe box never came", "no courier today", "give me my money", "退款还没有到",
            "the weather is fine and the bus is late", "i cannot log in", "再见", "one and one is two and two is four",
        )
    ),
    validation=(Text("the parcel is late"), Text("pay me back")),
    test=(Text("TEST ROW one"), Text("TEST ROW two")),
)  # fmt: skip


def moved(model: PreTrainedModel, where: torch.dtype | str) -> None:
    """Into that number format or onto that device: `to` itself is annotated as if it took a model."""
    untyped: Any = model
    untyped.to(where)


def bits(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters by name."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def tree(model: nn.Module) -> list[tuple[str, int]]:
    """Which module object stands where, and which parameter object, shared ones included."""
    modules = [(name, id(m)) for name, m in model.named_modules(remove_duplicate=False)]
    return modules + [(name, id(p)) for name, p in model.named_parameters(remove_duplicate=False)]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Equal names and bit-equal values."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Calls:
    """Counts forward passes of a module for the length of a `with` block."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.count = module, 0

    def __enter__(self) -> Calls:
        self._handle = self.module.register_forward_pre_hook(self._add)
        return self

    def _add(self, *_: object) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self._handle.remove()
