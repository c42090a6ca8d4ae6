"""A few trained vectors in front of every input; the model itself is untouched.

P (n, d) stands before the embeddings of the text. Virtual tokens have ids above the vocabulary, so that training,
scoring, generation and shared prefixes treat them like any other token. Saved in PEFT's layout (prompt tuning).
Source: Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

from luthier.core.methods import ParamGroup, Patch
from luthier.core.phrases import say

if TYPE_CHECKING:
    from torch import Tensor, nn

    from luthier.models.base import TrainableLM
    from luthier.training.context import Context

extras = ()
START = "Read the text carefully, think about what it is about, and give the right answer."
LONGEST = 64  # virtual tokens, unless more are asked for


@dataclass(frozen=True)
class SoftPrompt(Patch):
    """n: virtual tokens; None takes as many as the start has, 64 at most.

    start: a text whose tokens' embeddings are the first values, repeated as needed; "" names the labels, which the
    paper found best, or asks for the right answer where there are none.
    A learning rate of 0.1 moves a number by the start's root mean square, which differs a hundredfold from model to
    model, while a label head learns at the rate as it is.
    """

    n: int | None = None
    start: str = ""
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    learning_rates: ClassVar[tuple[float, ...]] = (3e-3, 1e-2, 3e-2)
    identity: ClassVar[bool] = False
    peft_type: ClassVar[str] = "PROMPT_TUNING"

    @classmethod
    def from_peft(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> SoftPrompt:
        return cls(n=config["num_virtual_tokens"])

    def refuses(self, ctx: Context) -> str | None:
        return None if self.n is None or self.n > 0 else say("said_refused_least", name="n", least=1, value=self.n)

    def attach(self, lm: TrainableLM) -> list[ParamGroup]:
        import torch

        from luthier.models.layers.virtual import VirtualEmbedding
        from luthier.models.loading.vocabulary import first_free

        base = cast("nn.Embedding", lm.reader.get_input_embeddings())
        ids = start_ids(lm, self.start, self.n)
        with torch.no_grad():  # by a pass, not from the table: some embeddings scale what they look up
            start = base(torch.tensor(ids, device=base.weight.device)).float()
        maker, scales = self._maker(start)
        first = first_free(lm.model, lm.tokenizer)
        lm.reader.set_input_embeddings(VirtualEmbedding(base, maker, first))
        self._kept["base"] = base
        lm.virtual = tuple(range(first, first + len(ids)))
        own = {id(p): name for name, p in maker.named_parameters()}
        names = {own[id(p)]: name for name, p in lm.model.named_parameters() if id(p) in own}
        return [ParamGroup([names[n] for n in names if n.startswith(part)], scale) for part, scale in scales.items()]

    def _maker(self, start: Tensor) -> tuple[nn.Module, dict[str, float]]:
        """What gives the prompt (n, d), beginning with these embeddings, and how its parts' learning rates scale."""
        from luthier.models.layers.virtual import Table, rms

        return Table(start), {"prompt": 10 * float(rms(start))}

    def _prompt(self, lm: TrainableLM) -> Tensor:
        """The prompt as it is now, (n, d)."""
        import torch

        with torch.no_grad():
            return cast("Tensor", lm.reader.get_input_embeddings().maker()).detach()

    def detach(self, lm: TrainableLM) -> None:
        lm.reader.set_input_embeddings(self._kept["base"])
        lm.virtual = ()
        self._kept.clear()

    @contextmanager
    def off(self, lm: TrainableLM) -> Iterator[None]:
        held, virtual = lm.reader.get_input_embeddings(), lm.virtual
        lm.reader.set_input_embeddings(self._kept["base"])
        lm.virtual = ()
        try:
            yield
        finally:
            lm.reader.set_input_embeddings(held)
            lm.virtual = virtual

    def fold(self, lm: TrainableLM) -> None:
        self.load(lm, self.export(lm)[0])

    def export(self, lm: TrainableLM) -> tuple[dict[str, Tensor], dict[str, Any]]:
        prompt = self._prompt(lm)
        config = {
            "peft_type": self.peft_type,
            "task_type": lm.peft_task,
            "num_virtual_tokens": len(prompt),
            "token_dim": prompt.shape[1],
            "num_transformer_submodules": 1,
            "prompt_tuning_init": "RANDOM",
        }
        return {"prompt_embeddings": prompt}, config

    def load(self, lm: TrainableLM, tensors: Mapping[str, Tensor]) -> None:
        from luthier.models.layers.virtual import table_from

        lm.reader.get_input_embeddings().maker = table_from(tensors, self._prompt(lm))


def start_ids(lm: TrainableLM, text: str, n: int | None) -> list[int]:
    """n token ids (None: as many as there are, `LONGEST` at most) of a text that is repeated as needed.

    Without a text it is the labels' names, or an instruction where there are none.
    """
    text = text or (f"Options: {', '.join(lm.labels)}\n\nText:" if lm.labels else START)
    ids = lm.tokenizer(text, add_special_tokens=False)["input_ids"] or [0]
    return [ids[i % len(ids)] for i in range(min(len(ids), LONGEST) if n is None else n)]


METHOD = SoftPrompt
