"""What is measured of a model that was trained: bits a byte with an interval, multiple choice, continuations.

All of it goes into the run's `eval.json` in one write. What a model cannot do is left out, and a note says why.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from luthier.core.lm import LM
from luthier.core.phrases import say
from luthier.corpus.recipe import Bar
from luthier.evals.bootstrap import ratio
from luthier.models.base import TrainableLM
from luthier.pretrain import choices, samples
from luthier.pretrain.prepare import Prepared

BITS = "bits_per_byte"
MARK, MARKS = 256, "byte_5gram_marks"  # bytes between two marks; what a file calls them


def facts(
    lm: LM, known: Mapping[str, Any], made: Prepared, marks: Sequence[float], folder: Path, bar: Bar
) -> dict[str, Any]:
    """For `eval.json`. known: what the run has measured of the held-out text. Writes the continuations.

    marks: bits of a 5-gram of bytes up to each `MARK` bytes of that text.
    """
    told: dict[str, Any] = {**_bits(known, made, marks), "notes": []}
    if not isinstance(lm, TrainableLM):
        return told
    told["parameters"] = sum(each.numel() for each in lm.model.parameters())
    if (why := lm.lacks("logprobs")) is None:
        spoken = choices.languages(choices.spread(made.heldout))
        with bar("choices") as done:
            told["choices"] = choices.measured(lm, spoken, done)
    else:
        told["notes"].append(say("said_no_choices", why=why))
    if (why := lm.lacks("generate")) is None:
        with bar("samples") as done:
            samples.write(lm, _texts(made.validation), folder, done)
    else:
        told["notes"].append(say("said_no_samples", why=why))
    return told


def _bits(known: Mapping[str, Any], made: Prepared, marks: Sequence[float]) -> dict[str, Any]:
    """Bits a byte of the held-out text with the ends of its interval, and how many fewer they are than a 5-gram's of
    bytes on the same stretches: a harder stretch is harder for both. A model that is asked otherwise has its own
    figure alone."""
    told = {name: value for name, value in known["secondary"].items() if name.endswith(BITS)}
    if BITS not in told:  # of another task, such as masked tokens
        return told
    blocks = [(row, nats / math.log(2), size) for row, nats, size in known.get("blocks") or ()]
    own = ratio([(bits, size) for _, bits, size in blocks])
    sizes = [len(text.encode()) for text in _texts(made.held_rows)]
    whole = bool(marks) and known["rows"]["test"] == len(sizes)
    grams = _grams(blocks, sizes, marks) if whole else []
    apart = ratio([(gram - bits, size) for (_, bits, size), gram in zip(blocks, grams, strict=whole)])
    return {
        **told,
        "bits_per_byte_ci95": [own.low, own.high] if own else None,
        "below_5gram": [apart.value, apart.low, apart.high] if apart else None,
    }


def _grams(blocks: Sequence[tuple[int, float, int]], sizes: Sequence[int], marks: Sequence[float]) -> list[float]:
    """The bits of a 5-gram of bytes on each block. sizes: bytes of the rows, whose last ones the blocks are."""
    begins = np.concatenate([[0], np.cumsum(sizes)])
    places: list[tuple[int, int]] = []
    for row, group in groupby(blocks, key=itemgetter(0)):
        own = [size for _, _, size in group]
        places += pairwise((int(begins[row + 1]) - sum(own) + np.cumsum([0, *own])).tolist())
    at = np.minimum(np.arange(len(marks)) * MARK, begins[-1])
    return [float(high - low) for low, high in np.interp(np.array(places).reshape(-1, 2), at, marks)]


def _texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text("utf-8").split("\n") if line]
