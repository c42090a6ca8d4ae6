"""What a card shows of how its files are used without Luthier: each function stands there as it stands here.

They are what the parity check runs, so a card never shows what was not tried. Each imports what it needs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def features(folder: Any, texts: Any, base: Any = None) -> Any:
    """One row of features a text, by transformers. base: a folder in place of the model that is named."""
    import json
    from pathlib import Path

    import torch
    import transformers

    about = json.loads((Path(folder) / "classifier.json").read_text("utf-8"))
    read = about["features"]
    base = base or about["base_model"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    model = getattr(transformers, read["class"]).from_pretrained(base, dtype=getattr(torch, read["dtype"])).eval()
    found: Any = {}
    model.get_submodule(read["block"]).register_forward_hook(lambda block, given, out: found.update(out=out))
    run = model.get_encoder() if "Seq2Seq" in read["class"] else model
    rows = []
    for text in texts:
        with torch.no_grad():
            run(**tokenizer(text, return_tensors="pt"))
        states = (found["out"][0] if isinstance(found["out"], tuple) else found["out"])[0].float()
        rows.append({"mean": states.mean(0), "first": states[0], "last": states[-1]}[read["pooling"]])
    return torch.stack(rows).numpy()


def classifier_of_labels(folder: Any) -> Any:
    """scikit-learn's LogisticRegression with the coefficients of this folder: predict(x), predict_proba(x)."""
    import json
    from pathlib import Path

    import numpy as np
    from safetensors.numpy import load_file
    from sklearn.linear_model import LogisticRegression

    about = json.loads((Path(folder) / "classifier.json").read_text("utf-8"))
    head = load_file(Path(folder) / "classifier.safetensors")
    weight, bias = head["weight"].astype(float), head["bias"].astype(float)
    weight, bias = weight / about["temperature"], bias / about["temperature"]  # shares that say how often they hold
    if len(weight) == 2:  # scikit-learn keeps one row for two classes
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    model = LogisticRegression()
    model.classes_, model.coef_, model.intercept_ = np.array(about["classes"]), weight, bias
    return model


def classifiers_of_tags(folder: Any) -> Any:
    """scikit-learn's LogisticRegression of each label: {label: model}, the share is predict_proba(x)[:, 1]."""
    import json
    from pathlib import Path

    import numpy as np
    from safetensors.numpy import load_file
    from sklearn.linear_model import LogisticRegression

    about = json.loads((Path(folder) / "classifier.json").read_text("utf-8"))
    head = load_file(Path(folder) / "classifier.safetensors")
    models = {}
    for label, weight, bias in zip(about["classes"], head["weight"], head["bias"], strict=True):
        models[label] = LogisticRegression()
        models[label].classes_ = np.array([False, True])
        models[label].coef_, models[label].intercept_ = weight[None].astype(float), bias[None].astype(float)
    return models


def regressor(folder: Any) -> Any:
    """scikit-learn's LinearRegression with the coefficients of this folder: predict(x)."""
    from pathlib import Path

    from safetensors.numpy import load_file
    from sklearn.linear_model import LinearRegression

    head = load_file(Path(folder) / "classifier.safetensors")
    model = LinearRegression()
    model.coef_, model.intercept_ = head["weight"][0].astype(float), float(head["bias"][0])
    return model


def forest(folder: Any, x: Any) -> Any:
    """The mean of all trees for each row of features: the share of each class, or the number."""
    import json
    from pathlib import Path

    import numpy as np
    from safetensors.numpy import load_file

    about = json.loads((Path(folder) / "classifier.json").read_text("utf-8"))
    trees = load_file(Path(folder) / "classifier.safetensors")
    x, rows = np.asarray(x, np.float32), np.arange(len(x))[:, None]
    at = np.broadcast_to(trees["roots"], (len(x), len(trees["roots"])))
    while (inner := trees["left"][at] >= 0).any():  # a leaf has no left
        small = x[rows, np.maximum(trees["feature"][at], 0)] <= trees["threshold"][at]
        at = np.where(inner, np.where(small, trees["left"][at], trees["right"][at]), at)
    means = trees["value"][at].mean(1)
    if about["temperature"] != 1:  # shares that say how often they hold
        means = means.clip(1e-6, 1 - 1e-6) ** (1 / about["temperature"])
        means = means / means.sum(1, keepdims=True)
    return means


def shown(function: Callable[..., Any], name: str) -> str:
    """The function as a card shows it, under another name and without annotations."""
    source = inspect.getsource(function).replace(f"def {function.__name__}(", f"def {name}(", 1)
    return source.replace(": Any", "").replace(" -> Any", "").replace(" = None)", "=None)", 1).rstrip()
