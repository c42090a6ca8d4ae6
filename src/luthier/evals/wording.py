"""Choosing among wordings by validation: shared by the methods that only word the question; and another wording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.errors import LuthierError
from luthier.core.phrases import say
from luthier.core.split import Split
from luthier.data.prompts import mostly_chinese
from luthier.evals.task import evaluate
from luthier.io.files import read_record

if TYPE_CHECKING:
    from luthier.core.lm import LM, WordedLM
    from luthier.data.prompts import Template


def wordings(lm: WordedLM, data: Split) -> Sequence[Template]:
    """The wordings to choose among for these rows, in their language."""
    return lm.wordings(data.labels, mostly_chinese(data.train))


def best_wording(choices: Sequence[WordedLM], data: Split, rows: int) -> WordedLM:
    """The choice with the best score on at most `rows` validation rows; the first of equals."""
    judged = data.validation[:rows]
    if len(choices) == 1 or not judged:
        return choices[0]
    return max(choices, key=lambda lm: evaluate(lm, data, judged).score)


def chosen(best: Template | None, among: Sequence[Template], rows: int) -> list[str]:
    """A note on which wording so many validation rows chose, where there was a choice."""
    if best is None or len(among) < 2 or not rows:
        return []
    names, text = ", ".join(t.name for t in among), best.text.replace("\n", "\\n")
    return [say("said_wording", name=best.name, names=names, rows=rows, text=text)]


def load_wording(folder: Path, lm: WordedLM) -> WordedLM:
    """What `WordedLM.save` wrote for a method that only words the question."""
    return lm.restore(read_record(folder / "luthier.json", "template", "shots", "labels"))


def unworded(lm: WordedLM) -> str | None:
    """The reason against a wording that a method would not use."""
    return say("said_refused_words") if lm.only else None


def reworded(lm: Any, path: Path) -> LM:
    """The adapted model behind the wording of a file. Raises LuthierError where its answers come from no wording."""
    from luthier.data.templates.files import read_template
    from luthier.evals.examples import again

    if not hasattr(lm, "worded") or getattr(lm, "label_head", None) is not None or lm.mute(lm.labels):
        raise LuthierError(f"{path}: this run's answers come from no wording that could be changed")
    return again(lm, read_template(path, lm.labels), lm.labels)  # type: ignore[no-any-return]
