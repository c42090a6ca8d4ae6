"""What a finished search leaves for people: the template as a file, the page of the search, wordings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.core.phrases import recall
from luthier.core.records import Record
from luthier.core.split import Split
from luthier.data.prompts import Template, question_and_answer
from luthier.data.templates.files import write_template
from luthier.direct.wording_search import log
from luthier.direct.wording_search.scorer import unit
from luthier.io.config import run_recipe
from luthier.io.files import read_json, read_record, write_json
from luthier.reports.plain_page import both
from luthier.reports.prompts import page

if TYPE_CHECKING:
    from luthier.core.lm import WordedLM

COLUMNS = 6
ANSWERS = "wordings.json"


def publish(folder: Path, beside: int) -> Template:
    """Write template.json and both pages of a finished search; gives the best template. beside: rows side by side."""
    from luthier.data.load import load_split

    events = log.read_log(folder / log.NAME)
    recipe = run_recipe(folder)
    data, _ = load_split(recipe.data, folder / "rejected.jsonl")
    about, best = events[0], next(e for e in events if e["event"] == "best")
    chosen = next(e for e in events if e["event"] == "candidate" and e["id"] == best["id"])
    template = template_of(chosen)
    measure = unit(data, about["score"])
    more = {"labels": list(data.labels), "score": best["score"], "measure": measure, "rows": best["rows"]}
    write_template(folder / "template.json", template, more)
    found = read_json(folder / "eval.json")
    notes = recall(found, "notes") if "notes" in found else []
    name = Path(recipe.data.path).stem
    title = both(f"Wordings for {name}", f"{name} 的措辞")
    page.write_search(folder / "search.html", title, events, measure, notes)
    sheet = _sheet(folder, data, events, beside)
    page.write_sheet(folder / "wordings.html", both(f"{title}, side by side", f"{name} 的措辞并排对照"), sheet)
    return template


def template_of(event: Any) -> Template:
    """The wording of a line of the log."""
    return Template(event["name"], event["text"], event["chat"], event["replaces"])


def columns(events: Sequence[page.Event]) -> list[page.Event]:
    """Wordings worth a look: the best of the last round, then those that were given, then the rest by their rounds."""
    made = {e["id"]: e for e in events if e["event"] == "candidate"}
    rounds = [e["order"] for e in events if e["event"] == "round"]
    first = [made[i] for i in rounds[-1][:2]]
    given = [e for e in made.values() if e["source"] == "user"] + [e for e in made.values() if e["replaces"]]
    rest = [made[i] for order in reversed(rounds) for i in order]
    found: dict[int, page.Event] = {}
    for event in [*first, *given, *rest]:
        if len(found) < COLUMNS:
            found.setdefault(event["id"], event)
    return sorted(found.values(), key=lambda e: page_order(e["text"]))


def page_order(text: str) -> str:
    """An order of columns that says nothing about which is best, and is the same each time."""
    import hashlib

    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _sheet(folder: Path, data: Split, events: Sequence[page.Event], beside: int) -> page.Sheet:
    """The answers, asked for once and kept in wordings.json."""
    path, shown = folder / ANSWERS, columns(events)
    rows = list(data.train[-beside:]) if beside else []
    if path.exists() and (kept := read_record(path, "rows", "wordings"))["beside"] == beside:
        return page.Sheet(kept["wordings"], [(a, b, c) for a, b, c in kept["rows"]])
    answers: list[list[str]] = []
    if rows:
        from luthier.models.loading.of_recipe import load_base

        lm = load_base(run_recipe(folder))
        answers = [answered(lm, template_of(e), data, rows) for e in shown]
    asked = [(*question_and_answer(r), [a[i] for a in answers]) for i, r in enumerate(rows)]
    wordings = [e["text"] for e in shown]
    write_json(path, {"beside": beside, "wordings": wordings, "rows": asked})
    return page.Sheet(wordings, asked)


def answered(lm: WordedLM, template: Template, data: Split, rows: Sequence[Record]) -> list[str]:
    """What the model says under a wording; a failure is the answer's place's text, the others are not lost."""
    from luthier.core.errors import LuthierError
    from luthier.core.records import Sampling
    from luthier.data.prompts import prompt_of
    from luthier.evals.task import answer_room

    worded = lm.worded(template, data.labels)
    try:
        if data.labels:
            found = worded.predict([str(prompt_of(r)) for r in rows], data.labels)
            return [data.labels[int(v.argmax())] if bool(v.isfinite().any()) else "" for v in found]
        return worded.generate([prompt_of(r) for r in rows], Sampling(answer_room(lm, data)))
    except LuthierError as error:
        return [f"({error})"] * len(rows)
