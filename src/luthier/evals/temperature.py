"""A temperature: the number that log-probabilities of labels are divided by, so that shares say how often they hold.

It is fitted on validation rows when a run ends and kept beside the adapter. It never changes which label wins, unlike
contextual calibration (`evals.calibration`), which is there to do that. Source: Guo et al. 2017, "On Calibration of
Modern Neural Networks".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.lm import LM
from luthier.core.metric import Scores
from luthier.core.phrases import say
from luthier.core.records import Labelled, Record
from luthier.core.split import Split
from luthier.io.files import read_record, write_json
from luthier.models.endpoint.remote import is_remote

if TYPE_CHECKING:
    from torch import Tensor

FILE = "temperature.json"
FEW = 20  # validation rows, under which the number would be mostly luck
MOST = 64  # that are scored for it: each costs as much as a test row
RANGE = (0.02, 50.0)
BINS = 10  # of the calibration error


@dataclass(frozen=True)
class Settled:
    """What became of it. facts: for eval.json. notes: why there is none."""

    facts: dict[str, Any]
    notes: tuple[str, ...] = ()


def settle(lm: LM, data: Split, scores: Scores, folder: Path) -> Settled:
    """Fit a temperature for a run that ends and keep it in `folder`, beside what the run saved.

    scores: of the test rows; get the calibration error before and after among their secondary figures. Nothing is
    fitted for another task, nor for a model that is reached over a network, where every row costs.
    """
    if data.task != "classification" or scores.label_logprobs is None or is_remote(lm):
        return Settled({})
    rows = data.validation[:MOST]
    if len(rows) < FEW:
        note = say("said_temperature_few", rows=len(rows), least=FEW)
        return Settled({"temperature": {"value": 1.0, "rows": len(rows), "why": note}}, (note,))
    found, wanted = lm.predict([str(r.asked) for r in rows], data.labels), targets(rows, data.labels)
    if not bool(found.isfinite().all()):
        note = say("said_temperature_none")
        return Settled({"temperature": {"value": 1.0, "rows": len(rows), "why": note}}, (note,))
    value = fit(found, wanted)
    fact = {"value": value, "rows": len(rows)}
    write_json(folder / FILE, fact)
    scores.secondary |= errors(scores.label_logprobs, targets(data.test, data.labels), value)
    return Settled({"temperature": fact})


def kept(folder: Path) -> float | None:
    """The temperature of a run folder, or of one that was exported; None where none was fitted."""
    found = next((folder / n / FILE for n in ("adapter", "model", "") if (folder / n / FILE).exists()), None)
    return float(read_record(found, "value")["value"]) if found else None


def targets(rows: Sequence[Record], labels: Sequence[str]) -> list[int]:
    """The place of each row's label; -1 for one that was never learned."""
    places = {label: at for at, label in enumerate(labels)}
    return [places.get(r.label, -1) for r in rows if isinstance(r, Labelled)]


def tempered(logprobs: Tensor, temperature: float) -> Tensor:
    """(N, K) log-probabilities of the same order, normalised, in float64: no two labels become equal by rounding."""
    import torch

    return torch.log_softmax(logprobs.double() / temperature, -1)


def fit(logprobs: Tensor, wanted: Sequence[int]) -> float:
    """The temperature under which the wanted labels of rows (N, K) are likeliest.

    Where every row is right none is low enough; one row more, an ordinary one whose runner-up is the right label,
    stands for the error that so many rows may hide.
    """
    import torch
    from scipy.optimize import minimize_scalar

    right = torch.tensor(wanted)
    scores, right = logprobs.double()[right >= 0], right[right >= 0]
    if len(right) == 0 or scores.shape[1] < 2:
        return 1.0
    best = scores.topk(2, dim=-1)
    if bool((best.indices[:, 0] == right).all()):
        margins = best.values[:, 0] - best.values[:, 1]
        usual = int(margins.argsort(stable=True)[len(margins) // 2])
        scores, right = torch.cat([scores, scores[usual : usual + 1]]), torch.cat([right, best.indices[usual, 1:2]])

    def loss(power: float) -> float:
        likely = tempered(scores, math.exp(power))
        return -float(likely.gather(1, right[:, None]).mean())

    low, high = map(math.log, RANGE)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(math.exp(found.x))


def calibration_error(logprobs: Tensor, wanted: Sequence[int]) -> float:
    """Expected calibration error of the winning labels, 0 to 1: over bins of confidence, |share right - confidence|."""
    import torch

    sure, said = logprobs.double().softmax(-1).max(-1)
    right = (said == torch.tensor(wanted)).double()
    bins = (sure * BINS).long().clamp(max=BINS - 1)
    gaps = [(right[bins == b] - sure[bins == b]).sum().abs() for b in range(BINS)]
    return float(sum(gaps)) / max(len(right), 1)


def errors(logprobs: Tensor, wanted: Sequence[int], temperature: float) -> dict[str, float]:
    """The calibration error with the temperature and without, by the names that secondary figures have."""
    return {
        "ece": calibration_error(tempered(logprobs, temperature), wanted),
        "ece_untempered": calibration_error(logprobs, wanted),
    }
