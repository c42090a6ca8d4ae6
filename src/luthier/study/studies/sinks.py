"""Attention sinks: what a model makes of long text within a window of the last tokens, with and without the first ones.

A long text is read whole and through windows that keep the same number of tokens in all: the last ones alone, and the
last ones with the first 1, 2, 4 or 8. Keys are kept before their positions turn them, and positions count among what is
kept. Besides: how much attention goes to the first tokens by layer, and what a token costs the longer the text is.
Nothing is trained. `--set tokens=16000`, `--set kept=512`, `--set lengths=512,4096`.

Example: luthier study sinks shakespeare --set kept=256 --set tokens=4000
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from luthier.core.errors import LuthierError, Refused
from luthier.core.phrases import Phrase, both, say
from luthier.core.window import Window, window_of
from luthier.study.experiment import Arm, Experiment, Material, Measured, OnModel, Texts
from luthier.study.finding import Finding
from luthier.study.long_text import ANEW, FULL, MASS, Found

if TYPE_CHECKING:
    from luthier.io.config import DataConfig
    from luthier.models.base import TrainableLM
    from luthier.models.causal import CausalLM
    from luthier.study.runner import Request
    from luthier.study.streaming import TextBench

TAKES = ("data", "model", "set", "out", "again")
SHOWN = 2048  # tokens of which attention is looked at


@dataclass(frozen=True)
class Sinks(Experiment):
    """tokens: of the text, at most. kept: in all. sinks: first tokens among them. lengths: behind which a token is
    timed."""

    tokens: int = 12288
    kept: int = 1024
    sinks: tuple[int, ...] = (0, 1, 2, 4, 8)
    lengths: tuple[int, ...] = (512, 1024, 2048, 4096, 8192)

    title: ClassVar[Phrase] = both("Attention sinks and long text", "注意力汇聚与长文本")
    about: ClassVar[str] = "shakespeare"
    rules: ClassVar[Sequence[Phrase]] = (
        both(
            "The longest document of the text is read from its beginning, the same tokens by every arm; a loss is the "
            "−log p of a token given what is seen of those before it, and perplexity is e to the mean loss.",
            "从头读文本中最长的文档，各设置读的词元相同；损失是给定所见前文时每个词元的 −log p，"
            "困惑度是 e 的平均损失次方。",
        ),
        both(
            "Intervals are 95 %, of the mean difference over stretches of 64 tokens, as if these were independent. It "
            "is one text: another may give other numbers.",
            "区间为 95 %，取 64 词元一段的平均差，视各段独立。只有一个文本：换一个文本数值会不同。",
        ),
        both(
            "A token's time is the middle one of 12, for a text behind a prompt of that length; memory is the keys and "
            "values that are kept, in a stream also the keys once more, turned.",
            "每词元时间取 12 次的中位数，提示为相应长度；内存指所保留的键和值，流式时还包括旋转后的键。",
        ),
    )

    def load(self, data: DataConfig, texts: Texts) -> Material:
        name, text = max(texts(data.path), key=lambda one: len(one[1]))
        return Material(
            text, hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(), [(both("Text", "文本"), name)]
        )

    def arms(self, lm: TrainableLM) -> tuple[list[Arm], list[Phrase]]:
        from luthier.models.causal import CausalLM
        from luthier.models.inference.streaming import Stream

        if any(n >= self.kept or n < 0 for n in self.sinks):
            raise LuthierError(f"--set sinks: each must be less than kept={self.kept}")
        if not isinstance(lm, CausalLM):
            raise Refused(say("said_refused_window_kind", window=str(Window(0, self.kept))))
        Stream(lm, Window(0, self.kept))  # refuses what cannot go on without end
        windows = [str(Window(n, self.kept - n)) for n in self.sinks]
        return [Arm(name) for name in (FULL, *windows, MASS, ANEW)], []

    def plan(self, request: Request, lm: TrainableLM, material: Material, arms: Sequence[Arm]) -> Measured:
        found = len(_ids(lm, material.content, self.tokens))
        if found < 2 * self.kept:
            raise LuthierError(f"{request.data.path}: {found} tokens, and at least {2 * self.kept} are needed")
        return {"tokens": found, "context": lm.context}

    def bench(
        self, lm: TrainableLM, material: Material, plan: Mapping[str, Any], request: Request
    ) -> TextBench:  # fmt: skip
        from luthier.study.streaming import STEPS, TextBench

        ids = _ids(lm, material.content, plan["tokens"])
        return TextBench(cast("CausalLM", lm), ids, [n for n in self.lengths if n <= len(ids) - STEPS - 1])

    def measure(self, bench: TextBench, arm: Arm, seed: int) -> Measured:
        if arm.name == MASS:
            firsts = [n for n in self.sinks if n]
            return {"by_layer": bench.attention_on_first(firsts, min(SHOWN, len(bench.ids), bench.lm.context))}
        if arm.name == ANEW:
            return {"ms": bench.recomputed(self.kept)}
        window = window_of(arm.name, "arm")
        losses, costs = bench.within(window) if window else bench.whole()
        return {"losses": losses, "costs": [asdict(cost) for cost in costs], "context": bench.lm.context}

    def finding(self, models: Sequence[OnModel]) -> Finding:
        found = Found(models[0], self.kept)
        pictures = [found.by_position(), *found.by_layer(), *found.by_length()]
        return Finding(found.sentence(), found.claims(), [found.table()], pictures)

    def facts(self, request: Request, models: Sequence[OnModel]) -> list[tuple[Phrase, Any]]:
        tokens = models[0].tokens
        return [
            (
                both("Length", "长度"),
                both(f"{tokens:,} tokens, {self.kept:,} kept", f"{tokens:,} 个词元，保留 {self.kept:,}"),
            )
        ]


def _ids(lm: TrainableLM, text: str, most: int) -> list[int]:
    """The first tokens of a text; a token has no more than 20 characters on average."""
    return list(lm.tokenizer(text[: 20 * most], verbose=False)["input_ids"])[:most]


STUDY = Sinks
