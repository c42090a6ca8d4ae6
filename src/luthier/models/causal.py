"""A causal language model: forward passes over packed or padded texts, likelihoods, generation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from luthier.core.batch import Batch
from luthier.core.example import Example
from luthier.core.records import Message, Prompt, Record, Sampling
from luthier.core.window import Window
from luthier.data.pack import next_token
from luthier.data.prompts import compose
from luthier.models.attention.packed import KeysValues, Layout, Packed, using
from luthier.models.attention.positions import stretched_from
from luthier.models.base import SECOND, TrainableLM
from luthier.models.base import Progress as Progress
from luthier.models.ends import Ends, ends
from luthier.models.kernels.vocabulary_head import VocabHead
from luthier.models.reading import ROOM, Row
from luthier.models.runner import PackedRunner, PrefixRunner, Runner


@dataclass
class CausalLM(TrainableLM):
    """A model that continues text. Its label head reads the last token's state.

    runner: how its forward passes are made. head_scale, softcap: what it does to its logits (`head.VocabHead`).
    window: what a token sees of its text in training, scoring and writing; None is all that stands before it.
    """

    runner: Runner = field(default_factory=PackedRunner)
    head_scale: float = 1.0
    softcap: float | None = None
    window: Window | None = None

    peft_task = "CAUSAL_LM"
    templated = True  # it is given conversations by the tokenizer's chat template

    @classmethod
    def wrap(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, key: str = "") -> Self:
        """A loaded model made ready: frozen, in evaluation mode, with our attention; refuses what it cannot run."""
        from luthier.models.loading.probe import probe

        model.eval()
        model.requires_grad_(False)
        lm = cls(model, tokenizer, name, key)
        _ = lm.head, lm.blocks  # a model without them is refused here, not in the middle of a run
        found = probe(lm)
        return replace(found, runner=PrefixRunner()) if getattr(model.config, "prefix_lm", False) else found

    @property
    def decoder(self) -> Any:
        base = self.model.base_model
        inner = (module for module in self.model.children() if isinstance(module, PreTrainedModel))
        return next(inner, base) if base is self.model else base  # a model that names another part as its base

    @property
    def head(self) -> VocabHead:
        return replace(super().head, scale=self.head_scale, softcap=self.softcap)

    @property
    def separable(self) -> bool:
        return self.runner.separable

    @property
    def shares(self) -> bool:
        return self.runner.separable

    @property
    def told(self) -> str:  # type: ignore[override]
        return "" if self.runner.ordered else SECOND

    @property
    def context(self) -> int:
        """The longest sequence, in tokens: what positions were trained for.

        Positions that are stretched by the longest text of a batch (dynamic and long RoPE) would make a short text's
        numbers depend on its neighbours: such a model's context ends where the stretching begins.
        """
        stretched = stretched_from(self.model.config)
        return min(super().context, stretched - self.ahead) if stretched else super().context

    @property
    def sight(self) -> Window | None:
        """The window, what was learned to stand in front of every text (a prefix, virtual tokens) always in sight."""
        if self.window is None:
            return None
        return replace(self.window, sinks=self.window.sinks + self.ahead + len(self.virtual))

    @property
    def fill(self) -> int:
        """What stands on padding."""
        return int(getattr(self.model.config, "pad_token_id", None) or 0)

    def forward(self, ids: Tensor, positions: Tensor, layout: Layout, embeds: Tensor | None = None) -> Tensor:
        """Last hidden states after the final norm. ids, positions: (B, T) -> (B, T, d); embeds replaces ids.

        positions count a text's tokens from 0. What a layout has of keys and values computed before includes a learned
        prefix; a layout that has none of them gets it here.
        """
        given = {"input_ids": ids} if embeds is None else {"inputs_embeds": embeds}
        if self.learned_prefix is not None and isinstance(layout, Packed) and layout.prefix is None:
            layout.prefix = self.learned_prefix()
        with using(layout, self.sight):
            out = self.decoder(**given, position_ids=positions + self.ahead, use_cache=False)
        return cast(Tensor, out.last_hidden_state)

    def hidden(self, ids: Tensor, positions: Tensor, segments: Sequence[int]) -> Tensor:
        return self.runner.hidden(self, ids, positions, segments)

    @torch.no_grad()
    def depth_states(
        self, ids: Tensor, positions: Tensor, segments: Sequence[int], depths: Collection[int]
    ) -> dict[int, Tensor]:
        return self.runner.depth_states(self, ids, positions, segments, depths)

    def read(self, batch: Batch) -> Tensor:
        return self.pick(self.runner.states(self, batch), batch)

    def _upper(self, batch: Batch, states: Tensor) -> Tensor:
        # states in place of embeddings: what is ignored anyway need not be looked up
        return self.forward(batch.ids[None], batch.positions[None], Packed(batch.segments), embeds=states[None])[0]

    def keys_values(self, ids: Sequence[int]) -> KeysValues:
        from luthier.models.inference.scoring import run_prefix

        return run_prefix(self, ids) or {}

    def encode_whole(self, prompt: Prompt, labels: Sequence[str], shots: Sequence[Record]) -> list[int]:
        from luthier.data.chat import encode_prompt, encode_said

        composed = compose(self.wording(labels), prompt, labels, shots)
        if isinstance(composed, str):
            return list(self.tokenizer(composed, verbose=False)["input_ids"])
        if self.label_head is not None and composed[-1].role == "assistant":
            return encode_said(self.tokenizer, composed)
        return encode_prompt(self.tokenizer, composed)

    def encode_answer(self, answer: str, labels: Sequence[str] = ()) -> list[int]:
        """Token ids of an answer that follows such a prompt, without an end token."""
        text = self.wording(labels).gap + answer
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def pair(self, row: int, read: Sequence[int], wanted: Sequence[int]) -> Example:
        ids = [*read, *wanted]
        return next_token(row, ids, [at >= len(read) for at in range(len(ids))], self.limit)

    def example(self, row: int, prompt: Prompt, answer: str, labels: Sequence[str] = ()) -> Example:
        wanted = self.encode_answer(answer, labels)
        found = self.read_prompt(prompt, labels, self.answer_room(wanted, labels))
        return replace(self.pair(row, found.ids, wanted), cut=found.cut)

    def chat_examples(self, row: int, messages: Sequence[Message]) -> list[Example]:
        from luthier.models.chat_examples import chat_examples

        return chat_examples(self, row, messages)

    @property
    def ends(self) -> Ends:
        """What ends an answer: what is learned as the end of one, and the end tokens of the model's files."""
        from luthier.data.chat import answer_end

        return ends(self.model, self.tokenizer, answer_end(self.tokenizer))

    def continuations(self, rows: Sequence[Row]) -> list[list[Tensor]]:
        return self.runner.continuations(self, [self.fitting(prompt, answers) for prompt, answers in rows])

    @torch.no_grad()
    def stretch_logprobs(self, ids: Sequence[int]) -> Tensor:
        from luthier.models.inference.scoring import second_half
        from luthier.models.kernels.vocabulary_head import token_logprobs

        if self.told:
            return second_half(self, ids)
        n = len(self.virtual)
        whole = torch.tensor([*self.virtual, *ids], device=self.device)
        hidden = self.hidden(whole, torch.arange(len(whole), device=self.device), [len(whole)])[n:-1]
        return token_logprobs(hidden, self.head, torch.arange(len(hidden), device=self.device), whole[n + 1 :])

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """One answer a prompt; a plain wording's answer ends with its line, unless it says otherwise."""
        from luthier.models.inference.decode import line_tokens

        template = self.wording(())
        whole = template.chat or template.lines
        room = max(self.room or min(sampling.max_new_tokens, ROOM, self.limit // 2), 1)
        encoded = [self.encode_prompt(p, (), room) for p in prompts]
        ends = self.ends
        stops = ends if whole else replace(ends, tokens=(*ends.tokens, *line_tokens(self.tokenizer)))
        answers = self.runner.generate(self, encoded, sampling, stops)
        texts = [ends.cut(str(self.tokenizer.decode(a, skip_special_tokens=True))).strip() for a in answers]
        return texts if whole else [t.split("\n", 1)[0].strip() for t in texts]
