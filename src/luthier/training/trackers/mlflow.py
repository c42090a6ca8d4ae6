"""MLflow: a database in FOLDER/mlflow.db (`mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db`), or what
MLFLOW_TRACKING_URI names.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

extras = ("mlflow",)
LONGEST = 500  # characters of a parameter


class MLflow:
    """One run; after a kill the one with the same tag goes on."""

    def __init__(self, run: str, group: str, settings: Mapping[str, Any], folder: Path, step: int) -> None:
        from mlflow import MlflowClient

        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / 'mlflow.db').resolve()}"
        self.client: Any = MlflowClient(tracking_uri=place)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "luthier")
        found = self.client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self.client.create_experiment(name)
        tag = f"{group}/{run}".replace("'", "_")
        before = self.client.search_runs([experiment], f"tags.luthier = '{tag}'", max_results=1)
        if before:
            self.id = before[0].info.run_id
            return
        self.id = self.client.create_run(experiment, run_name=f"{group}/{run}", tags={"luthier": tag}).info.run_id
        for key, value in _flat(settings):
            self.client.log_param(self.id, key, str(value)[:LONGEST])

    def log(self, values: Mapping[str, float], step: int) -> None:
        """One step."""
        self._write({f"train/{name}": value for name, value in values.items()}, step)

    def finish(self, scores: Mapping[str, float]) -> None:
        """The scores, and the end of the run."""
        self._write({f"final/{name}": value for name, value in scores.items()}, 0)
        self.client.set_terminated(self.id)

    def _write(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.client.log_batch(self.id, metrics=[Metric(name, value, now, step) for name, value in values.items()])


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


TRACKER = MLflow
