"""Every export has a card with what a hub wants to know, and no file of it names a place of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import luthier
import runs
import tiny
from kinds import labelled_rows
from luthier.export.card import render
from luthier.export.write import export_run
from luthier.io.files import read_json, write_json
from luthier.models.loading import bases
from luthier.runs.mixing import mix_folders

Folder = Callable[[str], Path]
FORMS = ("adapter", "merged", "head", "gguf", "classifier")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Folder) -> dict[str, Path]:
    """One export of each form, by name; runs of what would be `luthier train` on data of this machine."""
    root = tmp_path_factory.mktemp("exports")
    base = runs.another("llama-8", root / "a place of ours" / "small-base")
    rows = [{"text": f"{r.text} ({i})", "label": r.label} for i in range(3) for r in labelled_rows(tiny.LABELLED.train)]
    (root / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings: dict[str, Any] = {"model": str(base), "dtype": "float32", "threads": 1, "training": {"tokens": 400}}
    settings["data"] = {"path": str(root / "mine.jsonl")}
    out: dict[str, Path] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LUTHIER_CACHE", str(root / "cache"))
        lora = luthier.train({**settings, "method": "lora"}, root / "lora")
        head = luthier.train({**settings, "method": "head", "objective": {"name": "classify"}}, root / "head")
        features = luthier.train({**settings, "method": "features"}, root / "features")
        for name, run in zip(FORMS, (lora, lora, head, lora, features), strict=True):
            to: Any = "merged" if name == "head" else name
            place = root / f"out-{name}" / "file.gguf" if name == "gguf" else root / f"out-{name}"
            out[name] = export_run(run, to, place, "f16", lambda _: None, lambda _: None)
    return {"root": root, **out}


@pytest.mark.parametrize("name", FORMS)
def test_no_file_names_a_place_of_this_machine(name: str, exports: dict[str, Path]) -> None:
    """Seen failing with the folder of the base in adapter_config.json, and with the recipe copied as it is."""
    found = exports[name]
    files = [path for path in (found.parent if found.is_file() else found).rglob("*") if path.is_file()]
    assert len(files) > 1
    words = [str(exports["root"]), str(exports["root"].resolve()), "a place of ours", str(Path.home()), "mkdtemp"]
    for path in files:
        content = path.read_bytes()
        for word in words:
            assert word.encode() not in content and json.dumps(word)[1:-1].encode() not in content, f"{path}: {word}"


@pytest.mark.parametrize("name", FORMS)
def test_each_has_a_card(name: str, exports: dict[str, Path]) -> None:
    found = exports[name]
    card = ((found.parent if found.is_file() else found) / "README.md").read_text("utf-8")
    head = yaml.safe_load(card.split("---")[1])
    library = {"adapter": "peft", "gguf": "gguf", "classifier": "luthier"}.get(name, "transformers")
    assert head["base_model"] == "small-base" and head["library_name"] == library
    assert head["pipeline_tag"] == "text-classification" and "luthier" in head["tags"]
    assert "## How to load it" in card and "## Licence" in card and "to be filled in" in card
    counts = read_json(exports["root"] / ("head" if name == "head" else "lora") / "eval.json")["rows"]
    assert f"{counts['train']} for training, {counts['validation']} for validation, {counts['test']} for the t" in card
    assert "accuracy" in card.lower() and "95 % interval" in card and "account access, delivery, refund" in card
    assert "  \n" not in card and "None for" not in card


def test_the_lines_for_loading_an_adapter_load_it(exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """From beside the base, whose name is a folder's here."""
    card = (exports["adapter"] / "README.md").read_text("utf-8")
    lines = card.split("```python\n")[1].split("```")[0]
    assert "'small-base'" in lines
    monkeypatch.chdir(exports["root"] / "a place of ours")
    names: dict[str, Any] = {"folder": str(exports["adapter"])}
    exec(lines, names)
    assert type(names["model"]).__name__.startswith("Peft") and names["tokenizer"].chat_template == tiny.CHATML


def test_our_loader_finds_the_base_of_a_moved_adapter(
    exports: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with the base's name alone: no such model on the hub."""
    monkeypatch.setenv("LUTHIER_CACHE", str(exports["root"] / "cache"))
    monkeypatch.chdir(tmp_path)
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in exports["adapter"].iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    mix_folders({moved: 1.0}, tmp_path / "mixed")
    mixed, run = (luthier.load(folder) for folder in (tmp_path / "mixed", exports["root"] / "lora"))
    one, other = (m.probabilities(["where is my parcel", "pay me"]) for m in (mixed, run))
    for a, b in zip(one, other, strict=True):
        assert a == pytest.approx(b, abs=1e-4)


def test_a_card_beside_a_file_leaves_another_one_alone(exports: dict[str, Path], tmp_path: Path) -> None:
    """Seen failing with the reader's own README.md replaced."""
    (tmp_path / "README.md").write_text("mine")
    export_run(exports["root"] / "lora", "gguf", tmp_path / "a.gguf", "f32", lambda _: None, lambda _: None)
    assert (tmp_path / "README.md").read_text() == "mine"
    assert "llama-server -m a.gguf" in (tmp_path / "a.README.md").read_text("utf-8")


def test_a_card_of_the_embedded_model_and_of_a_comparison(exports: dict[str, Path], tmp_path: Path) -> None:
    """The hub's id, its licence, rows of the comparison that the run is of, and the language where all is Chinese."""
    run = tmp_path / "trials" / "lora" / "seed-0"
    source = exports["root"] / "lora"
    for path in ("adapter/luthier.json", "recipe.yaml", "eval.json"):
        (run / path).parent.mkdir(parents=True, exist_ok=True)
        (run / path).write_bytes((source / path).read_bytes())
    recipe = (
        (run / "recipe.yaml").read_text().replace(str(yaml.safe_load((run / "recipe.yaml").read_text())["model"]), "x")
    )
    (run / "recipe.yaml").write_text(recipe.replace("model: x", "model: embedded"))
    write_json(tmp_path / "split.json", {"train": 100, "validation": 30, "test": 40})
    write_json(tmp_path / "languages.json", {"train": {"han": 100, "other": 0}, "test": {"han": 40, "other": 0}})
    card = render(run, "gguf", tmp_path / "file.gguf")
    head = yaml.safe_load(card.split("---")[1])
    assert head["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct" and head["language"] == ["zh"]
    assert "Base model: apache-2.0" in card and "4-bit quantised" in card and "100 for training, 30 for" in card
    write_json(tmp_path / "languages.json", {"train": {"han": 60, "other": 40}, "test": {"han": 40, "other": 0}})
    assert "language" not in yaml.safe_load(render(run, "gguf", tmp_path / "file.gguf").split("---")[1])


def test_the_licence_of_a_folder_is_what_its_card_says(tmp_path: Path, tiny_folder: Folder) -> None:
    base = runs.another("llama-8", tmp_path / "base")
    assert bases.licence(str(base)) == ""
    (base / "README.md").write_text("---\nlicense: mit\ntags: [a]\n---\n# A model\n")
    assert bases.licence(str(base)) == "mit"
    for broken in ("---\n- [\n---\n", "---\nlicense: [a]\n---\n", "---\nlicense: !!bool x\n---\n", "no head"):
        (base / "README.md").write_text(broken)
        assert bases.licence(str(base)) == ""
