"""A base model that was trained from text, as a page: bits a byte beside plain compressors, multiple choice, curves and
what it writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from luthier.core import plugins
from luthier.core.phrases import Phrase, recall
from luthier.evals.formatting import count, duration
from luthier.io.files import read_json, read_yaml
from luthier.io.metrics_file import read_metrics
from luthier.io.samples_file import SAMPLES
from luthier.reports.plain_page import both, text, write
from luthier.reports.svg import STYLE, Line, chart

PAGE = "report.html"
ASSET = Path(__file__).parent / "assets" / "pretraining.css"
MOST = 120  # points of a line
TITLE = both("A base model from text", "从文本训练的基础模型")
BITS, CHOICES = both("Bits a byte of held-out text", "留出文本每字节的比特数"), both("Multiple choice", "选择题")
CURVES, WRITES = both("Curves", "曲线"), both("What it writes", "模型的续写")
MODEL, GRAM, XZ = both("this model", "本模型"), both("5-gram of bytes", "字节五元模型"), both("xz -9", "xz -9")
TOKENS, STEP = both("tokens", "词元"), both("bits a byte", "每字节比特数")
LOSS = both("loss, nats a token", "损失（每词元，nat）")
TRAINED, VALIDATED = both("training", "训练"), both("validation", "验证")
OTHERS = (
    ("learning_rate", both("learning rate", "学习率")),
    ("grad_norm", both("gradient norm", "梯度范数")),
)
CAPTION = both("Lower is better; the same bytes for each.", "越低越好；各行为相同的字节。")
ASKED = both(
    "The likeliest choice a byte counts as the model's answer; an interval is Wilson's, 95 %.",
    "按每字节平均对数概率取最可能的选项；区间为 95 % 的 Wilson 区间。",
)
BITS_HEAD = (both("by", "方法"), both("bits a byte", "每字节比特数"), both("95 % interval", "95 % 区间"))
CHOICE_HEAD = (
    both("task", "任务"), both("right, %", "正确率（%）"), both("95 % interval", "95 % 区间"),
    both("chance, %", "随机（%）"), both("longest choice, %", "选最长者（%）"), both("items", "题数"),
)  # fmt: skip
OTHERWISE = {  # what models are asked that do not tell each token behind all before it
    "second_half_bits_per_byte": both(
        "bits a byte of second halves, each behind the first", "由前半预测后半，每字节比特数"
    ),
    "masked_bits_per_byte": both(
        "bits a byte of masked tokens from those around them", "由上下文预测被遮词元，每字节比特数"
    ),
}
GREEDY, ENDED = both("likeliest tokens", "贪心"), both("(the text ends here)", "（文本到此结束）")


def write_page(folder: Path) -> Path:
    """Write the page of a finished folder, from its files alone. Raises OSError."""
    found: dict[str, Any] = read_json(folder / "eval.json")
    asked: dict[str, Any] = dict(read_yaml(folder / "pretraining.yaml"))
    facts = "".join(f"<li>{text(fact)}</li>" for fact in [_trained(found, asked), *_findings(found)])
    notes = "".join(f'<li class="trouble">{text(_own(note))}</li>' for note in recall(found, "notes"))
    body = f"""<p class="soft">{text(folder.name)}</p>
<ul class="findings">{facts}{notes}</ul>
{_bits(found)}{_choices(found)}{_curves(read_metrics(folder / "metrics.jsonl"), found)}{_samples(folder / SAMPLES)}"""
    write(folder / PAGE, TITLE, TITLE, body, (STYLE, ASSET))
    return folder / PAGE


def _own(note: object) -> object:
    """A note of the catalogue, which a plain page does not carry."""
    return both(str(note), note.text("zh")) if isinstance(note, Phrase) else note


def _trained(found: Mapping[str, Any], asked: Mapping[str, Any]) -> Phrase:
    size, spent = count(found.get("parameters")), count(found["tokens"])
    steps, time = f"{found['steps']:,}", duration(found["train_seconds"])
    if asked.get("model"):
        name, method = asked["model"], asked["method"]
        what = both(f"{name}, gone on with ({method})", f"{name}（继续训练，{method}）")
    else:
        kind, depth, context = (asked["shape"][key] for key in ("kind", "depth", "context"))
        what = both(
            f"a new {kind}, depth {depth}, context of {context} tokens",
            f"新的 {kind}，深度 {depth}，上下文 {context} 个词元",
        )
    return both(
        f"Trained: {what}, {size} parameters; {spent} tokens in {steps} steps, {time}.",
        f"训练：{what.text('zh')}，{size} 个参数；{steps} 步共 {spent} 个词元，{time}。",
    )


def _findings(found: Mapping[str, Any]) -> list[Phrase]:
    """What can be said, in plain words."""
    facts = [_verdict(found)] if "bits_per_byte" in found else []
    facts += [
        both(
            f"It needs {found[name]:.3f} {told}: another task than the baselines', and not to be held against them.",
            f"{told.text('zh')}为 {found[name]:.3f}：与基线任务不同，不能相互比较。",
        )
        for name, told in OTHERWISE.items()
        if name in found
    ]
    if found.get("bits_per_byte_ci95"):
        n = len(found["blocks"])
        facts.append(
            both(
                f"Its interval is a bootstrap over {n:,} stretches of the held-out text, of about 4,096 bytes or a "
                "shorter document: it speaks of text like this and of this training run.",
                f"区间由留出文本的 {n:,} 段自助抽样得到，每段约 4,096 字节，较短的文档自成一段："
                "它只说明同类文本和这一次训练。",
            )
        )
    if tasks := found.get("choices"):
        ahead = [name for name, own in tasks.items() if own["low"] > max(own["chance"], own["longest"])]
        en, zh = (", ".join(_called(name).text(lang) for name in ahead) for lang in ("en", "zh"))
        facts.append(
            both(f"Above chance and the longest choice for sure: {en}.", f"确定高于随机和选最长者：{zh}。") if ahead
            else both(
                "No multiple-choice task is above chance and the longest choice for sure: a model this small, or text "
                "of another kind, does not teach them.",
                "没有一项选择题确定高于随机和选最长者：模型太小，或文本与题目无关。",
            )
        )  # fmt: skip
    return facts


def _verdict(found: Mapping[str, Any]) -> Phrase:
    own, ends = found["bits_per_byte"], found.get("bits_per_byte_ci95")
    least = min(found["byte_5gram"], found["xz"])
    told = f"{own:.3f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else "")
    beside = f"{found['byte_5gram']:.3f}", f"{found['xz']:.3f}"
    en = f"{told} bits a byte; a 5-gram of bytes {beside[0]}, xz {beside[1]}, given the same training text"
    zh = f"每字节 {told} 比特；以同一训练文本，字节五元模型为 {beside[0]}，xz 为 {beside[1]}"
    if own >= least:
        return both(f"It has not beaten plain counting yet: {en}.", f"还没有胜过简单统计：{zh}。")
    if not (apart := found.get("below_5gram")):
        return both(
            f"It is below both baselines, by a text too short to be sure: {en}.", f"低于两种基线，但文本太短：{zh}。"
        )
    by = f"{apart[0]:.3f} [{apart[1]:.3f}, {apart[2]:.3f}]"
    en, zh = f"{en}; on the same stretches the 5-gram needs {by} more", f"{zh}；在相同的文本段上，五元模型多用 {by}"
    if apart[1] <= 0:
        return both(f"It is below both baselines, but not for sure: {en}.", f"低于两种基线，但不确定：{zh}。")
    return both(f"It is below both baselines: {en}.", f"低于两种基线：{zh}。")


def _bits(found: Mapping[str, Any]) -> str:
    if "bits_per_byte" not in found:
        return ""
    ends = found.get("bits_per_byte_ci95")
    rows = [
        [MODEL, f"{found['bits_per_byte']:.3f}", f"{ends[0]:.3f} – {ends[1]:.3f}" if ends else ""],
        [GRAM, f"{found['byte_5gram']:.3f}", ""],
        [XZ, f"{found['xz']:.3f}", ""],
    ]
    return f"<h2>{text(BITS)}</h2>{_table(CAPTION, BITS_HEAD, rows)}"


def _choices(found: Mapping[str, Any]) -> str:
    rows = [
        [
            _called(name), f"{100 * own['accuracy']:.1f}", f"{100 * own['low']:.1f} – {100 * own['high']:.1f}",
            f"{100 * own['chance']:.1f}", f"{100 * own['longest']:.1f}", str(own["items"]),
        ]
        for name, own in (found.get("choices") or {}).items()
    ]  # fmt: skip
    return f"<h2>{text(CHOICES)}</h2>{_table(ASKED, CHOICE_HEAD, rows)}" if rows else ""


def _called(name: str) -> Phrase:
    task = plugins.members("tasks").get(name)
    return both(task.constants["TITLE"], task.constants["TITLE_ZH"]) if task else both(name, name)


def _table(caption: Phrase, head: Sequence[Phrase], rows: Sequence[Sequence[object]], kind: str = "keys") -> str:
    top = "".join(f'<th scope="col">{text(each)}</th>' for each in head)
    lines = "".join(
        f'<tr><th scope="row">{text(first)}</th>{"".join(f"<td>{text(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<table class="{kind}"><caption>{text(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"
    )


def _curves(lines: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> str:
    """Loss, bits a byte where a token's nats are those of the text, learning rate and gradient norm, by tokens."""
    losses = [
        Line(TRAINED, _points(lines, "loss"), "other"),
        Line(VALIDATED, _points(lines, "validation_loss"), "main"),
    ]
    figures = [_figure(LOSS, losses)]
    nats = found["secondary"].get("held_out_loss")
    if nats and "bits_per_byte" in found:
        scale = found["bits_per_byte"] / nats  # bits a byte of the held-out text to a nat a token of it
        own = [(at, value * scale) for at, value in _points(lines, "validation_loss")]
        ends = [(own[0][0], own[-1][0])] if own else []
        flat = [
            Line(name, [(at, found[key]) for pair in ends for at in pair], "other")
            for name, key in ((GRAM, "byte_5gram"), (XZ, "xz"))
        ]
        figures.append(_figure(STEP, [*flat, Line(VALIDATED, own, "main")]))
    figures += [_figure(title, [Line(title, _points(lines, key), "main")]) for key, title in OTHERS]
    return f"<h2>{text(CURVES)}</h2>{''.join(figures)}"


def _points(lines: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(tokens, value), of many the means of as many in a row as leave `MOST`."""
    told = [(float(line["tokens"]), float(line[key])) for line in lines if line.get(key) is not None]
    size = -(-len(told) // MOST) or 1
    parts = [told[at : at + size] for at in range(0, len(told), size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _figure(title: Phrase, lines: Sequence[Line]) -> str:
    xs = [point[0] for line in lines for point in line.points]
    if not xs:
        return ""
    ticks = [(at, count(at)) for at in sorted({min(xs), (min(xs) + max(xs)) / 2, max(xs)})]
    return f"<h3>{text(title)}</h3>{chart(lines, TOKENS, title, ticks, str(title))}"


def _samples(path: Path) -> str:
    lines = path.read_text("utf-8").split("\n") if path.exists() else []
    found: dict[str, list[dict[str, Any]]] = {}
    for line in (json.loads(line) for line in lines if line):
        found.setdefault(line["beginning"], []).append(line)
    return (f"<h2>{text(WRITES)}</h2>" + "".join(_sample(*each) for each in found.items())) if found else ""


def _sample(beginning: str, written: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{text(_drawn(one))}</th><td>{_written(one["continuation"])}</td></tr>' for one in written
    )
    head = f"<caption><pre>{text(beginning)}</pre></caption>"
    return f'<table class="keys samples">{head}<tbody>{rows}</tbody></table>'


def _written(continuation: str) -> str:
    return f"<pre>{text(continuation)}</pre>" if continuation else text(ENDED)


def _drawn(one: Mapping[str, Any]) -> Phrase:
    warm, seed = one["temperature"], one["seed"]
    return GREEDY if not warm else both(f"temperature {warm:g}, seed {seed}", f"温度 {warm:g}，种子 {seed}")
