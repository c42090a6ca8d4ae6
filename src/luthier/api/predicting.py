"""A file of inputs answered by an adapted model: the same columns with what the model says beside them."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.data.asked_file import read_for
from luthier.data.read import Inputs, report_bad
from luthier.io.files import write_text

if TYPE_CHECKING:
    from luthier.api.model import Model


def answer_file(
    run: Path, data: Path, out: Path, columns: Mapping[str, str], instruction: str | None, skip_bad: bool = False,
    say: Callable[[int, int], None] | None = None, template: Path | None = None, encoding: str = "",
    note: Callable[[str], None] | None = None,
) -> int:  # fmt: skip
    """Predict every row of `data` with the model of `run` into `out`; gives the number of rows.

    note: gets what had to be decided to read the file, a sentence each.
    """
    from luthier.api.model import load
    from luthier.io.config import run_recipe
    from luthier.io.kept import run_writes

    rejected = out.with_name("rejected.jsonl")
    _check_out(out, data, rejected if skip_bad else None)
    known = run_recipe(run).data
    inputs = read_for(known, data, columns, instruction, encoding, writes=run_writes(run))
    if note:
        for sentence in inputs.notes:
            note(sentence)
    report_bad(inputs, skip_bad, rejected)
    model = load(run, say, template)
    model.gives(*ADDED)
    if model.output != "text":
        _check_texts(inputs)
    else:
        _check_written(model.lm, inputs)
    added = ADDED[model.output](model, inputs.prompts)
    rows = [{**row, **more} for row, more in zip(inputs.rows, added, strict=True)]
    fields = [*inputs.fieldnames, *[k for k in (added[0] if added else {}) if k not in inputs.fieldnames]]
    write_text(out, _text(rows, fields, out.suffix))
    return len(rows)


def _check_out(out: Path, data: Path, rejected: Path | None) -> None:
    """Refuse what cannot be written in the end, before the work: another kind of file, a folder, the input itself."""
    if out.suffix not in (".csv", ".tsv", ".jsonl"):
        raise LuthierError(f"{out}: the name must end in .csv, .tsv or .jsonl")
    if out.is_dir():
        raise LuthierError(f"{out} is a folder: name a file with --out")
    for written in (out, rejected):
        if written is not None and written.exists() and data.exists() and written.samefile(data):
            raise LuthierError(f"{written} is the file of inputs, which would be lost: choose another --out")
    place = next(p for p in (out.absolute().parent, *out.absolute().parents) if p.exists())
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise LuthierError(f"{out} cannot be written, since {place} cannot: choose another --out")


def _check_texts(inputs: Inputs) -> None:
    """Refuse rows with a system text, earlier turns or tools for a model that labels plain texts."""
    for line, prompt in zip(inputs.lines, inputs.prompts, strict=True):
        if not isinstance(prompt, str):
            raise LuthierError(
                f"{inputs.path}:{line}: the row is a conversation (system, history or tools), and this run labels texts"
            )


def _check_written(lm: Any, inputs: Inputs) -> None:
    """Refuse a row that the model cannot be asked as it stands there, by its line."""
    from luthier.core.errors import Unrendered
    from luthier.data.rendering import accepted, carries_more

    for line, prompt in zip(inputs.lines, inputs.prompts, strict=True):
        if isinstance(prompt, str) or getattr(lm, "remote", False):
            continue
        try:
            if getattr(lm, "templated", False):
                accepted(lm.tokenizer, prompt)
            elif carries_more(prompt):
                raise Unrendered("the model reads words only: no tools or calls")
        except Unrendered as error:
            raise LuthierError(f"{inputs.path}:{line}: {error}") from None


def _labels(model: Model, prompts: Sequence[Any]) -> list[dict[str, Any]]:
    best = [max(row.items(), key=lambda kv: kv[1]) for row in model.probabilities(prompts)]
    # how often it holds is known behind a temperature alone; no share at all: a model behind an address named no label
    column = "score" if model.temperature is None else "probability"
    return [{"prediction": k if v else "", column: round(v, 4)} for k, v in best]


ADDED: Mapping[str, Callable[[Model, Sequence[Any]], list[dict[str, Any]]]] = {
    "labels": _labels,
    "tags": lambda model, prompts: [{"prediction": ", ".join(tags)} for tags in model.tags(prompts)],
    "scalar": lambda model, prompts: [{"prediction": f"{value:.6g}"} for value in model.values(prompts)],
    "text": lambda model, prompts: [{"prediction": text} for text in model.generate(prompts)],
}


def _text(rows: list[dict[str, Any]], fields: list[str], suffix: str) -> str:
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if suffix == ".tsv":  # as we read it: no quoting, so what would break a row becomes a space
        lines = [fields, *[[" ".join(str(row.get(f, "")).split()) for f in fields] for row in rows]]
        return "".join("\t".join(line) + "\n" for line in lines)
    file = io.StringIO()
    writer = csv.DictWriter(file, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
