"""Write `MODEL_CARD.md`: what the winner of a comparison is, what it was made from, what it scored, where it fails.

Everything in it comes from the comparison's files; what they do not tell (a licence, an intended use) is left for the
person who ships the model, in words that say so. The parts of a card: Mitchell et al. 2019, "Model Cards".
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from luthier.core.phrases import say
from luthier.evals import formatting
from luthier.io.files import read_json, write_text
from luthier.reports.comparison import sentences

Facts = Mapping[str, Any]
NAME = "MODEL_CARD.md"
EMBEDDED = "SmolLM2-135M-Instruct (embedded; its weights came 4-bit quantised)"
OPEN = "**to be filled in**"
FEW_ROWS = 20  # of a group: below, its score says little


def write_card(board: Facts, details: Facts, folder: Path) -> None:
    """Write the card of the best method into the comparison's folder; none where no method finished."""
    if board.get("best"):
        text = render_card(board, details, folder)
        write_text(folder / NAME, text.encode("utf-8", "replace").decode("utf-8"))


def render_card(board: Facts, details: Facts, folder: Path) -> str:
    """The card as Markdown; `folder` is where the comparison lies."""
    best = formatting.best(board)
    assert best
    run = folder / str(details.get("place") or f"trials/{best['method']}/seed-0")
    parts = [
        _front(best, board),
        f"# {text(details.get('title') or 'data')}: {text(formatting.name(best))} on {text(_model(best, board))}",
        "Made by Luthier from the files of one comparison. Nothing here was judged by a person yet; lines that say "
        f"{OPEN} are for whoever ships the model.",
        _section("What it is", _what(best, board, details)),
        _section("Data", _data(details)),
        _section("Scores", _scores(best, board, details)),
        _groups("By label", "Label", best, board, details, "by_label"),
        _groups("By language", "Input", best, board, details, "by_language"),
        _section("Limits", _limits(best, board, details)),
        _section("How to load it", _load(run, best, board)),
        _section("Licence", _licence(best, board)),
        _section("How it was made", _made(details)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def text(value: object) -> str:
    """Any text as one line of Markdown that means nothing but itself."""
    line = " ".join(formatting.plain(value).split())
    return re.sub(r"([\\`*_{}\[\]<>#|~!&$])", r"\\\1", line)


def code(value: object) -> str:
    """A block of text as it stands: the fence is longer than any run of backticks in it."""
    whole = formatting.plain(value).rstrip()
    fence = "`" * max(3, 1 + max((len(m) for m in re.findall("`+", whole)), default=0))
    return f"{fence}\n{whole}\n{fence}"


def _section(title: str, lines: Iterator[str]) -> str:
    body = "\n".join(lines)
    return f"## {title}\n\n{body}" if body else ""


def _model(best: Facts, board: Facts) -> str:
    name = str(best.get("model") or board.get("model"))
    return EMBEDDED if name == "embedded" else name


def _front(best: Facts, board: Facts) -> str:
    task = {"classification": "text-classification", "generation": "text-generation"}.get(str(board.get("task")))
    facts = {"tags": ["luthier", str(best["method"])]} | ({"pipeline_tag": task} if task else {})
    return f"---\n{yaml.safe_dump(facts, allow_unicode=True, sort_keys=False).strip()}\n---"


def _what(best: Facts, board: Facts, details: Facts) -> Iterator[str]:
    summary = (details.get("summaries") or {}).get(formatting.name(best))
    share = f" ({formatting.share(best['trainable_share'])} of the model)" if best.get("trainable") else ""
    yield f"- **Base model:** {text(_model(best, board))}"
    yield f"- **Method:** `{formatting.plain(best['method'])}`" + (f" – {text(summary)}" if summary else "")
    yield f"- **Task:** {text(board.get('task'))}"
    yield f"- **Trained parameters:** {formatting.count(best.get('trainable'))}{share}"
    yield f"- **To ship besides the base:** {formatting.size(best.get('artifact_bytes'))}"
    yield f"- **Intended use:** {OPEN}"


def _data(details: Facts) -> Iterator[str]:
    languages = details.get("languages") or {}
    yield f"{text(details.get('title') or 'data')}:"
    yield ""
    yield "| part | rows | with Chinese characters | without |"
    yield "|---|---|---|---|"
    for part in ("train", "validation", "test"):
        rows, found = details.get(f"rows_{part}"), languages.get(part) or {}
        cells = [
            formatting.DASH if value is None else str(value) for value in (rows, found.get("han"), found.get("other"))
        ]
        yield f"| {part} | {' | '.join(cells)} |"
    yield ""
    yield "A row's language is told by its script alone."
    if labels := details.get("labels"):
        yield ""
        yield f"{len(labels)} labels: {', '.join(map(text, labels))}."
    of_runs = [f"{methods}: {note}" for methods, note in details.get("run_notes") or []]
    for note in [*(details.get("notes") or []), *of_runs]:
        yield f"\n- {text(note)}"
    yield f"\nWhere the rows come from, and whether they may be used for this: {OPEN}"


def _scores(best: Facts, board: Facts, details: Facts) -> Iterator[str]:
    metric = str(board["metric"])
    title = str(formatting.metric(metric))
    seeds = best.get("seeds")
    yield f"On {details.get('rows_test', '?')} test rows that no method saw, {seeds} seed{'' if seeds == 1 else 's'}:"
    yield ""
    yield "| method | score | 95 % interval |"
    yield "|---|---|---|"
    for row in formatting.finished(board):
        name = f"`{formatting.plain(formatting.name(row))}`" + (" (this model)" if row is best else "")
        yield f"| {name} | {formatting.score(row['score'], metric)} | {formatting.interval_text(row, metric)} |"
    yield f"\nScores are {text(title)}."
    for name, value in ((details.get("secondary") or {}).get(formatting.name(best)) or {}).items():
        yield f"- {text(name.replace('_', ' '))}: {value:.3f}"
    if formatting.known(best.get("forgetting")):
        yield (
            "- Forgetting: the loss on a page of general text rose by "
            f"{formatting.signed(best['forgetting'])} nats a token (0 is no harm done)."
        )
    for said in (sentences.winner(board), sentences.lopsided(board)):
        if said:
            yield f"- {text(said)}"
    for verdict in sentences.about(board, formatting.name(best)):
        yield f"- {text(verdict)}"


def _groups(title: str, column: str, best: Facts, board: Facts, details: Facts, key: str) -> str:
    evidence = details.get("evidence") or {}
    groups = [g for g in evidence.get(key) or [] if formatting.name(best) in g["cells"]]
    if not groups:
        return ""
    factor = 100.0 if evidence["binary"] else formatting.scale(str(board["metric"]))
    unit = "right, %" if evidence["binary"] else str(board["metric"])
    lines = [f"| {column} | test rows | {unit} | 95 % interval |", "|---|---|---|---|"]
    for group in groups:
        value, low, high = (factor * x for x in group["cells"][formatting.name(best)])
        name = str(say(group["name"])) if key == "by_language" else text(group["name"])
        lines.append(f"| {name} | {group['rows']} | {value:.1f} | {low:.1f} – {high:.1f} |")
    return _section(title, iter(lines))


def _limits(best: Facts, board: Facts, details: Facts) -> Iterator[str]:
    evidence = details.get("evidence") or {}
    rows = details.get("rows_test")
    if details.get("quick_look"):
        yield "- One seed: how much another run would differ was not measured."
    if half := formatting.half_width(best, str(board["metric"])):
        yield f"- With {rows} test rows the score is known to about ± {half:.1f} points."
    if evidence.get("by_label") and (few := [g["name"] for g in evidence["by_label"] if g["rows"] < FEW_ROWS]):
        named = ", ".join(map(text, few[:12])) + (", …" if len(few) > 12 else "")
        yield f"- {len(few)} labels have fewer than {FEW_ROWS} test rows, so that their scores say little: {named}."
    for group in evidence.get("by_language") or []:
        if group["rows"] < FEW_ROWS:
            yield f"- Few test rows {say(group['name'])}: {group['rows']}."
    if len(evidence.get("by_language") or []) == 1:
        yield f"- All test rows are {say(evidence['by_language'][0]['name'])}; other input was not tested."
    if details.get("labels"):
        yield "- It always answers with one of its labels, also where none of them fits."
    yield "- Only the score above was measured: not bias, safety, or robustness to other kinds of text."
    yield "- It inherits the limits of its base model."


def _load(run: Path, best: Facts, board: Facts) -> Iterator[str]:
    target = next((run / name for name in ("adapter", "model") if (run / name).exists()), None)
    base = _model(best, board)
    yield f"The files are in `{run}`" + (f", those to ship in `{target}`." if target else ".")
    yield ""
    yield code(f"luthier predict {shlex.quote(str(run))} new.csv --out labelled.csv")
    yield ""
    yield code(f'import luthier\n\nmodel = luthier.load({str(run)!r})\nmodel.predict(["..."])')
    if target and (target / "adapter_config.json").exists():
        kind = read_json(target / "adapter_config.json").get("peft_type")
        yield f"\n`{target.name}/` is in PEFT's layout ({text(kind)}) and needs the base model: {text(base)}."
    elif target and target.name == "model":
        yield f"\n`{target.name}/` is a whole model in Hugging Face's layout."


def _licence(best: Facts, board: Facts) -> Iterator[str]:
    if _model(best, board) == EMBEDDED:
        yield "- Base model: Apache-2.0 (SmolLM2-135M-Instruct)."
    else:
        yield f"- Base model: {OPEN} (Luthier does not read licences)."
    yield f"- Data: {OPEN}"
    yield f"- This model: {OPEN}"


def _made(details: Facts) -> Iterator[str]:
    if details.get("command"):
        yield code(details["command"])
    if details.get("recipe"):
        yield "\nThe recipe of the winning run, for `luthier train recipe.yaml`:\n"
        yield code(details["recipe"])
    facts: Sequence[tuple[str, object]] = list((details.get("environment") or {}).items())
    if facts:
        yield "\nVersions and machine: " + ", ".join(f"{text(name)} {text(value)}" for name, value in facts) + "."
