"""Answers of several models with scores, and the instructions beside them: GPT-4-LLM."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from luthier.core.phrases import Phrase, both, say
from luthier.data.opensets.families.instructions import HOLDS, MODEL, instructions
from luthier.data.opensets.spec import DroppedError, OpenSet, Part, Place, Record, column, columns, text_of

COMPARED = "comparisons.jsonl"
WRAPPED = "Below is an instruction that describes a task"  # how the prompt of Alpaca begins


def ratings(row: Any, left: Counter[Phrase]) -> Iterator[tuple[str, Record]]:
    """A prompt with the answers of several models, their scores and the models' names."""
    found = columns(row)
    prompt = _unwrapped(text_of(found, "user_input"), left)
    given = found.get("responses_and_scores")
    if not isinstance(given, list):
        raise DroppedError(say("set_no_answers"))
    rated: dict[str, tuple[float, str]] = {}
    for each in given:
        try:
            answer, score = text_of(columns(each), "response"), _score(each)
        except DroppedError as why:
            left[why.reason] += 1
            continue
        if answer in rated:
            left[say("set_repeated")] += 1
            continue
        rated[answer] = score, column(each, "source").get("source", "")
    if len(rated) < 2:
        raise DroppedError(say("set_one_answer"))
    scores, models = zip(*rated.values(), strict=True)
    record: Record = {"prompt": prompt, "answers": list(rated), "scores": list(scores)}
    yield COMPARED, record | ({"models": list(models)} if all(models) else {})


def _score(row: dict[str, Any]) -> float:
    """A finite number, also one that is written as text. Raises DroppedError."""
    value = row.get("score")
    try:
        found = math.nan if isinstance(value, bool) or not isinstance(value, int | float | str) else float(value)
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise DroppedError(say("set_no_score"))
    return found


def _unwrapped(text: str, left: Counter[Phrase]) -> str:
    """The instruction and its input without Alpaca's prompt around them; other texts as they are."""
    _, mark, inner = text.strip().partition("### Instruction:\n")
    if not (mark and text.lstrip().startswith(WRAPPED)):
        return text
    instruction, _, given = inner.removesuffix("### Response:").partition("\n### Input:\n")
    parts = [part.strip() for part in (instruction, given) if part.strip()]
    if not parts:
        return text
    left[say("set_unwrapped")] += 1
    return "\n".join(parts)


def _answered(name: str, place: Place, rows: int, size: int, language: str = "en") -> Part:
    file = f"{name}.jsonl"
    return Part(name, place, instructions(file), {file: HOLDS}, rows, size, (language,))


def _github(file: str) -> Place:
    home = "Instruction-Tuning-with-GPT-4/GPT-4-LLM"
    return Place(
        (file,), base=f"https://raw.githubusercontent.com/{home}/main/data/", home=f"https://github.com/{home}"
    )


SETS = (
    OpenSet(
        "gpt4-llm",
        both(
            "Instructions of Alpaca answered by GPT-4 in English and in Chinese, unnatural instructions, and answers "
            "of three models scored by GPT-4 (GPT-4-LLM).",
            "由 GPT-4 用英文和中文回答的 Alpaca 指令、unnatural instructions，"
            "以及由 GPT-4 打分的三个模型的回答（GPT-4-LLM）。",
        ),
        "CC BY-NC 4.0",
        (
            _answered("en", Place(("data/alpaca_gpt4_data.json",), "llm-wizard/alpaca-gpt4-data"), 52_002, 43_400_000),
            _answered(
                "zh", Place(("alpaca_gpt4_data_zh.json",), "llm-wizard/alpaca-gpt4-data-zh"), 48_818, 35_100_000, "zh"
            ),
            _answered(
                "unnatural",
                _github("unnatural_instruction_gpt4_data.json"),
                9_000,
                0,
            ),
            Part(
                "comparisons",
                _github("comparison_data_v2.json"),
                ratings,
                {COMPARED: both("prompt, answers of several models, scores", "提示、多个模型的回答、分数")},
                51_445,
                0,
                changed=both(
                    "The prompt of Alpaca around an instruction is taken off; user_input becomes prompt.",
                    "去掉指令外面套的 Alpaca 提示；user_input 改名为 prompt。",
                ),
            ),
        ),
        MODEL,
    ),
)
