"""What every base model is to the rest of Luthier, whatever its architecture: read, predict, save.

A subclass a kind: `causal.CausalLM` (continues text), `encoder.EncoderLM` (reads it), `seq2seq.Seq2SeqLM` (reads a
text, writes another). Patches, objectives and the loop know only this class.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from luthier.core.batch import Batch
from luthier.core.errors import LuthierError
from luthier.core.records import Prompt, Sampling, record_values
from luthier.data.pack import parted
from luthier.data.prompts import Template, templates
from luthier.data.shorten import Counted
from luthier.io.files import write_json
from luthier.models.asking import Asking, unshot
from luthier.models.attention.packed import KeysValues
from luthier.models.blocks import find_blocks, input_of, outputs_of, upper_only
from luthier.models.ends import Ends, ends
from luthier.models.kernels.fast import fast
from luthier.models.kernels.vocabulary_head import VocabHead
from luthier.models.labelling import LabelHead
from luthier.models.layers.prefix import LearnedPrefix
from luthier.models.reading import Reading, Row

Progress = Callable[[int, int], None]  # done, of how many
SECOND, MASKED = "second_half_", "masked_"  # see `TrainableLM.told`
PASS = 2048  # tokens of answers that go through the model behind one prompt


@dataclass
class TrainableLM(Reading):
    """A model whose weights are here, with what adapts it.

    key: fingerprint of the base, part of every cache's name. asking: its wording, worked examples and labels.
    virtual: ids at or above the vocabulary's size, which a soft prompt turns into its own vectors.
    trunks: states of the frozen part by content, shared by all runs on it. save_extra: what a patch adds to `save`.
    longest: tokens of a prompt with its answer, as in training; None is the whole context. room: how many of these
    training left for an answer at least. counted: what prompts lost since they were too long.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    key: str = ""
    asking: Asking = field(default_factory=Asking)
    virtual: tuple[int, ...] = ()
    progress: Progress | None = None
    trunks: dict[Any, Tensor] = field(default_factory=dict)
    save_extra: Callable[[Path], None] | None = None
    longest: int | None = None
    room: int = 0
    counted: Counted = field(default_factory=Counted, repr=False, compare=False)

    can = frozenset({"generate", "logprobs", "predict"})
    told = ""  # a text's tokens, each behind all before it; SECOND: behind the first half; MASKED: from the others
    remote = False
    cannot = ""  # the fact why something is not in `can`
    poolings = ("mean", "last")  # how `direct/features` makes one vector of a text's
    peft_task = ""  # PEFT's name for what the model does

    @classmethod
    @abstractmethod
    def wrap(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, key: str = "") -> Self:
        """A loaded model made ready: frozen, in evaluation mode; refuses what it cannot run."""

    # -- parts ---------------------------------------------------------------------------------------------------

    @property
    def decoder(self) -> Any:
        """The model without its vocabulary head; of an encoder-decoder, what writes."""
        return self.model.base_model

    @property
    def reader(self) -> Any:
        """What holds the embedding of the prompt's tokens."""
        return self.model

    @property
    def blocks(self) -> nn.ModuleList:
        """The decoder's blocks, lowest first: what `layers` counts."""
        return self._blocks_of(self.decoder)

    def _blocks_of(self, module: nn.Module) -> nn.ModuleList:
        if (found := find_blocks(module)) is None:
            raise LuthierError(f"{self.name}: the blocks of a {type(module).__name__} were not found")
        return found

    @property
    def stacks(self) -> tuple[nn.ModuleList, ...]:
        """Every list of blocks."""
        return (self.blocks,)

    @property
    def feature_blocks(self) -> nn.ModuleList:
        """The blocks whose states stand for a text."""
        return self.blocks

    @property
    def head(self) -> VocabHead:
        """The vocabulary head, as its weights are now."""
        head = self.model.get_output_embeddings()
        if not isinstance(head, nn.Linear):
            raise LuthierError(f"{self.name}: a vocabulary head of kind {type(head).__name__} is not supported yet")
        return VocabHead(head.weight, head.bias)

    @property
    def separable(self) -> bool:
        """Whether its upper blocks can be run alone, on packed states."""
        return True

    @property
    def shares(self) -> bool:
        """Whether a segment of a batch may go on from the beginning of an earlier one (`Batch.behind`)."""
        return False

    @property
    def width(self) -> int:
        """How many numbers a hidden state has."""
        return int(self.head.weight.shape[1])

    @property
    def label_head(self) -> LabelHead | None:
        """The classification head (K, d), when an objective asked for one."""
        return getattr(self.model, "label_head", None)

    @property
    def heads(self) -> dict[str, LabelHead]:
        """Every head beside the vocabulary's, by its kind."""
        more = dict(getattr(self.model, "more_heads", {}).items())
        return more | ({self.label_head.kind: self.label_head} if self.label_head is not None else {})

    @property
    def learned_prefix(self) -> LearnedPrefix | None:
        """Keys and values that every layer sees before its own, when a patch put them there."""
        return getattr(self.model, "learned_prefix", None)

    @property
    def ahead(self) -> int:
        """The position of a text's first token: how many learned keys stand before it."""
        return self.learned_prefix.n if self.learned_prefix is not None else 0

    @property
    def output(self) -> str:
        """What `predict` gives: labels, tags (each by itself), scalar or reward (numbers); text if it only writes."""
        if self.label_head is not None:
            return self.label_head.kind
        return "labels" if self.labels else "text"

    @property
    def device(self) -> torch.device:
        """Where the embedding lives."""
        return next(self.model.parameters()).device

    @property
    def context(self) -> int:
        """The longest sequence, in tokens."""
        return int(getattr(self.model.config, "max_position_embeddings", 2048)) - self.ahead

    @property
    def ends(self) -> Ends:
        """What ends an answer of a model that writes some."""
        return ends(self.model, self.tokenizer)

    def lacks(self, ability: str) -> str | None:
        """The fact why it cannot do that (one of `LM.can`), or None when it can."""
        return None if ability in self.can else self.cannot

    def mute(self, labels: Sequence[str]) -> str | None:
        """The fact why a wording alone gets no answer (one of the labels, or text) from it, or None."""
        return self.lacks("logprobs" if labels else "generate")

    def own_head(self, kind: str) -> nn.Module | None:
        """A head that it has itself besides that of the next token: "mask" of an encoder that tells masked tokens."""
        return None

    def named_here(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The tensors of a saved model by their names in this one."""
        return tensors

    # -- forward passes ------------------------------------------------------------------------------------------

    @abstractmethod
    def hidden(self, ids: Tensor, positions: Tensor, segments: Sequence[int]) -> Tensor:
        """Last hidden states (T, d) of segments laid end to end; ids, positions: (T,)."""

    def pick(self, hidden: Tensor, batch: Batch) -> Tensor:
        """From (T, d) the states (N, d) that a head reads."""
        return hidden[batch.where]

    def read(self, batch: Batch) -> Tensor:
        """Hidden states (N, d) at the places of a batch where a head is read."""
        return self.pick(self.hidden(batch.ids, batch.positions, batch.segments), batch)

    def below(self, batch: Batch, cut: int) -> Tensor:
        """What is frozen when the blocks from `cut` on train: states (T, d), one for each of `batch.ids`."""
        return input_of(self.blocks[cut], lambda: self.hidden(batch.ids, batch.positions, batch.segments))[0].clone()

    def above(self, batch: Batch, states: Tensor, cut: int) -> Tensor:
        """`read`, from what `below` gave."""
        with upper_only(self.decoder, self.blocks, cut, states[None]):
            hidden = self._upper(batch, states)
        return self.pick(hidden, batch)

    def _upper(self, batch: Batch, states: Tensor) -> Tensor:
        """A forward pass whose first block ignores what it is brought."""
        return self.hidden(batch.ids, batch.positions, batch.segments)

    @torch.no_grad()
    def depth_states(
        self, ids: Tensor, positions: Tensor, segments: Sequence[int], depths: Collection[int]
    ) -> dict[int, Tensor]:
        """States (T, d) after so many of `feature_blocks`."""
        with outputs_of(self.feature_blocks, depths) as found, fast(self.model):
            self.hidden(ids, positions, segments)
        return {depth: states[0] for depth, states in found.items()}

    def keys_values(self, ids: Sequence[int]) -> KeysValues:
        """Every layer's keys and values of a text's tokens."""
        raise LuthierError(f"{self.name}: the keys and values of a {type(self.model).__name__} are not known")

    # -- what is asked of it -------------------------------------------------------------------------------------

    def predict(self, texts: Sequence[str], labels: Sequence[str]) -> Tensor:
        """(N, K) log-probabilities: by the label head if there is one, else by the likelihood of the label's words."""
        from luthier.models.inference import scoring

        if self.label_head is not None:
            return scoring.by_head(self, texts, labels)
        return scoring.by_words(self, texts, labels)

    def continuations(self, rows: Sequence[Row]) -> list[list[Tensor]]:
        """Log-probabilities in nats of each answer's tokens: for each row, for each answer, (tokens,) on the CPU."""
        raise LuthierError(f"{self.name}: {self.cannot}")

    def logprobs(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Tensor]:
        """Log-probability in nats of each token of each answer after its prompt.

        Answers to one prompt are read behind the same tokens: a prompt that is too long is shortened for the longest.
        """
        answers = [self.encode_answer(a) for _, a in pairs]
        places: dict[Prompt, list[int]] = {}
        for at, (prompt, _) in enumerate(pairs):
            places.setdefault(prompt if isinstance(prompt, str) else tuple(prompt), []).append(at)
        rows: list[Row] = []
        order = list[int]()
        for prompt, where in places.items():
            ids = self.encode_prompt(prompt, (), max(self.answer_room(answers[at]) for at in where))
            for part in parted([len(answers[at]) for at in where], PASS):
                rows.append((ids, [answers[where[i]] for i in part]))
                order += [where[i] for i in part]
        found = zip(order, chain.from_iterable(self.continuations(rows)), strict=True)
        return [logprobs for _, logprobs in sorted(found, key=itemgetter(0))]

    def stretch_logprobs(self, ids: Sequence[int]) -> Tensor:
        """Log-probabilities in nats of tokens of plain text, given those before; (tokens,)."""
        raise LuthierError(f"{self.name}: {self.cannot}")

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """One answer a prompt."""
        raise LuthierError(f"{self.name}: {self.cannot}")

    def wordings(self, labels: Sequence[str], chinese: bool = False) -> Sequence[Template]:
        """The wordings that a method may choose among; chinese: for rows in Chinese."""
        return (self.only,) if self.only else templates(labels, chinese)

    def save(self, folder: Path) -> None:
        """Wording and worked examples in `luthier.json`; a patch writes its tensors beside it."""
        wording = {
            "template": asdict(self.template) if self.template else None,
            "shots": [record_values(s) for s in self.shots],
            "labels": list(self.labels),
            "head": self.label_head.kind if self.label_head else None,
            "longest": self.longest,
            "room": self.room,
        }
        write_json(folder / "luthier.json", wording)
        if self.save_extra is not None:
            self.save_extra(folder)

    def restore(self, wording: dict[str, Any]) -> Self:
        """What `save` wrote in `luthier.json`, applied to this base."""
        template = Template(**wording["template"]) if wording["template"] else None
        shots = tuple(map(unshot, wording["shots"]))
        asking = replace(self.asking, template=template, shots=shots, labels=tuple(wording["labels"]))
        longest, room = wording.get("longest"), wording.get("room", 0)
        return replace(self, asking=asking, longest=longest, room=room, counted=Counted())
