"""An encoder (BERT, RoBERTa, ModernBERT…): it reads a text and tells labels apart, it does not write.

Texts are packed end to end like those of causal models, each token seeing its whole text, where the model's attention
goes through transformers' interface; other encoders get padded rows. Which of the two gives what the model itself gives
is tried on a few tokens when it is loaded, and positions are numbered as the model numbers them (RoBERTa starts at 2).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from luthier.core.batch import Batch
from luthier.core.errors import LuthierError, is_our_fault
from luthier.core.phrases import say
from luthier.core.records import Prompt, Record
from luthier.models.attention.packed import Bidirectional, KeysValues, register, using
from luthier.models.attention.padded import by_groups, states_after
from luthier.models.base import MASKED, TrainableLM
from luthier.models.kernels.vocabulary_head import VocabHead, token_logprobs
from luthier.models.layers.masking import MaskHead

APART = 7  # of the tokens that are masked together: about as many as in training
PROBE = (7, 4)  # tokens of the two texts that are tried when a model is loaded


@dataclass
class EncoderLM(TrainableLM):
    """A model that reads text in both directions. Its label head reads the mean of the text's last states.

    The mean, not the first token's state: a first token is only worth reading after a training that made it so, which
    RoBERTa's never had, while the mean serves frozen and trained models alike. Special tokens count, virtual ones do
    not. offset: the position of a text's first token. packed: texts lie end to end, without padding. masked: what tells
    masked tokens, where the model was loaded with it; `mask_head` is that, while something reads it.
    """

    offset: int = 0
    packed: bool = False
    masked: MaskHead | None = None

    can = frozenset({"predict"})
    cannot = say("said_refused_encoder")
    told = MASKED
    poolings = ("mean", "first")
    peft_task = "FEATURE_EXTRACTION"

    @classmethod
    def wrap(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, key: str = "") -> Self:
        """A loaded model made ready: frozen, in evaluation mode; refuses what depends on its neighbours in a batch."""
        model.eval()
        model.requires_grad_(False)
        if isinstance(getattr(model, "pooler", None), nn.Module):
            model.pooler = cast(Any, None)  # made for the sentence pairs of pre-training; nothing here reads it
        inner: Any = model.base_model
        masked = MaskHead(model) if inner is not model and model.get_output_embeddings() is not None else None
        inner.name_or_path = model.name_or_path
        lm = cls(inner, tokenizer, name, key, masked=masked)
        _ = lm.blocks
        lm._choose_layout()
        return lm

    @property
    def separable(self) -> bool:
        """Packed states can enter at a block; padded ones would need their masks."""
        return self.packed

    @property
    def width(self) -> int:
        return int(self.model.config.hidden_size)

    @property
    def context(self) -> int:
        table = _position_table(self.model)
        size = table.num_embeddings if table else getattr(self.model.config, "max_position_embeddings", 0) or 512
        return int(size) - self.offset - self.ahead

    @property
    def mask_head(self) -> MaskHead | None:
        """What tells masked tokens, while something reads it."""
        return getattr(self.model, "mask_head", None)

    @property
    def head(self) -> VocabHead:
        if self.masked is None:
            return super().head
        return VocabHead(self.masked.output.weight, self.masked.output.bias)

    def own_head(self, kind: str) -> nn.Module | None:
        return self.masked if kind == "mask" else None

    def named_here(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Of a masked language model its head too, which stands on the encoder from now on."""
        if self.masked is None or not any(n.startswith(f"{self.model.base_model_prefix}.") for n in tensors):
            return tensors
        self.model.mask_head = self.masked
        here = {id(p): n for n, p in self.model.named_parameters()}
        there = dict(self.masked.whole.named_parameters(remove_duplicate=False))
        return {here[id(there[n])] if n in there else n: t for n, t in tensors.items()}

    # -- forward passes ------------------------------------------------------------------------------------------

    def hidden(self, ids: Tensor, positions: Tensor, segments: Sequence[int]) -> Tensor:
        if self.packed:
            prefix = self.learned_prefix() if self.learned_prefix is not None else None
            return self._packed(ids, positions, Bidirectional(segments, prefix=prefix))
        return by_groups(ids, segments, self._fill, self._padded)

    def _packed(self, ids: Tensor, positions: Tensor, layout: Bidirectional) -> Tensor:
        places = positions[None] + self.offset + self.ahead
        with using(layout):
            out = self.decoder(input_ids=ids[None], position_ids=places)
        return cast(Tensor, out.last_hidden_state[0])

    @torch.no_grad()
    def keys_values(self, ids: Sequence[int]) -> KeysValues:
        record: KeysValues = {}
        positions = torch.arange(len(ids), device=self.device)
        self._packed(torch.tensor(ids, device=self.device), positions, Bidirectional([len(ids)], record=record))
        return record

    def _padded(self, ids: Tensor, mask: Tensor) -> Tensor:
        return cast(Tensor, self.decoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state)

    @property
    def _fill(self) -> int:
        return int(self.model.config.pad_token_id or 0)

    def pick(self, hidden: Tensor, batch: Batch) -> Tensor:
        """The mean over each segment, in the order of `batch.where`, which has one place a segment; or what tells
        masked tokens at each place."""
        if self.mask_head is not None and self.label_head is None:
            return cast(Tensor, self.mask_head(hidden[batch.where]))
        n = len(self.virtual)
        return torch.stack([part[n:].mean(0) for part in hidden.split(list(batch.segments))])

    @torch.no_grad()
    def depth_states(
        self, ids: Tensor, positions: Tensor, segments: Sequence[int], depths: Collection[int]
    ) -> dict[int, Tensor]:
        if self.packed:
            return super().depth_states(ids, positions, segments, depths)
        return states_after(self.feature_blocks, depths, ids, segments, self._fill, self._padded)

    @torch.no_grad()
    def _choose_layout(self) -> None:
        """Packed where that gives what the model gives by itself, else padded where that does."""
        size = cast(nn.Embedding, self.model.get_input_embeddings()).num_embeddings
        usable = [i for i in range(size) if i != self.model.config.pad_token_id]
        ids = torch.tensor(usable[-sum(PROBE) :], device=self.device)
        kind = type(self.model).__name__
        try:
            with _Positions(self.model) as seen:
                want = torch.cat([self.decoder(input_ids=p[None]).last_hidden_state[0] for p in ids.split(PROBE)])
        except Exception as error:  # a model that also wants boxes, entities, an image...
            if is_our_fault(error):
                raise
            raise LuthierError(f"{self.name}: a {kind} does not run on a text's tokens alone ({error})") from error
        positions = torch.cat([torch.arange(n, device=self.device) for n in PROBE])
        own = self.model.config._attn_implementation
        if getattr(type(self.model), "_supports_attention_backend", False):
            self.offset, self.packed = seen.first, True
            self.model.set_attn_implementation(register())
            if self._agrees(want, ids, positions):
                return
            self.model.set_attn_implementation(own)
        self.packed = False
        if not self._agrees(want, ids, positions):
            raise LuthierError(
                f"{self.name}: what a {kind} gives for a text depends on the texts beside it, so it cannot be run in "
                "batches: name another model"
            )

    def _agrees(self, want: Tensor, ids: Tensor, positions: Tensor) -> bool:
        try:
            got = self.hidden(ids, positions, PROBE)
        except Exception as error:  # a model is a program of somebody else's: what it cannot run it may say in any way
            if is_our_fault(error):
                raise
            return False
        tolerance = 1e-3 if want.dtype == torch.float32 else 5e-2
        return bool((got - want).abs().max() <= tolerance * want.abs().max())

    # -- texts and tokens ----------------------------------------------------------------------------------------

    @property
    def blank(self) -> int:
        return self._fill

    def encode_whole(self, prompt: Prompt, labels: Sequence[str], shots: Sequence[Record]) -> list[int]:
        """Token ids of the text as it is: an encoder needs no wording."""
        text = prompt if isinstance(prompt, str) else "\n".join(m.content for m in prompt)
        return list(self.tokenizer(text, verbose=False)["input_ids"]) or [self.blank]

    @torch.no_grad()
    def stretch_logprobs(self, ids: Sequence[int]) -> Tensor:
        """Of each token where it and every seventh one are masked; one at a time in Salazar et al. 2020; (tokens,)."""
        if self.masked is None or self.tokenizer.mask_token_id is None:
            raise LuthierError(f"{self.name}: {say('said_refused_masked')}")
        n, found = len(self.virtual), torch.empty(len(ids))
        whole = torch.tensor([*self.virtual, *ids], device=self.device)
        positions = torch.arange(len(whole), device=self.device)
        for at in range(min(APART, len(ids))):
            places = positions[n + at :: APART]
            read = whole.index_fill(0, places, int(cast(Any, self.tokenizer.mask_token_id)))
            states = self.masked(self.hidden(read, positions, [len(read)])[places])
            order = torch.arange(len(places), device=self.device)
            found[at::APART] = token_logprobs(states, self.head, order, whole[places]).cpu()
        return found

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """(N, K) log-probabilities by the label head."""
        if self.label_head is None:
            raise LuthierError(f"{self.name}: {self.cannot}, only a label head that was trained can predict")
        return super().predict(texts, labels)


def _position_table(model: nn.Module) -> nn.Embedding | None:
    """The table of learned absolute positions, where a model has one."""
    found = (m for n, m in model.named_modules() if n.rsplit(".", 1)[-1] == "position_embeddings")
    return next((m for m in found if isinstance(m, nn.Embedding)), None)


class _Positions:
    """Watches which position the model gives to a first token; 0 where it looks none up."""

    def __init__(self, model: nn.Module) -> None:
        self.table, self.first = _position_table(model), 0
        self._handle: Any = None

    def __enter__(self) -> _Positions:
        if self.table is not None:
            self._handle = self.table.register_forward_pre_hook(self._see)
        return self

    def _see(self, _module: object, args: tuple[Tensor, ...]) -> None:
        self.first = int(args[0].min())

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.remove()
