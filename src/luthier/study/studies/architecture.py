"""Decoder, prefix decoder or encoder-decoder, by the next token or by denoising: which learns most from one text?

Each is trained from random weights on the same text for the same number of tokens, asked zero-shot, then fine-tuned on
two tasks at once. The encoder-decoder stands there twice: with the decoder's parameters, and with its compute.

Example: luthier study architecture shakespeare --budget 60m
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from luthier.core.errors import LuthierError
from luthier.core.phrases import Phrase, both
from luthier.evals.bootstrap import Bootstrap
from luthier.study.compared import Compared, bounds, plus_minus, verdict
from luthier.study.experiment import Arm, Experiment, Material, Measured, OnModel, Texts
from luthier.study.finding import Claim, Finding, Table

if TYPE_CHECKING:
    from luthier.io.config import DataConfig
    from luthier.models.base import TrainableLM
    from luthier.study.ground import Ground
    from luthier.study.runner import Request

TAKES = ("data", "budget", "seeds", "set", "out", "again")
WANG = "Wang et al. 2022"
NEXT, DENOISE = "next token", "denoise"
HELD = 0.1  # of each document, its end
STEPS, LEAST = 3, 40  # that tell how fast an arm is; that a run must have to say anything


@dataclass(frozen=True)
class Architecture(Experiment):
    """width: in units of 64. blocks: of the decoder. equal: of encoder and decoder each, with as many parameters.

    alike: of each, with as much compute a token. context: tokens of an example. vocabulary: tokens of the tokenizer.
    rate: of learning, for all. batch: examples of a step.
    """

    width: int = 4
    blocks: int = 7
    equal: int = 3
    alike: int = 6
    context: int = 256
    vocabulary: int = 2048
    rate: float = 4e-3
    batch: int = 8

    title: ClassVar[Phrase] = both("Architectures and objectives", "模型结构与训练目标")
    about: ClassVar[str] = "shakespeare"
    budget: ClassVar[str] = "60m"
    models: ClassVar[tuple[str, ...]] = ("random weights",)
    rules: ClassVar[Sequence[Phrase]] = (
        both(
            "Every run reads the same text for the same number of tokens, from random weights, with one learning rate "
            "for all (not searched), by Muon; a sixth of the tokens goes to two tasks at once, tickets and mood.",
            "每次训练都从随机权重开始，用同样的词元数读同一文本，学习率相同（未搜索），优化器为 Muon；"
            "其中约六分之一的词元用于同时微调两个任务（tickets 与 mood）。",
        ),
        both(
            "Zero-shot: bits a byte of the second half of held-out passages behind the first, and how often it is told "
            "from three other passages' (chance: 25 %). A model that filled gaps is given a gap to fill.",
            "零样本：已知前半段，预测保留段落后半段时每字节所需的比特数，以及在四个候选中选对的比例（随机为 25 %）。"
            "以去噪训练的模型按填空的方式提问。",
        ),
        both(
            "Intervals are 95 %, by a bootstrap over passages or test rows and seeds, paired between arms.",
            "区间为 95 %，对段落或测试数据及种子做自助法，各设置之间配对。",
        ),
    )

    def load(self, data: DataConfig, texts: Texts) -> Material:
        import hashlib

        train, held = list[str](), list[str]()
        for _, text in texts(data.path):
            at = text.find("\n", int(len(text) * (1 - HELD))) + 1
            train.append(text[: at or len(text)])
            held += [text[at:]] if at else []
        if not held:
            raise LuthierError(f"{data.path}: nothing can be held out of a text of one line")
        key = hashlib.sha256("\0".join([*train, "", *held]).encode()).hexdigest()[:16]
        size = both(f"{sum(map(len, train)):,} characters", f"{sum(map(len, train)):,} 个字符")
        return Material((train, held), key, [(both("Text", "文本"), f"{data.path}"), (both("Size", "大小"), size)])

    def base(self, name: str, dtype: str, threads: int | None, material: Material) -> TrainableLM:
        from luthier.models import machine

        machine.threads(threads)
        return self._ground(material, 0).fresh(self.arms(None)[0][0], 0)

    def arms(self, lm: TrainableLM | None) -> tuple[list[Arm], list[Phrase]]:
        sizes = {
            "decoder": ("decoder", self.blocks, "lm"), "prefix": ("prefix", self.blocks, "prefix_lm"),
            "enc-dec (parameters)": ("encoder_decoder", self.equal, "prefix_lm"),
            "enc-dec (compute)": ("encoder_decoder", self.alike, "prefix_lm"),
        }  # fmt: skip
        return [
            Arm(f"{name} + {DENOISE if by == DENOISE else NEXT}", facts={"shape": shape, "blocks": n, "objective": by})
            for name, (shape, n, own) in sizes.items()
            for by in (own, DENOISE)
        ], [both(
            "A decoder, with its prompt seen in both directions or not, has its own parameters and its own compute: it "
            "stands there once. An encoder-decoder learns the next tokens of second halves only.",
            "解码器（无论提示是否双向可见）自身即为参数与计算量的基准，只列一次。编码器-解码器只学习后半段的下一个词元。",
        )]  # fmt: skip

    def plan(self, request: Request, lm: TrainableLM, material: Material, arms: Sequence[Arm]) -> Measured:
        from luthier.comparison.budget import parse_budget
        from luthier.study.ground import HALF

        if self.context < (least := 2 * HALF + 3):  # both halves of a passage, and what stands around a gap
            raise LuthierError(f"--set context={self.context}: passages have {2 * HALF} tokens: at least {least}")
        kind, value = parse_budget(budget := request.budget or self.budget)
        ground, seconds = self._ground(material, 0), 0.0  # of a token of every arm
        for arm in arms if kind == "seconds" else ():
            made = ground.fresh(arm, 0)
            short = ground.training((STEPS + 1) * self.batch * self.context, self.rate, optimizer="muon")
            done = ground.train(made, ground.objective(arm), ground.stream, short, 0, arm.name)
            seconds += done.seconds / done.tokens
        each = (seconds or len(arms)) * request.seeds
        tokens, least = int(value / each), LEAST * self.batch * self.context
        if tokens < least:
            need = f"{math.ceil(least * each)}" + ("s" if seconds else "-tokens")
            raise LuthierError(
                f"--budget {budget}: each run gets {tokens} tokens, {LEAST} steps are {least}: at least {need}"
            )
        return {"tokens": tokens}

    def bench(self, lm: TrainableLM, material: Material, plan: Mapping[str, int], request: Request) -> Ground:
        return self._ground(material, plan["tokens"])

    def _ground(self, material: Material, tokens: int) -> Ground:
        from luthier.models.loading.bundled import cache_dir
        from luthier.study.ground import Ground, laid

        train, held = material.content
        folder = laid(cache_dir() / "studies" / f"{material.key}-{self.vocabulary}", train, self.vocabulary)
        return Ground(folder, held, self.width, self.context, tokens, self.batch, self.rate)

    def measure(self, bench: Ground, arm: Arm, seed: int) -> Measured:
        from luthier.study.ground import TUNING

        lm = bench.fresh(arm, seed)
        count = sum(p.numel() for p in lm.model.parameters())
        training = bench.training(int(bench.tokens * (1 - TUNING)), self.rate, optimizer="muon", schedule="wsd")
        done = bench.train(lm, bench.objective(arm), bench.stream, training, seed, "text")
        found = {"parameters": count, "tokens": done.tokens, "seconds": done.seconds, "text_loss": done.loss}
        return found | bench.zero_shot(lm, arm) | bench.tuned(lm, seed)

    def finding(self, models: Sequence[OnModel]) -> Finding:
        on = models[0]
        tuned, zero, chosen = Compared.of(on), Bootstrap(on.each("bits")), _percent(on, "chosen")
        right = _percent(on, "right")
        order = sorted(on.runs, key=zero.value)
        rows = [
            [n, f"{on.runs[n][0]['parameters'] / 1e6:.2f} M", f"{on.runs[n][0]['tokens']:,}",
             f"{sum(r['seconds'] for r in on.runs[n]) / len(on.runs[n]):.0f} s", plus_minus(zero.score(n), 3),
             plus_minus(chosen.score(n), 1), plus_minus(tuned.boot.score(n)), plus_minus(right.score(n), 1)]
            for n in on.runs
        ]  # fmt: skip
        heads = [
            both("Model and objective", "模型与目标"), both("Parameters", "参数"), both("Tokens", "词元"),
            both("Time", "时间"), both("Zero-shot, bits a byte", "零样本（比特/字节）"), both("Chosen, %", "选对（%）"),
            both("Tuned: loss, nats", "微调后损失（nat）"), both("Tuned: right, %", "微调后准确率（%）"),
        ]  # fmt: skip
        table = Table(both("All runs", "全部结果"), heads, rows, list(on.runs).index(tuned.best))
        gap = zero.difference(order[0], order[1]) if len(order) > 1 else None
        sure = gap is not None and gap.excludes_zero
        first = both(
            f"Zero-shot {order[0]} needs the fewest bits a byte ({plus_minus(zero.score(order[0]), 3)}), "
            + ("surely fewer than the next. " if sure else "not to be told from the next. "),
            f"零样本时 {order[0]} 每字节比特数最少（{plus_minus(zero.score(order[0]), 3)}），"
            + ("确实少于次者。" if sure else "与次者无法区分。"),
        )
        after = tuned.sentence()
        sentence = both(
            f"{first.text('en')}Fine-tuned: {after.text('en')}", f"{first.text('zh')}微调之后：{after.text('zh')}"
        )
        title = both("Fine-tuned loss above the lowest", "微调后损失与最低者之差")
        return Finding(sentence, self._claims(on, zero, tuned.boot), [table], [tuned.forest(title)], list(on.notes))

    def _claims(self, on: OnModel, zero: Bootstrap, tuned: Bootstrap) -> list[Claim]:
        """What the paper says of decoders zero-shot and of encoder-decoders fine-tuned, on these runs."""
        asked = [
            (zero, "decoder + denoise", "decoder + next token",
             "Zero-shot, a decoder does better by the next token than by denoising",
             "零样本时，解码器用下一个词元训练优于用去噪训练"),
            (zero, "enc-dec (parameters) + next token", "decoder + next token",
             "Zero-shot after the next token, a decoder does better than an encoder-decoder of its size",
             "零样本时，同为预测下一个词元，解码器优于同等参数的编码器-解码器"),
            (tuned, "decoder + next token", "enc-dec (compute) + denoise",
             "Fine-tuned on several tasks, an encoder-decoder that denoised does better than a decoder of its compute",
             "多任务微调后，去噪训练的编码器-解码器优于同等计算量的解码器"),
            (tuned, "decoder + next token", "enc-dec (parameters) + denoise",
             "Fine-tuned on several tasks, an encoder-decoder that denoised does better than a decoder of its size",
             "多任务微调后，去噪训练的编码器-解码器优于同等参数的解码器"),
        ]  # fmt: skip
        found = []
        for boot, worse, better, english, chinese in asked:
            if worse in on.runs and better in on.runs:
                gap = boot.difference(worse, better)
                says = both(f"{english}: {bounds(gap, 3)}", f"{chinese}：{bounds(gap, 3)}")
                found.append(Claim(says, WANG, verdict(gap)))
        return found


def _percent(on: OnModel, key: str) -> Bootstrap:
    return Bootstrap({n: [[100 * v for v in seed] for seed in seeds] for n, seeds in on.each(key).items()})


STUDY = Architecture
