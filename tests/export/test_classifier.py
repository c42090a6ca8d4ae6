"""A features run as a folder that scikit-learn, NumPy and Luthier read: the same answers, nothing of this machine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import luthier
import runs
import tiny
from luthier.cli import app
from luthier.core.errors import LuthierError
from luthier.core.split import Split
from luthier.export import classifier, snippets
from luthier.export.parity import Check
from luthier.export.write import export_run, form_of
from luthier.io.files import read_json, write_json
from luthier.models.loading import bases

Folder = Callable[[str], Path]
DATA: dict[str, Split] = {"classification": tiny.LABELLED, "multilabel": tiny.TAGGED, "regression": tiny.RATED}
TWO = Split("classification", tiny.LABELLED.train[:6], tiny.LABELLED.validation[:2], (), ("delivery", "refund"))
TEXTS = ["where is my parcel", "pay me back", "退款还没有到", "I cannot log in, and nobody answers"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))


def exported(run: Path, out: Path) -> list[Check]:
    shown: list[Check] = []
    export_run(run, form_of(run), out, "f16", lambda _: None, shown.extend)
    return shown


def made(base: Path, folder: Path, name: str, data: Split) -> Path:
    return runs.finished(base, folder, "features", data, direct={"classifier": name})


def features_of(model: Any) -> Any:
    from luthier.models.inference.features import features

    return features(model.lm.lm, TEXTS, model.lm.cache)[model.lm.features].numpy()


def lines_of(folder: Path) -> dict[str, Any]:
    """What the Python in the card defines."""
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL):
        exec(block.partition("\n\n\n")[0], names)
    return names


@pytest.mark.parametrize("name", ["logistic", "svm"])
@pytest.mark.parametrize("task", ["two", *DATA])
def test_scikit_learn_rebuilt_by_the_card_gives_the_same(
    name: str, task: str, tiny_folder: Folder, tmp_path: Path
) -> None:
    """To 1e-6. Seen failing with both rows of two classes given to scikit-learn, and with the bias left out."""
    base = tiny_folder("llama_tied")
    run = made(base, tmp_path / "run", name, DATA.get(task, TWO))
    checks = exported(run, tmp_path / "out")
    assert all(check.ok for check in checks) and "scikit-learn" in {check.where for check in checks}
    ours, said = luthier.load(run), lines_of(tmp_path / "out")
    x = said["features"](tmp_path / "out", TEXTS, base)
    np.testing.assert_allclose(x, features_of(ours), rtol=0, atol=1e-4)
    built, x = said["classifier"](tmp_path / "out"), features_of(ours)
    if task == "regression":
        assert type(built).__name__ == "LinearRegression"
        np.testing.assert_allclose(built.predict(x), ours.values(TEXTS), rtol=1e-6, atol=1e-6)
        return
    wanted = np.array([list(row.values()) for row in ours.probabilities(TEXTS)])
    if task == "multilabel":
        found = np.stack([built[label].predict_proba(x)[:, 1] for label in ours.labels], 1)
    else:
        found = built.predict_proba(x)
        assert type(built).__name__ == "LogisticRegression" and list(built.predict(x)) == ours.predict(TEXTS)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("task", DATA)
def test_a_forest_is_walked_by_the_card(task: str, tiny_folder: Folder, tmp_path: Path) -> None:
    """Seen failing with `<` in place of `<=` at a threshold."""
    run = made(tiny_folder("llama_tied"), tmp_path / "run", "forest", DATA[task])
    assert "NumPy" in {check.where for check in exported(run, tmp_path / "out")}
    said, ours = lines_of(tmp_path / "out"), luthier.load(run)
    assert "cannot be put into scikit-learn without pickle" in (tmp_path / "out/README.md").read_text("utf-8")
    if task == "regression":
        found, wanted = said["numbers"](tmp_path / "out", features_of(ours))[:, 0], np.array(ours.values(TEXTS))
    else:
        found = said["shares"](tmp_path / "out", features_of(ours))
        wanted = np.array([list(row.values()) for row in ours.probabilities(TEXTS)])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=4e-6)


@pytest.mark.parametrize("name", ["logistic", "forest"])
def test_the_temperature_of_a_run_goes_with_it(name: str, tiny_folder: Folder, tmp_path: Path) -> None:
    """Seen failing with the scores as they were, and with the file left behind."""
    run = made(tiny_folder("llama_tied"), tmp_path / "run", name, tiny.LABELLED)
    bare = luthier.load(run).probabilities(TEXTS)
    write_json(run / "adapter" / "temperature.json", {"value": 2.5, "rows": 40})
    assert all(check.ok for check in exported(run, tmp_path / "out"))
    said, ours = lines_of(tmp_path / "out"), luthier.load(run)
    wanted = ours.probabilities(TEXTS)
    assert wanted != bare and luthier.load(tmp_path / "out").probabilities(TEXTS) == wanted
    x = features_of(ours)
    found = (
        said["shares"](tmp_path / "out", x)
        if name == "forest"
        else said["classifier"](tmp_path / "out").predict_proba(x)
    )
    np.testing.assert_allclose(found, [list(row.values()) for row in wanted], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["bert", "t5", "gpt2"])
def test_features_of_every_kind_of_base_are_read_by_transformers(
    kind: str, tiny_folder: Folder, tmp_path: Path
) -> None:
    run = made(tiny_folder(kind), tmp_path / "run", "logistic", tiny.LABELLED)
    checks = exported(run, tmp_path / "out")
    assert [check.where for check in checks if check.what == "features"] == ["transformers, float32"]
    assert all(check.ok for check in checks)


def test_luthier_reads_the_folder_back_wherever_it_is(
    tiny_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with the folder's name taken for a hub id."""
    base = shutil.copytree(tiny_folder("llama_tied"), tmp_path / "models" / "small-base")
    run = made(base, tmp_path / "run", "logistic", tiny.LABELLED)
    told = CliRunner().invoke(app, ["export", str(run), "--out", str(tmp_path / "out")])
    assert told.exit_code == 0 and "scikit-learn" in told.output, told.output
    wanted = luthier.load(run).predict(TEXTS)
    shutil.rmtree(run)
    moved = (tmp_path / "out").rename(tmp_path / "elsewhere")
    (tmp_path / "new.csv").write_text("text\n" + "\n".join(f'"{text}"' for text in TEXTS) + "\n")
    told = CliRunner().invoke(
        app, ["predict", str(moved), str(tmp_path / "new.csv"), "--out", f"{tmp_path}/done.jsonl"]
    )
    assert told.exit_code == 0, told.output
    done = (tmp_path / "done.jsonl").read_text("utf-8").splitlines()
    assert [re.search('"prediction": "([^"]*)"', line)[1] for line in done] == wanted  # type: ignore[index]
    assert luthier.load(moved).predict(TEXTS[0]) == wanted[0]

    base.rename(tmp_path / "small-base")  # not where it was seen, but beside the folder
    assert luthier.load(moved).predict(TEXTS) == wanted
    (tmp_path / "small-base").rename(tmp_path / "gone")
    with pytest.raises(LuthierError, match="its base model 'small-base' is not known on this machine: put the folder"):
        luthier.load(moved)
    other = tiny.save_model("llama_untied", tmp_path / "small-base")
    with pytest.raises(LuthierError, match=r"it was made on small-base, and .* has other weights"):
        luthier.load(moved)
    shutil.rmtree(other)


def test_what_differs_is_not_published(tiny_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(tiny_folder("llama_tied"), tmp_path / "run", "logistic", tiny.LABELLED)
    real = snippets.classifier_of_labels

    def spoilt(folder: Path) -> Any:
        model = real(folder)
        model.intercept_ = model.intercept_ + np.array([1e-3, 0, 0])
        return model

    monkeypatch.setitem(classifier.LINEAR, "classification", spoilt)
    with pytest.raises(LuthierError, match="shares in scikit-learn: differ by"):
        exported(run, tmp_path / "out")
    monkeypatch.undo()
    with pytest.raises(LuthierError, match="changes no weights: --to classifier writes its classifier"):
        export_run(run, "merged", tmp_path / "out", "f16", lambda _: None, lambda _: None)
    with pytest.raises(LuthierError, match="--original makes no difference"):
        export_run(run, "classifier", tmp_path / "out", "f16", lambda _: None, lambda _: None, original=True)
    lora = runs.finished(tiny_folder("llama_tied"), tmp_path / "lora")
    assert form_of(lora) == "merged" and form_of(tmp_path) == "merged"
    with pytest.raises(LuthierError, match="lora adapts the model itself: only features has a classifier"):
        export_run(lora, "classifier", tmp_path / "out", "f16", lambda _: None, lambda _: None)
    assert not (tmp_path / "out").exists()


def test_what_is_written_of_a_classifier(tiny_folder: Folder, tmp_path: Path) -> None:
    run = made(tiny_folder("llama_tied"), tmp_path / "run", "svm", tiny.LABELLED)
    exported(run, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"README.md", "classifier.json", "classifier.safetensors", "luthier.json", "recipe.yaml"}
    about = read_json(tmp_path / "out/classifier.json")
    assert about["classes"] == list(tiny.LABELLED.labels) and about["kind"] == "linear" and "folded" in about["scaler"]
    assert about["features"]["pooling"] in ("mean", "last") and about["features"]["block"].startswith("model.layers.")
    assert about["base_model"] == tiny_folder("llama_tied").name


def test_bases_have_names_that_others_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with the name in a configuration taken although it is a path."""
    assert bases.public_name("embedded") == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert bases.public_name("owner/name") == "owner/name"
    assert bases.public_name(str(tmp_path / "x" / "small.Q8_0.gguf")) == "small.Q8_0"
    cached = tmp_path / "cache/models/SmolLM2-135M-Instruct-b179c9523d0e-v1"
    hub = tmp_path / "hub/models--owner--a-name/snapshots/abc"
    for folder in (cached, hub, tmp_path / "mine"):
        folder.mkdir(parents=True)
    assert bases.public_name(str(cached)) == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert bases.public_name(str(hub)) == "owner/a-name" and bases.public_name(str(tmp_path / "mine")) == "mine"
    for named, wanted in (("org/tuned", "org/tuned"), (str(hub), "mine"), ("", "mine")):
        write_json(tmp_path / "mine/config.json", {"_name_or_path": named})
        assert bases.public_name(str(tmp_path / "mine")) == wanted
    monkeypatch.chdir(tmp_path)
    assert bases.public_name("mine") == "mine", "a path that happens to be short is a folder all the same"
    assert bases.licence("embedded") == "apache-2.0"
