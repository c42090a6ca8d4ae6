"""A causal language model as the rest of Luthier sees it: encode, one forward pass, predict, generate, save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from luthier.data.prompts import CLASSIFY, GENERATE, Template, compose, templates
from luthier.errors import LuthierError
from luthier.files import write_json
from luthier.models.attention import Layout, Packed, register
from luthier.models.labelling import LabelHead
from luthier.protocols import Labelled, Message, Prompt, Record, Sampling

Progress = Callable[[int, int], None]  # done, of how many


@dataclass
class CausalLM:
    """A base model with what adapts it: a wording, worked examples, virtual tokens, a label head.

    key: fingerprint of the base, part of every cache's name.
    template: None means the task's first wording. shots: worked examples that stand before every prompt.
    virtual: ids at or above the vocabulary's size, which a soft prompt turns into its own vectors.
    labels: the classes it tells apart.
    trunks: states of the frozen part by content, shared by all runs on this base.
    save_extra: what a patch adds to `save`.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    key: str = ""
    template: Template | None = None
    shots: tuple[Record, ...] = ()
    virtual: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    progress: Progress | None = None
    trunks: dict[Any, Tensor] = field(default_factory=dict)
    save_extra: Callable[[Path], None] | None = None

    can = frozenset({"generate", "logprobs", "predict"})

    @classmethod
    def wrap(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, key: str = "") -> CausalLM:
        """A loaded model made ready: frozen, in evaluation mode, with our attention; refuses what it cannot run."""
        config = model.config.get_text_config()
        for option in ("attn_logit_softcapping", "final_logit_softcapping", "logit_scale", "logits_scaling"):
            value = getattr(config, option, None)
            if value not in (None, 1, 1.0):
                raise LuthierError(f"{name}: models with {option} ({value}) are not supported yet")
        model.set_attn_implementation(register())
        model.eval()
        model.requires_grad_(False)
        lm = cls(model, tokenizer, name, key)
        _ = lm.head, lm.blocks  # a model without them is refused here, not in the middle of a run
        return lm

    @property
    def decoder(self) -> Any:
        """The model without its vocabulary head."""
        return self.model.base_model

    @property
    def blocks(self) -> nn.ModuleList:
        """The decoder's blocks, lowest first."""
        for name in ("layers", "h", "blocks"):
            if isinstance(found := getattr(self.decoder, name, None), nn.ModuleList):
                return found
        raise LuthierError(f"{self.name}: the blocks of a {type(self.decoder).__name__} were not found")

    @property
    def head(self) -> Tensor:
        """The vocabulary head's weight, (V, d)."""
        head = self.model.get_output_embeddings()
        if not isinstance(head, nn.Linear) or head.bias is not None:
            raise LuthierError(f"{self.name}: a vocabulary head of kind {type(head).__name__} is not supported yet")
        return head.weight

    @property
    def label_head(self) -> LabelHead | None:
        """The classification head (K, d), when an objective asked for one."""
        return getattr(self.model, "label_head", None)

    @property
    def device(self) -> torch.device:
        """Where the embedding lives."""
        return next(self.model.parameters()).device

    @property
    def context(self) -> int:
        """The longest sequence, in tokens."""
        return int(getattr(self.model.config, "max_position_embeddings", 2048))

    def forward(self, ids: Tensor, positions: Tensor, layout: Layout, embeds: Tensor | None = None) -> Tensor:
        """Last hidden states after the final norm. ids, positions: (B, T) -> (B, T, d); embeds replaces ids."""
        given = {"input_ids": ids} if embeds is None else {"inputs_embeds": embeds}
        out = self.decoder(**given, position_ids=positions, use_cache=False, layout=layout)
        return cast(Tensor, out.last_hidden_state)

    def hidden(self, ids: Tensor, positions: Tensor, segments: Sequence[int]) -> Tensor:
        """Hidden states (T, d) of segments laid end to end; ids, positions: (T,)."""
        return self.forward(ids[None], positions[None], Packed(segments))[0]

    def encode_prompt(self, prompt: Prompt, labels: Sequence[str] = ()) -> list[int]:
        """Token ids of the worded prompt, virtual tokens first."""
        from luthier.data.chat import encode_prompt

        template = self.template or (CLASSIFY if labels else GENERATE)[0]
        composed = compose(template, prompt, labels, self.shots)
        if isinstance(composed, str):
            return [*self.virtual, *self.tokenizer(composed)["input_ids"]]
        return [*self.virtual, *encode_prompt(self.tokenizer, composed)]

    def encode_answer(self, answer: str, labels: Sequence[str] = ()) -> list[int]:
        """Token ids of an answer that follows such a prompt, without an end token."""
        template = self.template or (CLASSIFY if labels else GENERATE)[0]
        return list(self.tokenizer(template.gap + answer, add_special_tokens=False)["input_ids"])

    @property
    def end_ids(self) -> set[int]:
        """Tokens that end an answer."""
        ends = getattr(self.model.generation_config, "eos_token_id", None)
        found = set(ends if isinstance(ends, list) else [ends]) | {self.tokenizer.eos_token_id}
        return {i for i in found if i is not None}

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """(N, K) log-probabilities: by the label head if there is one, else by the likelihood of the label's words."""
        from luthier.models import score

        if self.label_head is not None:
            return score.by_head(self, texts, labels)
        return score.by_words(self, texts, labels)

    def logprobs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Tensor]:
        """Log-probability in nats of each token of each answer after its prompt."""
        from luthier.models import score

        rows = [(self.encode_prompt(p), [self.encode_answer(a)]) for p, a in pairs]
        return [found[0] for found in score.continuations(self, rows)]

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """One answer a prompt; a plain wording's answer ends with its line."""
        from luthier.models.decode import generate

        template = self.template or GENERATE[0]
        encoded = [self.encode_prompt(p) for p in prompts]
        answers = generate(self, encoded, sampling, line=not template.chat)
        texts = [str(self.tokenizer.decode(a, skip_special_tokens=True)).strip() for a in answers]
        return texts if template.chat else [t.split("\n", 1)[0].strip() for t in texts]

    def wordings(self, labels: Sequence[str]) -> Sequence[Template]:
        """The wordings that a method may choose among."""
        return templates(labels)

    def length(self, prompt: Prompt, labels: Sequence[str] = ()) -> int:
        """Tokens of the worded prompt."""
        return len(self.encode_prompt(prompt, labels))

    def worded(self, template: Template, labels: Sequence[str], shots: Sequence[Record] = ()) -> CausalLM:
        """The same weights behind another wording, for these labels (none: it writes text)."""
        return replace(self, template=template, labels=tuple(labels), shots=tuple(shots))

    def save(self, folder: Path) -> None:
        """Wording and worked examples in `luthier.json`; a patch writes its tensors beside it."""
        wording = {
            "template": asdict(self.template) if self.template else None,
            "shots": [_shot(s) for s in self.shots],
            "labels": list(self.labels),
        }
        write_json(folder / "luthier.json", wording)
        if self.save_extra:
            self.save_extra(folder)

    def restore(self, wording: dict[str, Any]) -> CausalLM:
        """What `save` wrote in `luthier.json`, applied to this base."""
        template = Template(**wording["template"]) if wording["template"] else None
        return replace(
            self, template=template, shots=tuple(map(_unshot, wording["shots"])), labels=tuple(wording["labels"])
        )


def _shot(record: Record) -> dict[str, Any]:
    return asdict(record)


def _unshot(record: dict[str, Any]) -> Record:
    from luthier.protocols import Chat

    if "label" in record:
        return Labelled(**record)
    return Chat(tuple(Message(**m) for m in record["messages"]))
