"""An adapted model from Python: read from a run folder, asked for labels, tags, numbers or text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from luthier.api.texts import prompts_of, texts_of
from luthier.core.errors import LuthierError

if TYPE_CHECKING:
    from luthier.core.lm import LM
    from luthier.core.records import Prompt
    from luthier.core.window import Window
    from luthier.models.inference.conversation import Conversation

USE = {"labels": "predict()", "tags": "tags()", "scalar": "values()", "text": "generate()",
       "reward": "luthier eval RUN PAIRS", "verdict": "luthier eval RUN PAIRS"}  # fmt: skip
GIVES = {"labels": "labels", "tags": "several labels", "scalar": "numbers", "text": "text",
         "reward": "numbers for answers, not for texts", "verdict": "verdicts on two answers"}  # fmt: skip
SHOWN = 6  # labels in `repr`


class Model:
    """An adapted model. A text gives one answer; a list, tuple, generator, data frame's column or array gives a list.

    >>> model = luthier.load("runs/demo/trials/lora/seed-0")        # doctest: +SKIP
    >>> model.predict("where is my parcel?")                        # doctest: +SKIP
    'delivery'
    >>> model.predict(frame["text"])                                # doctest: +SKIP
    ['delivery', 'refund']

    temperature: makes probabilities of label scores; None: none fitted. method, base, folder: what it is and where
    from, for `repr`.
    """

    def __init__(
        self, lm: LM, labels: Sequence[str], method: str = "", base: str = "", folder: Path | None = None,
        temperature: float | None = None,
    ) -> None:  # fmt: skip
        self.lm, self.labels, self.temperature = lm, tuple(labels), temperature
        self.method, self.base, self.folder = method, base, folder

    def __repr__(self) -> str:
        what = f"{self.method or 'a model'}{f' on {self.base}' if self.base else ''}"
        more = f", … ({len(self.labels)})" if len(self.labels) > SHOWN else ""
        labels = f" ({', '.join(self.labels[:SHOWN])}{more})" if self.labels else ""
        place = f", from {self.folder}" if self.folder else ""
        return f"<luthier.Model: {what}, gives {GIVES[self.output]}{labels}: {USE[self.output]}{place}>"

    @property
    def output(self) -> str:
        """What it gives: labels, tags (several labels a text), scalar (a number), reward (of an answer) or text."""
        return str(getattr(self.lm, "output", "labels" if self.labels else "text"))

    def gives(self, *outputs: str) -> None:
        """Raise LuthierError naming what to use where this run gives something else."""
        if self.output not in outputs:
            gives = "writes text" if self.output == "text" else f"gives {GIVES[self.output]}"
            raise LuthierError(f"this run {gives}: use {USE[self.output]}")

    @overload
    def predict(self, texts: str) -> str: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, texts: Iterable[str]) -> list[str]: ...
    def predict(self, texts: str | Iterable[str]) -> str | list[str]:
        """The most likely label of each text; "" where a model behind an address named none.

        >>> model.predict("where is my parcel?")                    # doctest: +SKIP
        'delivery'
        >>> model.predict(["where is my parcel?", "pay me back"])   # doctest: +SKIP
        ['delivery', 'refund']
        """
        asked, one = texts_of(texts)
        self.gives("labels")
        rows: Any = self.lm.predict(asked, self.labels) if asked else []
        found = [self.labels[int(row.argmax())] if bool(row.isfinite().any()) else "" for row in rows]
        return found[0] if one else found

    @overload
    def tags(self, texts: str) -> tuple[str, ...]: ...  # type: ignore[overload-overlap]
    @overload
    def tags(self, texts: Iterable[str]) -> list[tuple[str, ...]]: ...
    def tags(self, texts: str | Iterable[str]) -> tuple[str, ...] | list[tuple[str, ...]]:
        """The labels of each text that are likelier than not.

        >>> model.tags("the parcel is late and I am furious")       # doctest: +SKIP
        ('angry', 'parcel')
        """
        from luthier.evals.metrics.label_f1 import chosen

        asked, one = texts_of(texts)
        self.gives("tags")
        found = chosen(self.lm, asked, self.labels) if asked else []
        return found[0] if one else found

    @overload
    def values(self, texts: str) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def values(self, texts: Iterable[str]) -> list[float]: ...
    def values(self, texts: str | Iterable[str]) -> float | list[float]:
        """The number predicted for each text.

        >>> model.values("three rooms, near the station")           # doctest: +SKIP
        812.5
        """
        asked, one = texts_of(texts)
        self.gives("scalar")
        found = [float(v) for v in self.lm.predict(asked, ())[:, 0]] if asked else []
        return found[0] if one else found

    @overload
    def probabilities(self, texts: str) -> Mapping[str, float]: ...  # type: ignore[overload-overlap]
    @overload
    def probabilities(self, texts: Iterable[str]) -> list[Mapping[str, float]]: ...
    def probabilities(self, texts: str | Iterable[str]) -> Mapping[str, float] | list[Mapping[str, float]]:
        """Share of each label, normalised over the labels; of a run that gives several, each by itself.

        Behind the run's temperature they say how often they hold; where `temperature` is None they are mere scores.

        >>> model.probabilities("where is my parcel?")              # doctest: +SKIP
        {'delivery': 0.94, 'refund': 0.06}
        """
        from luthier.evals.temperature import tempered

        asked, one = texts_of(texts)
        self.gives("labels", "tags")
        scores: Any = self.lm.predict(asked, self.labels) if asked else None
        if scores is not None and self.temperature is not None:
            scores = tempered(scores, self.temperature)
        rows = [] if scores is None else scores.exp().tolist()
        found: list[Mapping[str, float]] = [dict(zip(self.labels, row, strict=True)) for row in rows]
        return found[0] if one else found

    def generate(self, prompts: Any, max_new_tokens: int = 256, temperature: float = 0.0) -> Any:
        """One answer a prompt: a text, or a list of messages, which is one prompt.

        >>> model.generate("Say hello.")                            # doctest: +SKIP
        'Hello!'
        >>> model.generate([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}])
        ... # doctest: +SKIP
        'Because.'
        >>> model.generate(["Say hello.", "Say goodbye."])          # doctest: +SKIP
        ['Hello!', 'Goodbye!']
        """
        from luthier.core.records import Sampling

        if not isinstance(max_new_tokens, int) or max_new_tokens < 1:
            raise LuthierError(f"max_new_tokens={max_new_tokens!r}: must be a whole number of at least 1")
        if not isinstance(temperature, int | float) or not 0 <= temperature < math.inf:
            raise LuthierError(f"temperature={temperature!r}: must be a number of at least 0")
        asked: list[Prompt]
        asked, one = prompts_of(prompts)
        found = self.lm.generate(asked, Sampling(max_new_tokens, temperature)) if asked else []
        return found[0] if one else found

    def conversation(self, window: str | Window) -> Conversation:
        """A conversation of any length in memory that does not grow: `say(text, sampling)` gives pieces of an answer.

        window: the first and the last tokens that are kept, such as "4+1020".

        >>> talk = model.conversation("4+1020")                     # doctest: +SKIP
        >>> "".join(talk.say("Say hello.", Sampling(256)))          # doctest: +SKIP
        'Hello!'
        """
        from luthier.core.errors import Refused
        from luthier.core.phrases import say
        from luthier.core.window import window_of
        from luthier.models.causal import CausalLM
        from luthier.models.inference.conversation import Conversation

        self.gives("text")
        found = window_of(window, "window") if isinstance(window, str) else window
        if found is None:
            raise LuthierError("window: a conversation without end needs one, such as 4+1020")
        if not isinstance(self.lm, CausalLM):
            raise Refused(say("said_refused_window_kind", window=str(found)))
        return Conversation(self.lm, found)


def load(
    run_folder: str | Path, progress: Callable[[int, int], None] | None = None, template: str | Path | None = None
) -> Model:
    """What `luthier.load` gives, with errors as the commands spell them."""
    from luthier.evals.temperature import kept
    from luthier.evals.wording import reworded
    from luthier.io import config
    from luthier.runs.loaded import load_run
    from luthier.runs.run import run_labels

    folder = Path(run_folder)
    lm = load_run(folder, progress=progress)
    recipe = config.run_recipe(folder)
    lm = reworded(lm, Path(template)) if template else lm
    temperature = None if template else kept(folder)  # it is that of the run's own wording
    return Model(lm, run_labels(folder), recipe.method, recipe.model, folder, temperature)
