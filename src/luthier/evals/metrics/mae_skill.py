"""How much nearer than the training rows' median a predicted number comes.

1 - |error| / D a row, where D is the mean absolute deviation of the training values from their median: 1 is perfect, 0
what always saying the median gives on average, below 0 worse. Source: the mean-absolute-error skill score of forecast
verification, Murphy 1988.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from luthier.core.errors import LuthierError
from luthier.core.lm import LM
from luthier.core.metric import Metric, Scores
from luthier.core.records import Rated, Record
from luthier.core.split import Split


class MaeSkill(Metric):
    """Mean and root-mean-square error in the data's own unit, and correlations, beside it."""

    name = "mae_skill"
    title = "Skill, %"
    tasks = ("regression",)
    meaning = (
        "Skill is how much smaller the error is than that of always saying the training rows' median: 100 is no error, "
        "0 no better than the median, below 0 worse."
    )

    def scores(self, lm: LM, data: Split, rows: Sequence[Record]) -> Scores:
        rated = [r for r in rows if isinstance(r, Rated)]
        given = [float(v) for v in lm.predict([r.text for r in rated], ())[:, 0]]
        wanted = [r.value for r in rated]
        unit = deviation([r.value for r in data.train if isinstance(r, Rated)])
        errors = [abs(a - b) for a, b in zip(given, wanted, strict=True)]
        secondary = {
            "mae": statistics.fmean(errors),
            "rmse": statistics.fmean(e * e for e in errors) ** 0.5,
            **correlations(given, wanted),
        }
        return Scores(self.name, [1 - e / unit for e in errors], [f"{v:g}" for v in given], secondary)


def deviation(values: Sequence[float]) -> float:
    """Mean absolute deviation from the median. Raises LuthierError where all values are the same."""
    middle = statistics.median(values)
    found = statistics.fmean(abs(v - middle) for v in values)
    if found == 0:
        raise LuthierError(f"all training rows have the value {middle:g}: there is nothing to learn from them")
    return found


def correlations(given: Sequence[float], wanted: Sequence[float]) -> dict[str, float]:
    """Pearson's and Spearman's correlation; 0 where one side does not vary, which leaves them undefined."""
    from scipy.stats import pearsonr, spearmanr

    if len(set(given)) < 2 or len(set(wanted)) < 2:
        return {"pearson": 0.0, "spearman": 0.0}
    return {
        "pearson": float(pearsonr(given, wanted).statistic),
        "spearman": float(spearmanr(given, wanted).statistic),
    }


METRIC = MaeSkill()
