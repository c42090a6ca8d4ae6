"""An adapter folder in PEFT's layout, with the tokenizer."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from luthier.export.asking import plain_logits, plain_written, what_it_says
from luthier.export.parity import (
    Before,
    Check,
    compare_ends,
    compare_logits,
    compare_tokenizer,
    compare_written,
)
from luthier.export.source import Source
from luthier.io.files import write_json, write_tensors
from luthier.models.attention.narrowed import as_others_run
from luthier.models.loading import bases

ALLOWED = (3e-5, 6e-5)  # of the largest logit: float32, summed in another order


def write_adapter(source: Source, before: Before, folder: Path) -> list[Check]:
    """Write into the existing folder, load it with PEFT (or, where that is missing, ourselves) and compare."""
    from luthier.models.ends import save_tokenizer, saved_ends

    tensors, config = source.patch.export(source.lm)
    said = bases.record(source.recipe.model)
    write_tensors(folder / "adapter_model.safetensors", tensors, {"format": "pt"})
    write_json(
        folder / "adapter_config.json",
        {**config, "base_model_name_or_path": said["name"], "inference_mode": True},
    )
    save_tokenizer(source.lm, folder)
    bases.write_record(said, source.files / "luthier.json", folder)
    from transformers import AutoTokenizer

    checks = compare_tokenizer(before, AutoTokenizer.from_pretrained(folder), "transformers")
    checks.append(compare_ends(before, saved_ends(folder), "transformers"))
    if importlib.util.find_spec("peft") is None:
        return [*_read_back(source, before, folder), *checks]
    theirs = _with_peft(source, folder)
    found = compare_logits(before, plain_logits(theirs, before), ALLOWED, "PEFT")
    if before.written:
        prefixed = source.lm.learned_prefix is not None  # which PEFT's own generation places otherwise: told only
        written = plain_written(theirs, before, prefixed)
        found.append(compare_written(before, written, not prefixed, "PEFT"))
    return [*found, *checks]


def _with_peft(source: Source, folder: Path) -> Any:
    import warnings

    import peft

    from luthier.models.loading.load import load_base

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        base = load_base(source.base)[0]
        source.patch.prepare(base)
        return peft.PeftModel.from_pretrained(base, folder).eval()


def _read_back(source: Source, before: Before, folder: Path) -> list[Check]:
    """The file's tensors put into the model again."""
    from safetensors.torch import load_file

    source.patch.load(source.lm, load_file(folder / "adapter_model.safetensors"))
    again = what_it_says(as_others_run(source.lm, whole=False)).logits
    return compare_logits(before, again, ALLOWED, "Luthier (no peft here)")
