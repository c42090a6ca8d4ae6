"""A `features` run as a folder: the classifier without pickle, what it reads of which base, and how to use both.

    classifier.json  classifier.safetensors (or classifier.ubj)  luthier.json  recipe.yaml  README.md

`luthier predict` and `luthier.load` take the folder as they take the run. What is linear is rebuilt in scikit-learn by
the lines in README.md; trees are read by a few lines of NumPy there, boosted ones by xgboost itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.export import snippets
from luthier.export.merged import ALLOWED
from luthier.export.parity import TEXTS, Check
from luthier.io.files import read_json, write_json, write_text

if TYPE_CHECKING:
    from luthier.direct.features import FeatureLM
    from luthier.io.config import Recipe

NAME = "classifier"
EXACT = 1e-6  # of a share, or of the largest number: the same products in double precision
GIVES = {
    "classification": "logits: softmax over the classes",
    "multilabel": "logits: sigmoid of each class by itself",
    "regression": "the number",
}
LINEAR = {"classification": snippets.classifier_of_labels, "multilabel": snippets.classifiers_of_tags}
TEXT = 'features(folder, ["a text"])'
USE = {
    "classification": f"classifier(folder).predict({TEXT})",
    "multilabel": f"x = {TEXT}\n{{label: one.predict_proba(x)[:, 1] for label, one in classifier(folder).items()}}",
}
NUMBERS = f"classifier(folder).predict({TEXT})"
TREES = (
    "A random forest cannot be put into scikit-learn without pickle: its trees are C structures that nothing public "
    "builds from arrays. Walking them takes a few lines."
)


def is_features(run: Path) -> bool:
    """Whether a run folder holds a classifier on frozen features."""
    from luthier.io.kept import files_of

    files = files_of(run) if (run / "recipe.yaml").is_file() else None
    return files is not None and any((files / f"{NAME}.{kind}").is_file() for kind in ("safetensors", "ubj"))


def write_classifier(run: Path, folder: Path, step: Callable[[str], None]) -> list[Check]:
    """Write into the existing folder, read it again in every way that its card shows, and compare."""
    from luthier.evals.temperature import FILE, kept
    from luthier.io.config import run_recipe, to_yaml
    from luthier.io.kept import files_of
    from luthier.models.loading import bases
    from luthier.models.loading.of_recipe import load_base
    from luthier.runs.loaded import load_run

    recipe = run_recipe(run)
    base = load_base(recipe)
    lm: Any = load_run(run, base)
    step("asking it")
    x = _features(lm)
    step("writing")
    lm.save(folder)
    said = bases.record(recipe.model)
    bases.write_record(said, folder / "luthier.json", folder)
    temperature = kept(run)
    write_json(folder / f"{NAME}.json", {**_about(lm, said["name"]), "temperature": temperature or 1.0})
    if temperature:
        shutil.copyfile((files_of(run) or run) / FILE, folder / FILE)
    write_text(folder / "recipe.yaml", to_yaml(_portable(recipe, said)))
    again: Any = load_run(folder, base)
    checks = [_same("predictions", "Luthier", lm.fitted.outputs(x), again.fitted.outputs(x), EXACT)]
    return [*checks, *_rebuilt(lm, folder, x), *_by_transformers(lm, folder, recipe.model, x)]


def snippet(about: dict[str, Any]) -> tuple[str, str]:
    """What a card says of how the classifier is used without Luthier, and the lines for it."""
    task, kind = about["task"], about["kind"]
    if kind == "linear" and len(about["classes"]) == 1 and task == "classification":
        return "There is a single class, which scikit-learn has no classifier for: it is always the answer.", ""
    if kind == "linear":
        how = LINEAR.get(task, snippets.regressor)
        return str(how.__doc__), f"{snippets.shown(how, 'classifier')}\n\n\n{USE.get(task, NUMBERS)}"
    if kind == "trees":
        name = "numbers" if task == "regression" else "shares"
        return TREES, f"{snippets.shown(snippets.forest, name)}\n\n\n{name}(folder, {TEXT})"
    said = "Boosted trees are in xgboost's own format, which it reads itself (`output_margin=True` gives the logits)."
    return said, 'import xgboost\n\nbooster = xgboost.Booster(model_file=f"{folder}/classifier.ubj")'


def _about(lm: FeatureLM, base: str) -> dict[str, Any]:
    """classifier.json: what the classifier is and what it reads."""
    from luthier.direct.classical.fitted import Linear
    from luthier.models.inference.features import MAX_TOKENS
    from luthier.models.loading.load import auto_class

    depth, pooling = lm.features.split(".")
    blocks = next(name for name, module in lm.lm.model.named_modules() if module is lm.lm.feature_blocks)
    kind = "linear" if isinstance(lm.fitted, Linear) else "xgboost" if lm.classifier == "xgboost" else "trees"
    about: dict[str, Any] = {
        "version": 1, "kind": kind, "classifier": lm.classifier, "task": lm.target.task, "classes": list(lm.labels),
        "gives": GIVES[lm.target.task], "base_model": base,
    }  # fmt: skip
    if kind == "linear":
        about["outputs"] = "features @ weight.T + bias"
        about["scaler"] = "folded into weight and bias: features are read as they are"
    about["features"] = {
        "block": f"{blocks}.{int(depth) - 1}", "depth": int(depth), "pooling": pooling, "max_tokens": MAX_TOKENS,
        "class": auto_class(lm.lm.model.config, lm.lm.name, False).__name__,
        "dtype": str(lm.lm.model.dtype).split(".")[-1],
    }  # fmt: skip
    return about


def _portable(recipe: Recipe, said: dict[str, str]) -> Recipe:
    """The recipe without a path of this machine."""
    from luthier.io.config import DataConfig

    data = DataConfig(Path(recipe.data.path).name, instruction=recipe.data.instruction, metric=recipe.data.metric)
    return replace(recipe, model=said.get("model", said["name"]), data=data, template="", track=())


def _features(lm: FeatureLM) -> Any:
    from luthier.models.inference.features import features

    return features(lm.lm, TEXTS, lm.cache)[lm.features].numpy()


def _rebuilt(lm: FeatureLM, folder: Path, x: Any) -> list[Check]:
    """What the card's lines give for the same features."""
    import numpy as np

    about = read_json(folder / f"{NAME}.json")
    task, outputs = lm.target.task, lm.fitted.outputs(x) / about["temperature"]
    if about["kind"] == "trees":
        shares = snippets.forest(folder, x)
        wanted = outputs if task == "regression" else _shares(outputs, task)
        return [_same("shares" if task != "regression" else "numbers", "NumPy", wanted, shares, 4 * EXACT)]
    if about["kind"] == "xgboost" or not snippet(about)[1]:
        return []
    built = LINEAR.get(task, snippets.regressor)(folder)
    if task == "regression":
        return [_same("numbers", "scikit-learn", outputs[:, 0], built.predict(x), EXACT)]
    if task == "multilabel":
        found = np.stack([built[label].predict_proba(x)[:, 1] for label in lm.labels], 1)
    else:
        found = built.predict_proba(x)
    return [_same("shares", "scikit-learn", _shares(outputs, task), found, EXACT)]


def _shares(outputs: Any, task: str) -> Any:
    import torch

    logits = torch.from_numpy(outputs)
    return (logits.softmax(-1) if task == "classification" else logits.sigmoid()).numpy()


def _by_transformers(lm: FeatureLM, folder: Path, model: str, x: Any) -> list[Check]:
    """Features as plain transformers reads them, and what the classifier makes of them."""
    import torch

    from luthier.models.loading import load
    from luthier.models.loading.quiet import quiet

    dtype = str(lm.lm.model.dtype).split(".")[-1]
    with quiet(), torch.no_grad():
        theirs = snippets.features(folder, TEXTS, str(load.resolve(model)))
    one, other = lm.fitted.outputs(x), lm.fitted.outputs(theirs)
    same = int((one.argmax(1) == other.argmax(1)).sum())
    told = Check("answers", "transformers", f"{same} of {len(x)} the same", "anything", True)
    checks = [_same("features", f"transformers, {dtype}", x, theirs, ALLOWED.get(dtype, ALLOWED["float32"])[0])]
    return [*checks, told] if lm.target.task == "classification" else checks


def _same(what: str, where: str, wanted: Any, found: Any, share: float) -> Check:
    """share: of the largest number, or of 1 where all are smaller."""
    import numpy as np

    apart = float(np.abs(wanted - found).max()) if wanted.shape == found.shape else float("inf")
    limit = share * max(1.0, float(np.abs(wanted).max()))
    return Check(what, where, f"differ by {apart:.2g}", f"{limit:.2g}", apart <= limit)
