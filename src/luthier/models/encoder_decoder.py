"""An encoder-decoder (T5, BART…): it reads a text with its encoder and writes another with its decoder.

Rows are padded in groups of like length, since relative positions (T5) and learned ones (BART) are counted from the
beginning of a row; packed tensors go in and come out, so that a batch looks as it does for other models.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedModel, PreTrainedTokenizerBase

from luthier.core.batch import Batch
from luthier.core.errors import LuthierError, Unrendered
from luthier.core.example import Example
from luthier.core.records import Message, Prompt, Record, Sampling
from luthier.data.prompts import compose
from luthier.data.rendering import carries_more
from luthier.models.attention.packed import KeysValues
from luthier.models.attention.padded import Padded, by_groups, like_lengths, states_after
from luthier.models.base import SECOND, TrainableLM
from luthier.models.kernels.vocabulary_head import VocabHead
from luthier.models.loading.plain import close
from luthier.models.reading import Row

PROBE, WRITTEN = (7, 4), (3, 2)  # tokens of the texts that are tried when a model is loaded, and of their answers


@dataclass
class Seq2SeqLM(TrainableLM):
    """A model that reads one text and writes another.

    The prompt, always worded as plain text, is the encoder's; answers are the decoder's and end with the end token,
    which counts in likelihoods as it does in training. A label head reads the decoder's first state, the one that would
    predict the answer's first token, so that encoder and decoder both serve it. scale: of the decoder's states before
    the vocabulary head (T5's with a tied one). start: the decoder's first token.
    """

    scale: float = 1.0
    start: int = 0

    told = SECOND
    peft_task = "SEQ_2_SEQ_LM"

    @classmethod
    def wrap(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, key: str = "") -> Self:
        """A loaded model made ready: frozen, in evaluation mode; refuses what it cannot run."""
        model.eval()
        model.requires_grad_(False)
        config: Any = model.config
        start = config.decoder_start_token_id
        if start is None:
            start = model.generation_config.decoder_start_token_id  # type: ignore[union-attr]
        if start is None or tokenizer.eos_token_id is None:
            raise LuthierError(f"{name}: it does not say with which token an answer starts or ends")
        lm = cls(model, tokenizer, name, key, start=int(start))
        _ = lm.blocks, lm.feature_blocks
        lm._probe()
        return lm

    @torch.no_grad()
    def _probe(self) -> None:
        """Find what scales the decoder's states before the vocabulary head, from two texts side by side.

        Refuses a model whose logits then are not those that it gives each text alone: it takes something from the
        texts beside it (experts with a capacity), or does more to its logits.
        """
        size = int(self.reader.get_input_embeddings().weight.shape[0])
        usable = [i for i in range(size) if i != self._fill][-sum(PROBE) :]
        texts, start = torch.tensor(usable, device=self.device).split(PROBE), torch.tensor([self.start])
        given = [torch.cat([start.to(t.device), t[: n - 1]]) for t, n in zip(texts, WRITTEN, strict=True)]
        pairs = zip(texts, given, strict=True)
        want = torch.cat([self.model(input_ids=a[None], decoder_input_ids=b[None]).logits[0] for a, b in pairs])
        states = torch.cat(self._decode(self.encode(torch.cat(texts), PROBE).split(PROBE), given))
        for scale in (1.0, self.width**-0.5):  # the second is T5's with a tied head
            if close(self.head.logits(states * scale), want, self.head.weight.dtype):
                self.scale = scale
                return
        kind = type(self.model).__name__
        raise LuthierError(
            f"{self.name}: a {kind} gives a text other logits beside another text than alone, or changes its logits "
            "after the vocabulary head: not supported yet"
        )

    # -- parts ---------------------------------------------------------------------------------------------------

    @property
    def head(self) -> VocabHead:
        bias: Tensor | None = getattr(self.model, "final_logits_bias", None)  # BART's and Marian's, a buffer (1, V)
        return super().head if bias is None else replace(super().head, bias=bias[0])

    @property
    def reader(self) -> Any:
        return self.model.get_encoder()

    @property
    def decoder(self) -> Any:
        return self.model.get_decoder()

    @property
    def stacks(self) -> tuple[nn.ModuleList, ...]:
        return (self.feature_blocks, self.blocks)

    @property
    def feature_blocks(self) -> nn.ModuleList:
        return self._blocks_of(self.reader)

    # -- forward passes ------------------------------------------------------------------------------------------

    @property
    def _fill(self) -> int:
        return int(self.model.config.pad_token_id or 0)

    def encode(self, ids: Tensor, segments: Sequence[int]) -> Tensor:
        """The encoder's last states (T, d) of texts end to end; ids: (T,)."""
        return by_groups(ids, segments, self._fill, self._encode)

    def _encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        return cast(Tensor, self.reader(input_ids=ids, attention_mask=mask.long()).last_hidden_state)

    def hidden(self, ids: Tensor, positions: Tensor, segments: Sequence[int]) -> Tensor:
        """The encoder's last states (T, d)."""
        return self.encode(ids, segments)

    def _decode(self, read: Sequence[Tensor], ids: Sequence[Tensor]) -> list[Tensor]:
        """The decoder's states (m, d) of each row: what it was given (m,), behind the encoder's states (n, d)."""
        found: dict[int, Tensor] = {}
        for rows in like_lengths([len(states) for states in read]):
            texts = Padded([len(read[row]) for row in rows], self.device)
            answers = Padded([len(ids[row]) for row in rows], self.device)
            # no mask of its own: padding stands on the right, where no token looks
            out = self.decoder(
                input_ids=answers.spread(torch.cat([ids[row] for row in rows]), self._fill),
                encoder_hidden_states=texts.spread(torch.cat([read[row] for row in rows])),
                encoder_attention_mask=texts.mask.long(),
                past_key_values=self.cache(len(rows)) if self.learned_prefix is not None else None,
                use_cache=False,
            )
            states = answers.gather(out.last_hidden_state) * self.scale
            found |= zip(rows, states.split([len(ids[row]) for row in rows]), strict=True)
        return [found[row] for row in range(len(read))]

    def cache(self, rows: int) -> EncoderDecoderCache:
        """What the decoder has read before its first token: nothing, or learned keys and values."""
        learned = self.learned_prefix() if self.learned_prefix is not None else {}
        pairs = [(k.expand(rows, -1, -1, -1), v.expand(rows, -1, -1, -1)) for k, v in learned.values()]
        # its own choice counts the encoder's blocks, which may be fewer than the decoder's
        return EncoderDecoderCache(DynamicCache(pairs or None), DynamicCache())

    @torch.no_grad()
    def keys_values(self, ids: Sequence[int]) -> KeysValues:
        """The decoder's, when it writes the text that the encoder has read."""
        text, cache = torch.tensor([list(ids)], device=self.device), self.cache(1)
        given = torch.tensor([[self.start, *ids[:-1]]], device=self.device)
        read = self.encode(text[0], [len(ids)])[None]
        self.decoder(input_ids=given, encoder_hidden_states=read, past_key_values=cache, use_cache=True)
        layers: Any = cache.self_attention_cache.layers
        return {i: (layer.keys, layer.values) for i, layer in enumerate(layers)}

    def read(self, batch: Batch) -> Tensor:
        """Decoder states (N, d): at `batch.where`; without decoder ids, its first one of each segment."""
        return self.above(batch, self.encode(batch.ids, batch.segments), 0)

    def below(self, batch: Batch, cut: int) -> Tensor:
        """The encoder's states: the decoder's lower blocks are short work beside it."""
        return self.encode(batch.ids, batch.segments)

    def above(self, batch: Batch, states: Tensor, cut: int) -> Tensor:
        read = states.split(list(batch.segments))
        if batch.decoder_ids is None:
            start = torch.tensor([self.start], device=self.device)
            return torch.cat(self._decode(read, [start] * len(read)))
        return torch.cat(self._decode(read, batch.decoder_ids.split(list(batch.decoder_segments))))[batch.where]

    @torch.no_grad()
    def depth_states(
        self, ids: Tensor, positions: Tensor, segments: Sequence[int], depths: Collection[int]
    ) -> dict[int, Tensor]:
        return states_after(self.feature_blocks, depths, ids, segments, self._fill, self._encode)

    # -- texts and tokens ----------------------------------------------------------------------------------------

    @property
    def blank(self) -> int:
        return self._end

    def encode_whole(self, prompt: Prompt, labels: Sequence[str], shots: Sequence[Record]) -> list[int]:
        composed = compose(replace(self.wording(labels), chat=False), prompt, labels, shots)
        assert isinstance(composed, str)
        return list(self.tokenizer(composed, verbose=False)["input_ids"]) or [self.blank]

    def answer_limit(self, answer: int) -> int:
        """All the limit: the prompt is the encoder's."""
        return min(answer, self.limit)

    def prompt_limit(self, answer: int) -> int:
        """All the limit: the answer is the decoder's."""
        return self.limit

    def encode_answer(self, answer: str, labels: Sequence[str] = ()) -> list[int]:
        """Token ids of an answer, the end token included."""
        ids = list(self.tokenizer(text_target=answer)["input_ids"])
        return ids if ids and ids[-1] == self._end else [*ids, self._end]

    @property
    def _end(self) -> int:
        return int(self.tokenizer.eos_token_id)  # type: ignore[arg-type]

    def pair(self, row: int, read: Sequence[int], wanted: Sequence[int]) -> Example:
        known = tuple(wanted[: self.answer_limit(len(wanted))])
        return Example(
            row, tuple(read), tuple(range(len(known))), known, decoder=(self.start, *known[:-1]),
            lost=len(wanted) - len(known),
        )  # fmt: skip

    def example(self, row: int, prompt: Prompt, answer: str, labels: Sequence[str] = ()) -> Example:
        found = self.read_prompt(prompt, labels)
        return replace(self.pair(row, found.ids, self.encode_answer(answer, labels)), cut=found.cut)

    def chat_examples(self, row: int, messages: Sequence[Message]) -> list[Example]:
        """One example a learned turn: all before it is the encoder's. Raises Unrendered for what is more than words."""
        if carries_more(messages):
            raise Unrendered("an encoder-decoder reads and writes words only: no tools, calls or reasoning")
        return [
            self.example(row, messages[:i], m.content)
            for i, m in enumerate(messages)
            if m.role == "assistant" and i and m.learned
        ]

    # -- what is asked of it -------------------------------------------------------------------------------------

    def continuations(self, rows: Sequence[Row]) -> list[list[Tensor]]:
        from luthier.models.encoder_decoder_answers import continuations

        return continuations(self, [(p, [a[: self.answer_limit(len(a))] for a in answers]) for p, answers in rows])

    def stretch_logprobs(self, ids: Sequence[int]) -> Tensor:
        """Of the second half, the decoder's, after the first, the encoder's."""
        from luthier.models.inference.scoring import second_half

        return second_half(self, ids)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        from luthier.models.encoder_decoder_answers import generate

        answers = generate(self, [self.encode_prompt(p) for p in prompts], sampling)
        return [str(self.tokenizer.decode(a, skip_special_tokens=True)).strip() for a in answers]
