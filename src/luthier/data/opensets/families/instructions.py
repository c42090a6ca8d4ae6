"""Instructions with an answer, one flat row each: Dolly, Alpaca, GPTeacher, GPT4All."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from luthier.core.phrases import Phrase, both, say
from luthier.data.opensets.spec import Convert, OpenSet, Part, Place, Record, column, columns, optional, text_of

_NO_INPUT = re.compile(r"\s*[<\[(]?\s*no\s*input\s*[>\])]?\.?\s*", re.IGNORECASE)
HOLDS = both("instruction, input, output", "指令、输入、输出")


def instructions(file: str, asked: str = "input", answer: str = "output", kept: tuple[str, ...] = ()) -> Convert:
    """A converter of rows with an instruction, what it is about, and an answer. kept: columns that stay."""

    def convert(row: Any, left: Counter[Phrase]) -> Iterator[tuple[str, Record]]:
        found = columns(row)
        instruction, output, given = text_of(found, "instruction"), text_of(found, answer), optional(found, asked)
        if _NO_INPUT.fullmatch(given):
            left[say("set_no_input")] += 1
            given = ""
        more = {name: text for each in kept for name, text in column(found, each).items()}
        yield file, {"instruction": instruction, "input": given, "output": output, **more}

    return convert


def answered(file: str) -> Convert:
    """A converter of rows with a prompt and a response."""

    def convert(row: Any, left: Counter[Phrase]) -> Iterator[tuple[str, Record]]:
        found = columns(row)
        yield (
            file,
            {
                "prompt": text_of(found, "prompt"),
                "completion": text_of(found, "response"),
                **column(found, "source"),
            },
        )

    return convert


def _teacher(name: str, place: Place, rows: int, size: int) -> Part:
    file = f"{name}.jsonl"
    return Part(name, place, instructions(file, answer="response"), {file: HOLDS}, rows, size)


def _github(file: str) -> Place:
    base, home = "https://raw.githubusercontent.com/teknium1/GPTeacher/main/", "https://github.com/teknium1/GPTeacher"
    return Place((file,), base=base, home=home)


def _all(name: str, repo: str, files: tuple[str, ...], rows: int, size: int, usual: bool) -> Part:
    file = f"{name}.jsonl"
    holds = both("prompt, completion, source", "提示、回答、来源")
    return Part(name, Place(files, repo), answered(file), {file: holds}, rows, size, usual=usual)


MODEL = both(
    "The answers were written by a model of OpenAI, whose terms limit what may be trained on them.",
    "回答由 OpenAI 的模型写成，用它们训练受 OpenAI 使用条款的限制。",
)
DOLLY = OpenSet(
    "dolly",
    both(
        "Instructions and answers of seven kinds, written by people at Databricks (databricks-dolly-15k).",
        "七类指令与回答，由 Databricks 的员工手写（databricks-dolly-15k）。",
    ),
    "CC BY-SA 3.0",
    (
        Part(
            "dolly",
            Place(("databricks-dolly-15k.jsonl",), "databricks/databricks-dolly-15k", also=("*dolly*15k*.jsonl",)),
            instructions("dolly.jsonl", "context", "response", ("category",)),
            {"dolly.jsonl": both("instruction, input, output, category", "指令、输入、输出、类别")},
            15_011,
            13_085_339,
            changed=both(
                "context becomes input, response becomes output.", "context 改名为 input，response 改名为 output。"
            ),
        ),
    ),
)
ALPACA = OpenSet(
    "alpaca",
    both(
        "Instructions made by self-instruct and answered by text-davinci-003 (Stanford Alpaca).",
        "用 self-instruct 方法生成的指令，由 text-davinci-003 回答（斯坦福 Alpaca）。",
    ),
    "CC BY-NC 4.0",
    (
        Part(
            "alpaca",
            Place(
                ("data/train-00000-of-00001-a09b74b3ef9c3b56.parquet",),
                "tatsu-lab/alpaca",
                also=("alpaca_data.json", "train-*.parquet"),
            ),
            instructions("alpaca.jsonl"),
            {"alpaca.jsonl": HOLDS},
            52_002,
            24_200_000,
            changed=both(
                "The column text is left out: it repeats the other three inside a prompt.",
                "去掉 text 一列：它只是把其他三列放进一个提示里重复一遍。",
            ),
        ),
    ),
    MODEL,
)
CLEANED = OpenSet(
    "alpaca-cleaned",
    both(
        "Alpaca with wrong, empty and muddled rows mended or taken out by hand.",
        "经人工修正或删去错误、空白、混乱条目的 Alpaca。",
    ),
    "CC BY 4.0 (made of Alpaca, CC BY-NC 4.0)",
    (
        Part(
            "alpaca-cleaned",
            Place(("alpaca_data_cleaned.json",), "yahma/alpaca-cleaned"),
            instructions("alpaca-cleaned.jsonl"),
            {"alpaca-cleaned.jsonl": HOLDS},
            51_760,
            44_300_000,
        ),
    ),
    MODEL,
)
TEACHER = OpenSet(
    "gpteacher",
    both(
        "Instructions answered by GPT-4: general ones, code, roles to play, and calls of tools (GPTeacher).",
        "由 GPT-4 回答的指令：通用、代码、角色扮演与工具调用（GPTeacher）。",
    ),
    "MIT",
    (
        _teacher(
            "general",
            Place(("gpt4-instruct-dedupe-only-dataset.json",), "teknium/GPTeacher-General-Instruct"),
            18_194,
            12_300_000,
        ),
        _teacher("codegen", _github("Codegen/codegen-instruct.json"), 4_535, 2_240_717),
        _teacher("roleplay", _github("Roleplay/roleplay-simple-deduped-roleplay-instruct.json"), 1_923, 1_615_970),
        _teacher("toolformer", _github("Toolformer/toolformer-dedupe-only-dataset.json"), 7_673, 3_710_847),
    ),
    MODEL,
)
ALL = OpenSet(
    "gpt4all",
    both(
        "Prompts of several sources answered by GPT-3.5-Turbo: j is the large set of GPT4All-J, first that of GPT4All.",
        "多种来源的提示，由 GPT-3.5-Turbo 回答：j 是 GPT4All-J 较大的一套，first 是 GPT4All 最初的一套。",
    ),
    "Apache 2.0",
    (
        _all(
            "j",
            "nomic-ai/gpt4all-j-prompt-generations",
            (
                "data/train-00000-of-00004-49a07627b3b5bdbe.parquet",
                "data/train-00001-of-00004-62d2ea1ccbf3c546.parquet",
                "data/train-00002-of-00004-5d4368eca33ee435.parquet",
                "data/train-00003-of-00004-ef0356d35c1172f0.parquet",
            ),
            808_812,
            990_400_000,
            usual=True,
        ),
        _all(
            "first",
            "nomic-ai/gpt4all_prompt_generations",
            (
                "data/train-00000-of-00002-de0ae301d048d960.parquet",
                "data/train-00001-of-00002-014071b0381dd5ae.parquet",
            ),
            437_604,
            397_878_357,
            usual=False,
        ),
    ),
    MODEL,
)
SETS = (DOLLY, ALPACA, CLEANED, TEACHER, ALL)
