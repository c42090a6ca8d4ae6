"""`export_run`: one run to an adapter folder, a model folder or a GGUF file, whole or absent, compared before."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from luthier.core.errors import LuthierError
from luthier.export.asking import plain_logits, what_it_says
from luthier.export.card import write_card
from luthier.export.parity import (
    Before,
    Check,
    compare_ends,
    compare_logits,
    compare_tokenizer,
    how_far,
    refuse,
)
from luthier.export.source import Source, To, open_run
from luthier.io.files import replacing, sync_folder

Step = Callable[[str], None]
Show = Callable[[Sequence[Check]], None]
STEPS = 4
# Of the largest logit: what rounding every matrix to 11 bits, or to 8 with a scale each 32 numbers, may change.
ALLOWED = {"f32": (3e-5, 6e-5), "f16": (6e-3, 4e-3), "q8_0": (0.15, 0.1)}

ROUNDING = 4e-3  # llama.cpp keeps keys and values in 16 bits, whatever the file holds


def form_of(run: Path) -> To:
    """The form that a run is written in unless told otherwise."""
    from luthier.export.classifier import is_features

    return "classifier" if is_features(run) else "merged"


def place_of(run: Path, to: To, kind: str) -> Path:
    """Where an export of the run goes unless told otherwise."""
    return run / "export" / (f"{run.resolve().name}-{kind}.gguf" if to == "gguf" else to)


def export_run(
    run: Path, to: To, out: Path | None, kind: str, step: Step, show: Show, original: bool = False
) -> Path:  # fmt: skip
    """Write the run in that form and give its place.

    kind: of a GGUF file's numbers. step: is told in words what begins, STEPS times. show: is given the parity table.
    original: see `source.open_run`.
    Raises LuthierError when the run cannot be written so, the place is taken, or what was written differs from the run.
    """
    from luthier.export.classifier import is_features, write_classifier

    target = out or place_of(run, to, kind)
    if to == "gguf" and target.suffix != ".gguf":
        target = target / place_of(run, to, kind).name
    if target.exists() or target.is_symlink():
        raise LuthierError(f"{target} exists already: name another place with --out, or remove it")
    step("loading the run")
    if to == "classifier" and is_features(run):
        if original:
            raise LuthierError(f"{run}: --original makes no difference: a classifier leaves the weights alone")
        with _new_folder(target) as folder, _explained(run, to):
            refuse(write_classifier(run, folder, step), show)
            step("publishing")
            write_card(run, to, folder)
        return target
    _export_weights(open_run(run, to, original), to, target, kind, step, show)
    return target


def _export_weights(source: Source, to: To, target: Path, kind: str, step: Step, show: Show) -> None:
    """Of a run that changed the model: an adapter, a model, or a GGUF file."""
    from luthier.export.adapter import write_adapter
    from luthier.export.headed import read_by_head, write_headed
    from luthier.export.merged import write_merged
    from luthier.models.attention.narrowed import as_others_run

    run = source.folder
    step("asking it")
    headed = source.lm.label_head is not None
    asked = as_others_run(source.lm, whole=to == "merged")
    before = read_by_head(asked) if headed else what_it_says(asked)
    if source.trained:
        show([how_far(source.trained, before)])
    step("writing")
    if to == "gguf":
        with _explained(run, to):
            _write_gguf(source, before, target, kind, step, show)
        write_card(run, to, target)
        return
    with _new_folder(target) as folder, _explained(run, to):
        write = write_adapter if to == "adapter" else write_headed if headed else write_merged
        refuse(write(source, before, folder), show)
        step("publishing")
        write_card(run, to, folder)


def _write_gguf(source: Source, before: Before, target: Path, kind: Any, step: Step, show: Show) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from luthier.export import llama_cpp
    from luthier.export.gguf_file import check_architecture, write_gguf
    from luthier.export.gguf_tokenizer import stored_ends
    from luthier.export.merged import fold
    from luthier.models.loading.gguf import import_gguf
    from luthier.models.loading.quiet import quiet

    name = source.folder.resolve().name
    check_architecture(source.lm.model.config, str(source.folder))
    fold(source)
    with replacing(target) as temporary, tempfile.TemporaryDirectory(prefix=".back.", dir=target.parent) as work:
        write_gguf(source.lm.model, source.lm.tokenizer, temporary, kind, name)
        step("reading it back")
        import_gguf(temporary, Path(work) / "model")
        with quiet():
            again: Any = AutoModelForCausalLM.from_pretrained(Path(work) / "model", attn_implementation="eager")
            tokenizer = AutoTokenizer.from_pretrained(Path(work) / "model")
        checks = compare_logits(before, plain_logits(again.eval(), before), ALLOWED[kind], "transformers")
        checks += compare_tokenizer(before, tokenizer, "transformers")
        checks.append(compare_ends(before, stored_ends(temporary), "the file"))
        if llama_cpp.is_here():
            behind = max(ALLOWED[kind][1], ROUNDING) * before.spread
            checks += llama_cpp.compare(before, temporary, behind, torch.get_num_threads())
        refuse(checks, show)


@contextmanager
def _explained(run: Path, to: To) -> Iterator[None]:
    """What transformers, PEFT or llama.cpp raise about a model that they cannot run becomes a sentence."""
    try:
        yield
    except (LuthierError, OSError, MemoryError):
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or ["no message"])[0]
        raise LuthierError(
            f"{run}: nothing was written: the {to} form of this model cannot be made or read again "
            f"({type(error).__name__}: {first})"
        ) from error


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target` that takes its place at the end, or is removed on an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        work.chmod(0o755)
        yield work
        for path in work.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        sync_folder(work)
        work.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)
