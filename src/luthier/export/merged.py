"""A complete model folder, the change folded into the weights: what plain transformers loads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.export.asking import plain_logits, plain_written
from luthier.export.parity import Before, Check, compare_ends, compare_logits, compare_tokenizer, compare_written
from luthier.export.source import Source
from luthier.models.ends import save_model, saved_ends

# Of the largest logit. 16-bit weights are rounded once more after the merge, in every matrix.
ALLOWED = {"float32": (3e-5, 6e-5), "bfloat16": (5e-2, 2e-2), "float16": (6e-3, 2e-3)}


def fold(source: Source) -> None:
    """Merge the patch into the base's weights. Raises LuthierError where it cannot be."""
    if not source.patch.merge(source.lm):
        raise LuthierError(
            f"{source.folder}: {source.recipe.method} cannot be merged into the weights"
            + (": --to adapter writes it beside them" if (source.files / "adapter_config.json").is_file() else "")
        )


def write_merged(source: Source, before: Before, folder: Path) -> list[Check]:
    """Write into the existing folder, in the number format the run was trained in; load it and compare."""
    import torch
    from transformers import AutoConfig, AutoTokenizer

    from luthier.models.loading.load import auto_class

    fold(source)
    dtype = number_format(source)
    with _told_of_its_head(source.lm.model.to(getattr(torch, dtype))):
        save_model(source.lm, folder)
    auto = auto_class(AutoConfig.from_pretrained(folder), str(source.folder))  # what was saved: its head too, or not
    shutil.copyfile(source.files / "luthier.json", folder / "luthier.json")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    again, checks = _read_again(auto, before, folder, dtype)
    if before.written:
        checks.append(compare_written(before, plain_written(again, before), dtype == "float32", "transformers"))
    checks += compare_tokenizer(before, tokenizer, "transformers")
    return [*checks, compare_ends(before, saved_ends(folder), "transformers")]


def _read_again(auto: Any, before: Before, folder: Path, dtype: str) -> tuple[Any, list[Check]]:
    """What was written as transformers loads it, compared; where its usual attention computes another thing than its
    plain one (so it is for the base, too: Falcon with ALiBi), the run agrees with one of them, which is said."""
    import torch

    from luthier.models.loading.quiet import quiet

    found: list[Check] = []
    for attention in (None, "eager"):
        with quiet():
            again = auto.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()
        where = f"transformers, {dtype}" + (f", attention {attention}" if attention else "")
        checks = compare_logits(before, plain_logits(again, before), ALLOWED[dtype], where)
        if all(check.ok for check in checks):
            return again, [*checks, *(replace(check, allowed="anything", ok=True) for check in found)]
        found = found or checks
    return again, found


def number_format(source: Source) -> str:
    """What the weights are written in."""
    return source.recipe.dtype if source.recipe.dtype in ALLOWED else "float32"


@contextmanager
def _told_of_its_head(model: Any) -> Iterator[None]:
    """The configuration says whether the head is tied, as it is now: a patch may have given it its own weight."""
    config = model.config
    held = config.tie_word_embeddings
    config.tie_word_embeddings = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    try:
        yield
    finally:
        config.tie_word_embeddings = held
