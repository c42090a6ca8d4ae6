"""A file of inputs answered by an adapted model: the same columns with what the model says beside them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from luthier.data.read import read_inputs, report_bad
from luthier.errors import LuthierError
from luthier.files import write_text


def answer_file(
    run: Path, data: Path, out: Path, columns: Mapping[str, str], instruction: str | None, skip_bad: bool = False,
    say: Callable[[int, int], None] | None = None,
) -> int:  # fmt: skip
    """Predict every row of `data` with the model of `run` into `out`; gives the number of rows."""
    from luthier.api import load
    from luthier.config import read_recipe

    if out.suffix not in (".csv", ".tsv", ".jsonl"):
        raise LuthierError(f"{out}: the name must end in .csv, .tsv or .jsonl")
    if instruction is None and (run / "recipe.yaml").exists():
        instruction = read_recipe(run / "recipe.yaml").data.instruction
    inputs = read_inputs(data, columns=columns, instruction=instruction)
    report_bad(inputs, skip_bad, out.with_name("rejected.jsonl"))
    model = load(run, say)
    if model.labels:
        shares = model.probabilities(inputs.prompts)
        best = [max(row.items(), key=lambda kv: kv[1]) for row in shares]
        # no share at all: a model behind an address named no label
        added: list[dict[str, Any]] = [{"prediction": k if v else "", "probability": round(v, 4)} for k, v in best]
    else:
        added = [{"prediction": text} for text in model.generate(inputs.prompts)]
    rows = [{**row, **more} for row, more in zip(inputs.rows, added, strict=True)]
    fields = [*inputs.fieldnames, *[k for k in (added[0] if added else {}) if k not in inputs.fieldnames]]
    write_text(out, _text(rows, fields, out.suffix))
    return len(rows)


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
