"""Answers of a file judged by a reward: a number each, written beside them, and how well it agrees with people.

    F          {"line", "prompt", "answers", "scores"}, of one answer {"line", "prompt", "completion", "score"}:
               what is read here again, as preferences of a machine
    F.partial  rows that are done while the command runs; the same command goes on behind them

Rows with a preference are held against it: the share of pairs told right with its interval, beside what the length of
the answers alone would tell, by length difference, and how far a difference of one says how sure it is (calibration).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.core.records import Chat, Compared, Judged, Message, Record, Scored, record_values
from luthier.evals.agreement import Agreement, agreement
from luthier.io.files import write_text

if TYPE_CHECKING:
    from luthier.io.config import DataConfig
    from luthier.training.context import Reward

AT_ONCE = 32  # rows judged together, and written when they are


@dataclass(frozen=True)
class Scores:
    """What was written. rows: of the file; agreement: with the preferences in it, None where there are none."""

    path: Path
    rows: int
    answers: int
    least: float
    most: float
    mean: float
    agreement: Agreement | None


def score_file(
    reward: Reward, name: str, config: DataConfig, out: Path, say: Callable[[int, int], None] | None = None
) -> Scores:
    """Judge every answer of `config.path`. name: of the reward, for what was begun by another one.

    Raises LuthierError where a row has no answer to judge, or the reward gives no number.
    """
    from luthier.data.read import report_bad
    from luthier.data.task import read_table

    if out.suffix != ".jsonl":
        raise LuthierError(f"{out}: the name must end in .jsonl")
    table = read_table(config, config.path)
    if Path(config.path).exists() and out.exists() and out.samefile(config.path):
        raise LuthierError(f"{out} is the file that is judged, which would be lost: choose another --out")
    report_bad(table, config.skip_bad, out.with_name("rejected.jsonl"))
    rows = list(zip(table.lines, table.records, strict=True))[: config.limit]
    judged = [(line, record, _answers(record, f"{table.path}:{line}")) for line, record in rows]
    partial = out.with_name(f"{out.name}.partial")
    done = _begun(partial, _key(name, table.records, config.limit))
    found: list[dict[str, Any]] = [json.loads(text) for text in done]
    with partial.open("a", encoding="utf-8") as file:
        for at in range(len(found), len(judged), AT_ONCE):
            part = judged[at : at + AT_ONCE]
            asked = [(record, text) for _, record, texts in part for text in texts]
            numbers = iter(reward.score([_prompt(r) for r, _ in asked], [t for _, t in asked], [r for r, _ in asked]))
            fresh = [_row(line, record, texts, [next(numbers) for _ in texts]) for line, record, texts in part]
            file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in fresh))
            file.flush()
            found += fresh
            if say:
                say(len(found), len(judged))
    write_text(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found))
    partial.unlink()
    return _told(out, [record for _, record, _ in judged], found)


def _key(name: str, records: Sequence[Record], limit: int | None) -> str:
    text = json.dumps([name, limit, [record_values(record) for record in records]], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _begun(partial: Path, key: str) -> list[str]:
    """The rows that a killed command left, if it judged the same; the file is ready to be added to."""
    first = json.dumps({"key": key})
    lines: list[str] = []
    if partial.exists():
        lines = partial.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]  # the last one may be half
    kept = lines[1:] if lines and lines[0] == first else []
    write_text(partial, "".join(f"{line}\n" for line in (first, *kept)))
    return kept


def _answers(record: Record, where: str) -> tuple[str, ...]:
    if isinstance(record, Compared):
        return record.answers
    if isinstance(record, Judged):
        return (record.reply.said,)
    if isinstance(record, Scored | Chat):
        return (record.wanted,)
    raise LuthierError(f"{where}: there is no answer to judge: prompts with completions, conversations or preferences")


def _prompt(record: Record) -> tuple[Message, ...]:
    asked = record.asked
    return (Message("user", asked),) if isinstance(asked, str) else asked


def _row(line: int, record: Record, texts: Sequence[str], numbers: Sequence[float]) -> dict[str, Any]:
    prompt = [{"role": message.role, "content": message.content} for message in _prompt(record)]
    if len(texts) == 1:
        return {"line": line, "prompt": prompt, "completion": texts[0], "score": numbers[0]}
    return {"line": line, "prompt": prompt, "answers": list(texts), "scores": list(numbers)}


def _told(out: Path, records: Sequence[Record], rows: Sequence[dict[str, Any]]) -> Scores:
    scores = [row["scores"] if "scores" in row else [row["score"]] for row in rows]
    numbers = [number for found in scores for number in found]
    if not numbers:
        raise LuthierError(f"{out}: there is no row to judge")
    told = list(_pairs(records, scores))
    found = agreement(told) if told else None
    return Scores(out, len(rows), len(numbers), min(numbers), max(numbers), fmean(numbers), found)


def _pairs(records: Sequence[Record], scores: Sequence[Sequence[float]]) -> Iterator[tuple[int, float, int]]:
    """Row, difference of the scores and of the lengths of every pair, the better answer's first."""
    for row, (record, found) in enumerate(zip(records, scores, strict=True)):
        for i, j in record.pairs if isinstance(record, Compared) else ():
            lengths = [len(text) for text in _answers(record, "")]
            yield row, found[i] - found[j], lengths[i] - lengths[j]
