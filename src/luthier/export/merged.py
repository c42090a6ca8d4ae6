"""A complete model folder, the change folded into the weights: what plain transformers loads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from luthier.errors import LuthierError
from luthier.export.parity import Before, Check, compare_ends, compare_logits, compare_tokenizer, plain_logits
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
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from luthier.models.quiet import quiet

    fold(source)
    dtype = source.recipe.dtype if source.recipe.dtype in ALLOWED else "float32"
    model: Any = source.lm.model.to(getattr(torch, dtype))
    with _told_of_its_head(model):
        save_model(source.lm, folder)
    shutil.copyfile(source.files / "luthier.json", folder / "luthier.json")
    with quiet():
        again: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        tokenizer = AutoTokenizer.from_pretrained(folder)
    after = plain_logits(again.eval(), before.ids)
    return [
        *compare_logits(before, after, ALLOWED[dtype], f"transformers, {dtype}"),
        *compare_tokenizer(before, tokenizer, "transformers"),
        compare_ends(before, saved_ends(folder), "transformers"),
    ]


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
