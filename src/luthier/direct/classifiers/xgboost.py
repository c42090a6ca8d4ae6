"""Gradient-boosted trees, saved in xgboost's own format (UBJ). Source: Chen & Guestrin 2016, "XGBoost"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from luthier.direct.classical.fitted import NEVER, Array, Target
from luthier.direct.classifiers import Classifier
from luthier.io.files import replacing

ROUNDS = 100
SETTINGS = {"max_depth": 4, "eta": 0.1, "colsample_bytree": 0.5, "tree_method": "hist", "seed": 0, "verbosity": 0}
LOSS = {"classification": "multi:softprob", "multilabel": "binary:logistic", "regression": "reg:squarederror"}


@dataclass
class Boosted:
    """A booster as its file gives it back; labels that no training row has stand apart. raw: the file's bytes."""

    raw: bytes

    def __post_init__(self) -> None:
        import xgboost

        self.booster = xgboost.Booster()
        self.booster.load_model(bytearray(self.raw))
        self.present = [int(k) for k in str(self.booster.attr("present")).split(",")]
        self.count = int(str(self.booster.attr("count")))

    def outputs(self, x: Array) -> Array:
        """Margins before softmax or sigmoid, or the numbers."""
        import xgboost

        found = self.booster.predict(xgboost.DMatrix(x), output_margin=True)
        out = np.full((len(x), self.count), NEVER)
        out[:, self.present] = np.asarray(found, dtype=np.float64).reshape(len(x), len(self.present))
        return out

    def save(self, folder: Path) -> None:
        """`classifier.ubj`."""
        with replacing(folder / "classifier.ubj") as temporary:
            temporary.write_bytes(self.raw)


class XGBoost(Classifier):
    """100 rounds of trees of depth 4, step 0.1, half of the features a tree."""

    extras = ("xgboost",)
    tuned = False

    def fit(self, x: Array, y: Array, target: Target, strength: float) -> Boosted:
        import torch
        import xgboost

        settings: dict[str, Any] = {**SETTINGS, "objective": LOSS[target.task], "nthread": torch.get_num_threads()}
        present = list(range(target.count))
        if target.task == "classification":
            seen, y = np.unique(y, return_inverse=True)
            present = [int(k) for k in seen]
            settings["num_class"] = len(present)
        booster = xgboost.train(settings, xgboost.DMatrix(x, label=y, weight=target.weights(y)), ROUNDS)
        booster.set_attr(present=",".join(map(str, present)), count=str(target.count))
        return Boosted(bytes(booster.save_raw("ubj")))

    def load(self, folder: Path) -> Boosted:
        return Boosted((folder / "classifier.ubj").read_bytes())


CLASSIFIER = XGBoost()
