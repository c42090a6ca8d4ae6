"""Wordings of the instruction, many tried on training rows and rewritten from the best of each round.

Candidates come from the user, from the package and from a language model that sees training examples; successive
halving spends a given number of model calls. Validation and test rows take no part. Source: Zhou et al. 2022, "Large
Language Models Are Human-Level Prompt Engineers"; Jamieson & Talwalkar 2016.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Le

from luthier.core.errors import LuthierError
from luthier.core.methods import Direct
from luthier.core.phrases import say
from luthier.core.split import Split
from luthier.direct.wording_search.scorer import How
from luthier.evals.wording import load_wording
from luthier.io.config import EndpointConfig

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM
    from luthier.direct.wording_search.search import Found, Search, Settings
    from luthier.training.context import Context

extras = ()
FEW = 10  # training rows, under which the best of many wordings is mostly luck


@dataclass(frozen=True)
class HardPrompt(Direct):
    """templates: a file of wordings (see `luthier prompt search`). bundle: names of wordings in the package by comma.

    "" is those for the task, none leaves them out. write: wordings that a model writes a round; 0 for none. proposer:
    the model that writes (a folder, a .gguf file or an address); the base without it. endpoint: limits for it.
    calls: model calls in all, a row scored or a wording written. rounds: of halving. score: likelihood, metric, auto.
    """

    templates: str = ""
    bundle: str = ""
    write: Annotated[int, Ge(0), Le(99)] = 4
    proposer: str = ""
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    calls: Annotated[int, Ge(1)] = 480
    rounds: Annotated[int, Ge(1), Le(20)] = 3
    score: How = "auto"

    seeded: ClassVar[bool] = True
    remote: ClassVar[bool] = True

    def refuses(self, ctx: Context) -> str | None:
        return ctx.lm.mute(ctx.data.labels)

    def asked(self, data: Split) -> float:
        return float(self.calls)

    def adapt(self, ctx: Context) -> WordedLM:
        lm, data = ctx.lm, ctx.data
        from luthier.direct.wording_search.scorer import judged_by
        from luthier.direct.wording_search.search import Settings

        how = judged_by(lm, data, self.score)
        settings = Settings(self.calls, self.rounds, self.write, how, ctx.seed)
        search = self._search(lm, data, ctx, settings)
        found = search.run()
        ctx.notes.extend(_notes(search, found))
        return lm.worded(found.best.template, data.labels)

    def _search(self, lm: WordedLM, data: Split, ctx: Context, settings: Settings) -> Search:
        """The search with the wordings that are there before it begins."""
        from luthier.data.templates import bundled, files
        from luthier.direct.wording_search import log, proposer, search

        instruction = files.shared_instruction(data)
        own, bad = files.read_templates(Path(self.templates), data.labels, instruction) if self.templates else ([], [])
        names = [name.strip() for name in self.bundle.split(",") if name.strip()]
        ready = [] if names == ["none"] else bundled.bundled(data, instruction, names)
        if not (own or ready or self.write):
            raise LuthierError("direct.bundle: none, with no templates and write 0, leaves no wording to try")
        about: Any = vars(settings) | {"model": lm.key or lm.name, "proposer": self.proposer}
        given = [lm.only, *own] if lm.only else own
        about |= {"data": search.fingerprint(data), "wordings": search.digest((given, ready))}
        kept = log.Log(ctx.folder and ctx.folder / log.NAME, about)
        writer = None
        if self.write:
            writer = proposer.Proposer(proposer.load(self.proposer, lm, self.endpoint), data, instruction, ctx.seed)
        made = search.Search(lm, data, settings, kept, writer, _told(ctx))
        made.give(given, "user", bad)
        made.give(ready, "bundled")
        return made

    def load(self, folder: Path, ctx: Context) -> WordedLM:
        return load_wording(folder, ctx.lm)


def _told(ctx: Context) -> Any:
    """Progress in the form of a training's: the step is the round."""
    if ctx.say is None:
        return None
    from luthier.core.progress import Searched

    return lambda round_, share, best: ctx.say(Searched(round_, 0, -best, 0.0, 0.0, 0.0, share))


def _notes(search: Search, found: Found) -> list[str]:
    from luthier.direct.wording_search.scorer import shown, unit
    from luthier.direct.wording_search.search import SOURCES

    how = search.settings.score
    text = found.best.template.text.replace("\n", "\\n")
    dropped, failed = search.log.of("dropped"), search.log.of("failed")
    value, source = shown(found.best.mean(found.rows), search.data, how), say(SOURCES[found.best.source])
    scored = {"measure": unit(search.data, how), "value": value, "rows": found.rows}
    tried = {"wordings": len(found.candidates), "calls": found.calls}
    out = [say("said_search_best", source=source, text=text, **tried, **scored)]
    if found.rows < FEW:
        out.append(say("said_search_few", rows=found.rows))
    own = [e for e in dropped if e["source"] == "user"]
    out += [say("said_search_left_out", reason=e["reason"], text=e["text"]) for e in own]
    if written := [e["reason"] for e in dropped if e["source"] != "user"]:
        one = say("said_search_dropped_one", reason=written[0])
        out.append(one if len(written) == 1 else say("said_search_dropped", wordings=len(written), reason=written[0]))
    out += [say("said_search_failures", count=len(failed), reason=failed[-1]["reason"])] if failed else []
    return [*out]


METHOD = HardPrompt
